// Package heartbeat notices nodes that went silent.
//
// It lives on the leader. Every node has a time by which it must be heard of;
// a node that is not becomes down or disconnected.
package heartbeat

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Config says how long nodes may be silent.
type Config struct {
	MinTTL       time.Duration // 0: 10 s
	MaxPerSecond float64       // heartbeats of all nodes together; 0: 50
	Grace        time.Duration // 0: 10 s
	FailoverTTL  time.Duration // for every node after a change of leader; 0: 5 min

	// Missed is called, in a goroutine of its own, when a node went silent.
	Missed func(ctx context.Context, id model.NodeID)
}

// A Monitor keeps the timers. It is safe for use by many goroutines.
type Monitor struct {
	cfg Config

	mu     sync.Mutex
	ctx    context.Context // of Run; nil before
	timers map[model.NodeID]*expectation
	work   sync.WaitGroup
}

// expectation is that a node is heard of in time; a later one replaces it.
type expectation struct{ timer *time.Timer }

// New returns a monitor of no nodes. Timers only go off while Run runs.
func New(cfg Config) *Monitor {
	if cfg.MinTTL <= 0 {
		cfg.MinTTL = 10 * time.Second
	}
	if cfg.MaxPerSecond <= 0 {
		cfg.MaxPerSecond = 50
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 10 * time.Second
	}
	if cfg.FailoverTTL <= 0 {
		cfg.FailoverTTL = 5 * time.Minute
	}
	return &Monitor{cfg: cfg, timers: map[model.NodeID]*expectation{}}
}

// Run watches until ctx ends: first all of the given nodes, with the long time
// that a change of leader allows.
func (m *Monitor) Run(ctx context.Context, nodes []model.NodeID) error {
	m.mu.Lock()
	m.ctx = ctx
	for _, id := range nodes {
		if m.timers[id] == nil {
			m.set(id, m.cfg.FailoverTTL)
		}
	}
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	m.ctx = nil
	for id, e := range m.timers {
		e.timer.Stop()
		delete(m.timers, id)
	}
	m.mu.Unlock()
	m.work.Wait()
	return ctx.Err()
}

// Beat notes that a node was heard of and returns by when it must be again.
func (m *Monitor) Beat(id model.NodeID) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	ttl := max(m.cfg.MinTTL, time.Duration(float64(len(m.timers))/m.cfg.MaxPerSecond*float64(time.Second)))
	ttl += rand.N(ttl)
	m.set(id, ttl+m.cfg.Grace)
	return ttl
}

// Forget stops to expect a node.
func (m *Monitor) Forget(id model.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.timers[id]; e != nil {
		e.timer.Stop()
		delete(m.timers, id)
	}
}

// Expect sets when a node that is away at most may come back.
func (m *Monitor) Expect(id model.NodeID, within time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(id, within)
}

func (m *Monitor) set(id model.NodeID, after time.Duration) {
	if e := m.timers[id]; e != nil {
		e.timer.Stop()
	}
	e := &expectation{}
	e.timer = time.AfterFunc(after, func() { m.missed(id, e) })
	m.timers[id] = e
}

func (m *Monitor) missed(id model.NodeID, e *expectation) {
	m.mu.Lock()
	if m.timers[id] != e || m.ctx == nil {
		m.mu.Unlock()
		return
	}
	delete(m.timers, id)
	ctx := m.ctx
	m.work.Add(1)
	m.mu.Unlock()
	defer m.work.Done()
	m.cfg.Missed(ctx, id)
}

// Len is how many nodes are expected.
func (m *Monitor) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.timers)
}
