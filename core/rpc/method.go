package rpc

import (
	"context"
	"fmt"
	"reflect"

	"github.com/tinylib/msgp/msgp"
)

// A Message is a request or a response: a pointer to a struct of this package
// or of core/model.
type Message interface {
	msgp.Marshaler
	msgp.Unmarshaler
}

// Kind says which server may answer a call.
type Kind uint8

// How a call is routed.
const (
	// Read is answered by the leader, or with AllowStale by the server that
	// was asked. It may block until MinIndex is passed.
	Read Kind = iota
	// Write is answered by the leader.
	Write
	// Local is answered by the server that was asked, or by the one that
	// the request names.
	Local
)

// A Descriptor is what a transport needs to know of a method.
type Descriptor struct {
	Name      string // Noun.Verb, unique
	Kind      Kind
	Streaming bool // the response is a stream of messages

	request, response reflect.Type
}

// NewRequest returns an empty request to decode into.
func (d *Descriptor) NewRequest() Message { return reflect.New(d.request).Interface().(Message) }

// NewResponse returns an empty response to decode into.
func (d *Descriptor) NewResponse() Message { return reflect.New(d.response).Interface().(Message) }

// A Caller carries calls to a server: its own, or one far away. It is safe for
// use by many goroutines. Call returns when the answer is there or ctx is
// done.
type Caller interface {
	Call(ctx context.Context, d *Descriptor, req Message) (Message, error)
	Stream(ctx context.Context, d *Descriptor, req Message) (Stream, error)
}

// A Stream delivers the messages of a streaming call. Recv returns io.EOF when
// the far side ended it. Cancel the context of the call to end it from here.
type Stream interface {
	Recv() (Message, error)
}

// descriptors holds every method, by name.
var descriptors = map[string]*Descriptor{}

// Descriptors returns every method that exists, by name. Do not change it.
func Descriptors() map[string]*Descriptor { return descriptors }

func describe[Q, R Message](name string, kind Kind, streaming bool) *Descriptor {
	d := &Descriptor{
		Name: name, Kind: kind, Streaming: streaming,
		request: reflect.TypeFor[Q]().Elem(), response: reflect.TypeFor[R]().Elem(),
	}
	if descriptors[name] != nil {
		panic("rpc: method declared twice: " + name)
	}
	descriptors[name] = d
	return d
}

// A Method is a call with one answer.
type Method[Q, R Message] struct{ *Descriptor }

func method[Q, R Message](name string, kind Kind) Method[Q, R] {
	return Method[Q, R]{describe[Q, R](name, kind, false)}
}

// Call asks through c.
func (m Method[Q, R]) Call(ctx context.Context, c Caller, req Q) (R, error) {
	resp, err := c.Call(ctx, m.Descriptor, req)
	if err != nil {
		var none R
		return none, err
	}
	return resp.(R), nil
}

// Handle makes fn answer the method on x. It panics if another does.
func (m Method[Q, R]) Handle(x *Mux, fn func(ctx context.Context, req Q) (R, error)) {
	x.add(m.Name, func(ctx context.Context, req Message) (Message, error) {
		resp, err := fn(ctx, req.(Q))
		if err != nil {
			return nil, err
		}
		return resp, nil
	}, nil)
}

// A StreamMethod is a call with many answers.
type StreamMethod[Q, R Message] struct{ *Descriptor }

func streamMethod[Q, R Message](name string, kind Kind) StreamMethod[Q, R] {
	return StreamMethod[Q, R]{describe[Q, R](name, kind, true)}
}

// Call opens the stream through c. Cancel ctx to end it.
func (m StreamMethod[Q, R]) Call(ctx context.Context, c Caller, req Q) (TypedStream[R], error) {
	s, err := c.Stream(ctx, m.Descriptor, req)
	return TypedStream[R]{s}, err
}

// A TypedStream is a Stream whose messages have a type.
type TypedStream[R Message] struct{ s Stream }

// Recv waits for the next message; io.EOF at the end.
func (t TypedStream[R]) Recv() (R, error) {
	m, err := t.s.Recv()
	if err != nil {
		var none R
		return none, err
	}
	return m.(R), nil
}

// Handle makes fn answer the method on x. fn sends until it returns; send
// fails when the caller is gone.
func (m StreamMethod[Q, R]) Handle(x *Mux, fn func(ctx context.Context, req Q, send func(R) error) error) {
	x.add(m.Name, nil, func(ctx context.Context, req Message, send func(Message) error) error {
		return fn(ctx, req.(Q), func(r R) error { return send(r) })
	})
}

// A Mux finds the handler of a method. Fill it before it is used; then it is
// safe for use by many goroutines.
type Mux struct {
	calls   map[string]func(context.Context, Message) (Message, error)
	streams map[string]func(context.Context, Message, func(Message) error) error
}

// NewMux returns a Mux without handlers.
func NewMux() *Mux {
	return &Mux{
		calls:   map[string]func(context.Context, Message) (Message, error){},
		streams: map[string]func(context.Context, Message, func(Message) error) error{},
	}
}

func (x *Mux) add(name string, call func(context.Context, Message) (Message, error),
	stream func(context.Context, Message, func(Message) error) error,
) {
	if x.calls[name] != nil || x.streams[name] != nil {
		panic("rpc: method handled twice: " + name)
	}
	if call != nil {
		x.calls[name] = call
	} else {
		x.streams[name] = stream
	}
}

// Dispatch answers a call here.
func (x *Mux) Dispatch(ctx context.Context, d *Descriptor, req Message) (Message, error) {
	h := x.calls[d.Name]
	if h == nil {
		return nil, fmt.Errorf("call %s: no handler on this agent", d.Name)
	}
	return h(ctx, req)
}

// DispatchStream answers a streaming call here, until the handler returns.
func (x *Mux) DispatchStream(ctx context.Context, d *Descriptor, req Message, send func(Message) error) error {
	h := x.streams[d.Name]
	if h == nil {
		return fmt.Errorf("call %s: no handler on this agent", d.Name)
	}
	return h(ctx, req, send)
}

// Handles reports whether the method has a handler here.
func (x *Mux) Handles(d *Descriptor) bool { return x.calls[d.Name] != nil || x.streams[d.Name] != nil }
