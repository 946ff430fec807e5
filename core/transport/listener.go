package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/seraiproject/serai/core/rpc"
)

// The first byte of a connection.
const (
	firstRaft = 'R'
	firstGRPC = 'P' // of HTTP/2's PRI
)

// firstByteTimeout is how long a new connection may say nothing.
const firstByteTimeout = 10 * time.Second

// keepaliveTime is how long a connection may be silent before it is probed.
const keepaliveTime = 10 * time.Second

// A Listener accepts connections of Raft and of calls on one port.
type Listener struct {
	net    net.Listener
	log    *slog.Logger
	raft   *RaftStreams
	calls  *queue
	server *grpc.Server
	work   sync.WaitGroup
}

// Listen opens addr (host:port). Calls are answered once Serve is called; Raft
// streams are accepted at once.
func Listen(addr string, log *slog.Logger) (*Listener, error) {
	n, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for agents: %w", err)
	}
	l := &Listener{net: n, log: log}
	l.raft = &RaftStreams{queue: newQueue(n.Addr())}
	l.calls = newQueue(n.Addr())
	l.work.Go(l.accept)
	return l, nil
}

// Addr is where the listener listens.
func (l *Listener) Addr() net.Addr { return l.net.Addr() }

// Raft is the stream layer for core/consensus.
func (l *Listener) Raft() *RaftStreams { return l.raft }

// A Backend answers calls from afar. *Router is one.
type Backend interface {
	rpc.Caller
}

// Serve answers calls with b until Close. It is called once.
func (l *Listener) Serve(b Backend) {
	l.server = grpc.NewServer(
		grpc.ForceServerCodecV2(codec{}),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return serve(b, s) }),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTime}),
		grpc.WaitForHandlers(true),
	)
	l.work.Go(func() {
		if err := l.server.Serve(l.calls); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			l.log.Error("calls are not served any more", "error", err)
		}
	})
}

// Close stops to listen, ends all connections and waits until handlers ended.
func (l *Listener) Close() error {
	err := l.net.Close()
	l.raft.Close()
	l.calls.Close()
	if l.server != nil {
		l.server.Stop()
	}
	l.work.Wait()
	return err
}

func (l *Listener) accept() {
	for {
		c, err := l.net.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.log.Error("connections are not accepted any more", "error", err)
			}
			return
		}
		l.work.Go(func() { l.sort(c) })
	}
}

// sort reads the first byte and hands the connection on.
func (l *Listener) sort(c net.Conn) {
	var first [1]byte
	_ = c.SetReadDeadline(time.Now().Add(firstByteTimeout))
	stop := context.AfterFunc(l.calls.ctx, func() { c.Close() })
	_, err := c.Read(first[:])
	stop()
	_ = c.SetReadDeadline(time.Time{})
	switch {
	case err == nil && first[0] == firstRaft:
		l.raft.put(c)
	case err == nil && first[0] == firstGRPC:
		l.calls.put(&unread{Conn: c, first: first[:]})
	default:
		c.Close()
	}
}

// unread is a connection whose first bytes were read already.
type unread struct {
	net.Conn
	first []byte
}

func (u *unread) Read(b []byte) (int, error) {
	if len(u.first) > 0 {
		n := copy(b, u.first)
		u.first = u.first[n:]
		return n, nil
	}
	return u.Conn.Read(b)
}

// queue is a net.Listener of connections that were accepted elsewhere.
type queue struct {
	addr   net.Addr
	conns  chan net.Conn
	ctx    context.Context
	cancel context.CancelFunc
}

func newQueue(addr net.Addr) *queue {
	q := &queue{addr: addr, conns: make(chan net.Conn)}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

func (q *queue) put(c net.Conn) {
	select {
	case q.conns <- c:
	case <-q.ctx.Done():
		c.Close()
	}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	q.cancel()
	return nil
}

func (q *queue) Addr() net.Addr { return q.addr }

// RaftStreams is a raft.StreamLayer over the port.
type RaftStreams struct {
	*queue
	// Advertise is the address that others reach this server by; nil: the
	// one it listens on. Set it before it is used.
	Advertise net.Addr
}

// Addr is the address that others reach this server by.
func (r *RaftStreams) Addr() net.Addr {
	if r.Advertise != nil {
		return r.Advertise
	}
	return r.queue.Addr()
}

// serve answers one call.
func serve(b Backend, s grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(s)
	name, ok := strings.CutPrefix(path, servicePath)
	d := rpc.Descriptors()[name]
	if !ok || d == nil {
		return status.Errorf(codes.Unimplemented, "unknown call %q; the caller may be newer than this agent", path)
	}
	req := d.NewRequest()
	if err := s.RecvMsg(req); err != nil {
		return err
	}
	if md, ok := metadata.FromIncomingContext(s.Context()); ok && len(md.Get(forwarded)) > 0 {
		setForwarded(req)
	}
	var err error
	if d.Streaming {
		err = serveStream(b, s, d, req)
	} else {
		var resp rpc.Message
		if resp, err = b.Call(s.Context(), d, req); err == nil {
			err = s.SendMsg(resp)
		}
	}
	if err == nil {
		return nil
	}
	trailer, err := toWire(err)
	s.SetTrailer(trailer)
	return err
}

func serveStream(b Backend, s grpc.ServerStream, d *rpc.Descriptor, req rpc.Message) error {
	in, err := b.Stream(s.Context(), d, req)
	if err != nil {
		return err
	}
	for {
		m, err := in.Recv()
		if err != nil {
			return eofIsEnd(err)
		}
		if err := s.SendMsg(m); err != nil {
			return err
		}
	}
}

// setForwarded marks a request that this agent decoded, so nobody shares it.
func setForwarded(req rpc.Message) {
	switch r := req.(type) {
	case rpc.Query:
		r.Options().Forwarded = true
	case rpc.Mutation:
		r.Write().Forwarded = true
	}
}
