package transport

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// A Topology is what a Router knows of the servers.
type Topology interface {
	// Leader returns the address of the region's leader, or nothing. here
	// says that it is this server, and ready to answer.
	Leader() (addr string, here bool)
	// LastContact is how long ago this server heard from the leader.
	LastContact() time.Duration
	// Servers lists addresses of servers of a region, in a random order.
	Servers(region string) []string
}

// HoldForLeader is how long a call waits for a leader to be there.
const HoldForLeader = 5 * time.Second

// leaderPoll is how often a waiting call looks if there is one.
const leaderPoll = 20 * time.Millisecond

// A Router answers the calls of a server's own agent, and those that come in
// from others: here, by the leader, or by a server of another region. It is
// the only place that forwards. It is an rpc.Caller.
type Router struct {
	region   string
	mux      *rpc.Mux
	pool     *Pool
	topology Topology
	streams  sync.WaitGroup
}

// NewRouter returns a router of a server in the given region, whose own
// handlers are mux.
func NewRouter(region string, mux *rpc.Mux, pool *Pool, t Topology) *Router {
	return &Router{region: region, mux: mux, pool: pool, topology: t}
}

// Wait waits until no stream is served here any more.
func (r *Router) Wait() { r.streams.Wait() }

// options returns what routing depends on.
func options(d *rpc.Descriptor, req rpc.Message) (region string, stale, forwarded bool) {
	switch q := req.(type) {
	case rpc.Query:
		o := q.Options()
		return o.Region, o.AllowStale || d.Kind == rpc.Local, o.Forwarded
	case rpc.Mutation:
		w := q.Write()
		return w.Region, d.Kind == rpc.Local, w.Forwarded
	}
	return "", d.Kind == rpc.Local, false
}

// route finds where a call is answered; an empty address is here.
func (r *Router) route(d *rpc.Descriptor, req rpc.Message) (addr string, forwarded bool, err error) {
	region, stale, forwarded := options(d, req)
	if region != "" && region != r.region {
		servers := r.topology.Servers(region)
		if len(servers) == 0 {
			return "", false, model.ErrNoRegion
		}
		return servers[0], false, nil
	}
	if stale {
		return "", false, nil
	}
	addr, here := r.topology.Leader()
	switch {
	case here:
		return "", false, nil
	case addr == "" || forwarded:
		return "", false, model.ErrNoLeader
	}
	return addr, true, nil
}

// Call answers a call.
func (r *Router) Call(ctx context.Context, d *rpc.Descriptor, req rpc.Message) (rpc.Message, error) {
	var resp rpc.Message
	err := r.hold(ctx, req, d, func(addr string, forward bool) (err error) {
		if addr == "" {
			resp, err = r.here(ctx, d, req)
		} else {
			resp, err = r.pool.Call(ctx, addr, d, req, forward)
		}
		return err
	})
	return resp, err
}

// hold tries until there is a leader. A call that was forwarded is held by the
// server that forwarded it.
func (r *Router) hold(ctx context.Context, req rpc.Message, d *rpc.Descriptor, try func(addr string, forward bool) error) error {
	_, _, forwarded := options(d, req)
	var limit <-chan time.Time
	for {
		addr, forward, err := r.route(d, req)
		if err == nil {
			err = try(addr, forward)
		}
		if !errors.Is(err, model.ErrNoLeader) || forwarded {
			return err
		}
		if limit == nil {
			limit = time.After(HoldForLeader)
		}
		select {
		case <-time.After(leaderPoll):
		case <-limit:
			return model.ErrNoLeader
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Router) here(ctx context.Context, d *rpc.Descriptor, req rpc.Message) (rpc.Message, error) {
	resp, err := r.mux.Dispatch(ctx, d, req)
	if err != nil {
		return nil, err
	}
	if q, ok := resp.(rpc.QueryAnswer); ok && d.Kind == rpc.Read {
		leader, _ := r.topology.Leader()
		q.Meta().KnownLeader = leader != ""
		q.Meta().LastContact = r.topology.LastContact()
	}
	return resp, nil
}

// Stream answers a streaming call.
func (r *Router) Stream(ctx context.Context, d *rpc.Descriptor, req rpc.Message) (rpc.Stream, error) {
	var s rpc.Stream
	err := r.hold(ctx, req, d, func(addr string, forward bool) (err error) {
		if addr != "" {
			s, err = r.pool.Stream(ctx, addr, d, req, forward)
			return err
		}
		near := &nearStream{ctx: ctx, messages: make(chan rpc.Message), done: make(chan struct{})}
		r.streams.Go(func() {
			defer close(near.done)
			near.err = r.mux.DispatchStream(ctx, d, req, near.send)
		})
		s = near
		return nil
	})
	return s, err
}

// nearStream hands over messages within the process.
type nearStream struct {
	ctx      context.Context
	messages chan rpc.Message
	done     chan struct{}
	err      error // once done is closed
}

func (n *nearStream) send(m rpc.Message) error {
	select {
	case n.messages <- m:
		return nil
	case <-n.ctx.Done():
		return n.ctx.Err()
	}
}

func (n *nearStream) Recv() (rpc.Message, error) {
	select {
	case m := <-n.messages:
		return m, nil
	case <-n.done:
		if n.err != nil {
			return nil, n.err
		}
		return nil, io.EOF
	}
}
