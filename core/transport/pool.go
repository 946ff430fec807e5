package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// A Pool calls agents by address (host:port). It keeps one connection to each,
// which carries any number of calls. It is safe for use by many goroutines.
type Pool struct {
	mu     sync.Mutex
	conns  map[string]*grpc.ClientConn
	closed bool
}

// NewPool returns a pool without connections.
func NewPool() *Pool { return &Pool{conns: map[string]*grpc.ClientConn{}} }

// Close ends all connections; calls under way fail.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for addr, c := range p.conns {
		errs = append(errs, c.Close())
		delete(p.conns, addr)
	}
	return errors.Join(errs...)
}

func (p *Pool) conn(addr string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[addr]; c != nil {
		return c, nil
	}
	if p.closed {
		return nil, model.Errorf(model.ErrUnavailable, "call %s: this agent is stopping", addr)
	}
	c, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTime / 2, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: 3 * time.Second,
		}),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, model.Errorf(model.ErrUnavailable, "connect to %s: %w", addr, err)
	}
	p.conns[addr] = c
	return c, nil
}

// Call asks the agent at addr. forward says that the agent must not hand the
// call on to another.
func (p *Pool) Call(ctx context.Context, addr string, d *rpc.Descriptor, req rpc.Message, forward bool) (rpc.Message, error) {
	c, err := p.conn(addr)
	if err != nil {
		return nil, err
	}
	resp := d.NewResponse()
	var trailer metadata.MD
	if err := c.Invoke(outgoing(ctx, forward), servicePath+d.Name, req, resp, grpc.Trailer(&trailer)); err != nil {
		return nil, fromWire(ctx, d.Name, addr, err, trailer)
	}
	return resp, nil
}

// Stream opens a stream from the agent at addr. It fails late: with the first
// Recv.
func (p *Pool) Stream(ctx context.Context, addr string, d *rpc.Descriptor, req rpc.Message, forward bool) (rpc.Stream, error) {
	c, err := p.conn(addr)
	if err != nil {
		return nil, err
	}
	s, err := c.NewStream(outgoing(ctx, forward), &grpc.StreamDesc{ServerStreams: true}, servicePath+d.Name)
	if err != nil {
		return nil, fromWire(ctx, d.Name, addr, err, nil)
	}
	if err := errors.Join(s.SendMsg(req), s.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
		return nil, fromWire(ctx, d.Name, addr, err, s.Trailer())
	}
	return &farStream{ctx: ctx, d: d, addr: addr, s: s}, nil
}

func outgoing(ctx context.Context, forward bool) context.Context {
	if forward {
		return metadata.AppendToOutgoingContext(ctx, forwarded, "1")
	}
	return ctx
}

type farStream struct {
	ctx  context.Context
	d    *rpc.Descriptor
	addr string
	s    grpc.ClientStream
}

func (f *farStream) Recv() (rpc.Message, error) {
	m := f.d.NewResponse()
	if err := f.s.RecvMsg(m); err != nil {
		return nil, fromWire(f.ctx, f.d.Name, f.addr, err, f.s.Trailer())
	}
	return m, nil
}

func eofIsEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Dial opens a Raft stream to another server.
func (r *RaftStreams) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(r.ctx, "tcp", string(address))
	if err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte{firstRaft}); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
