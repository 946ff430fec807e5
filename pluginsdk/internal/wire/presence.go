package wire

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/stats"
)

// abandonedTime is how long a plugin without tasks waits for a host to come
// back. One that has tasks waits for ever.
const abandonedTime = 10 * time.Minute

// presence counts the connections of hosts, and calls end when there has been
// none for a while and the plugin is idle: a host that is gone for good, such as
// a killed development agent, leaves nobody who would end its plugins.
type presence struct {
	patience time.Duration
	idle     func() bool // nil: never
	end      func()

	mu    sync.Mutex
	conns int
	timer *time.Timer
}

// start begins to wait for the first host.
func (p *presence) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wait()
}

// wait arms the timer; p.mu is held.
func (p *presence) wait() {
	if p.idle == nil {
		return
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timer = time.AfterFunc(p.patience, p.look)
}

func (p *presence) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.conns > 0:
	case p.idle():
		p.end()
	default:
		p.wait()
	}
}

// stop ends the wait.
func (p *presence) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
	}
}

// HandleConn implements stats.Handler.
func (p *presence) HandleConn(_ context.Context, s stats.ConnStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s.(type) {
	case *stats.ConnBegin:
		p.conns++
	case *stats.ConnEnd:
		if p.conns--; p.conns == 0 {
			p.wait()
		}
	}
}

// TagConn implements stats.Handler.
func (p *presence) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// TagRPC implements stats.Handler.
func (p *presence) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (p *presence) HandleRPC(context.Context, stats.RPCStats) {}
