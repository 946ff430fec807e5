package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// A Client calls the servers of a region from an agent that is none. It stays
// with one server while that answers, and goes to the next when it does not.
// It is an rpc.Caller and safe for use by many goroutines.
type Client struct {
	pool *Pool

	mu      sync.Mutex
	servers []string // the first is in use
}

// NewClient returns a client of the servers at the given addresses
// (host:port), tried in a random order.
func NewClient(pool *Pool, servers []string) *Client {
	c := &Client{pool: pool}
	c.SetServers(servers)
	return c
}

// SetServers replaces the list. A server in use that is still listed stays in
// use. An empty list is ignored.
func (c *Client) SetServers(servers []string) {
	if len(servers) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := slices.Clone(servers)
	rand.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
	if len(c.servers) > 0 {
		if i := slices.Index(next, c.servers[0]); i > 0 {
			next[0], next[i] = next[i], next[0]
		}
	}
	c.servers = next
}

// Servers lists the addresses; the first is in use.
func (c *Client) Servers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.servers)
}

func (c *Client) current() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.servers) == 0 {
		return ""
	}
	return c.servers[0]
}

// leave stops to use addr, if it still is in use.
func (c *Client) leave(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.servers) > 1 && c.servers[0] == addr {
		c.servers = append(c.servers[1:len(c.servers):len(c.servers)], addr)
	}
}

// once are calls that must not be made twice: when the connection breaks,
// nobody knows if they were.
var once = map[string]bool{
	rpc.JobDispatch.Name: true, rpc.JobPeriodicForce.Name: true, rpc.JobRevert.Name: true, rpc.AllocStop.Name: true,
}

// Call asks a server. While servers cannot be reached or there is no leader it
// tries on, for HoldForLeader.
func (c *Client) Call(ctx context.Context, d *rpc.Descriptor, req rpc.Message) (rpc.Message, error) {
	var resp rpc.Message
	err := c.try(ctx, once[d.Name], func(addr string) (err error) {
		resp, err = c.pool.Call(ctx, addr, d, req, false)
		return err
	})
	return resp, err
}

// Stream opens a stream from a server. A stream that breaks later is opened
// anew by the caller.
func (c *Client) Stream(ctx context.Context, d *rpc.Descriptor, req rpc.Message) (rpc.Stream, error) {
	var s *watched
	err := c.try(ctx, false, func(addr string) error {
		far, err := c.pool.Stream(ctx, addr, d, req, false)
		s = &watched{Stream: far, broken: func() { c.leave(addr) }}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// watched makes the client use another server when a stream breaks.
type watched struct {
	rpc.Stream
	broken func()
}

func (w *watched) Recv() (rpc.Message, error) {
	m, err := w.Stream.Recv()
	if errors.Is(err, model.ErrUnavailable) {
		w.broken()
	}
	return m, err
}

func (c *Client) try(ctx context.Context, once bool, call func(addr string) error) error {
	deadline := time.Now().Add(HoldForLeader)
	pause := 10 * time.Millisecond
	for tries := 1; ; tries++ {
		addr := c.current()
		if addr == "" {
			return model.Errorf(model.ErrUnavailable, "no servers are known; set servers in the configuration or join one")
		}
		err := call(addr)
		if !errors.Is(err, model.ErrUnavailable) && !errors.Is(err, model.ErrNoLeader) {
			return err
		}
		c.leave(addr)
		if once && errors.Is(err, model.ErrUnavailable) || time.Now().After(deadline) {
			return err
		}
		if tries < len(c.Servers()) {
			continue // the next may well be there
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 500*time.Millisecond)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
