package transport

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tinylib/msgp/msgp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/seraiproject/serai/core/model"
)

const (
	servicePath = "/serai.v1.Agent/"

	// maxMessage bounds a message, in bytes.
	maxMessage = 128 << 20

	// errorCode is the trailer with the class of an error.
	errorCode = "serai-error-code"
	// forwarded is the header of a call that is not to be forwarded again.
	forwarded = "serai-forwarded"
)

// codec encodes messages for gRPC.
type codec struct{}

var _ encoding.CodecV2 = codec{}

func (codec) Name() string { return "serai-msgp" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(msgp.Marshaler)
	if !ok {
		return nil, fmt.Errorf("encode message: unexpected type %T", v)
	}
	b, err := m.MarshalMsg(nil)
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(msgp.Unmarshaler)
	if !ok {
		return fmt.Errorf("decode message: unexpected type %T", v)
	}
	// What is decoded refers to nothing of the buffer.
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	_, err := m.UnmarshalMsg(buf.ReadOnlyData())
	return err
}

// toWire turns a handler's error into gRPC's, and the trailer that keeps its
// class.
func toWire(err error) (metadata.MD, error) {
	code := model.ErrorCode(err)
	switch {
	case errors.Is(err, context.Canceled):
		return nil, status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return nil, status.Error(codes.DeadlineExceeded, err.Error())
	}
	return metadata.Pairs(errorCode, code), status.Error(codes.Unknown, err.Error())
}

// fromWire is the way back. An error that no handler made is of class
// unavailable.
func fromWire(ctx context.Context, method, addr string, err error, trailer metadata.MD) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	s := status.Convert(err)
	if code := trailer.Get(errorCode); len(code) == 1 {
		return model.ErrorFromCode(code[0], s.Message())
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch s.Code() {
	case codes.Canceled:
		return model.Errorf(model.ErrUnavailable, "call %s on %s: the agent stopped", method, addr)
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return model.Errorf(model.ErrUnavailable, "call %s on %s: %s", method, addr, s.Message())
}
