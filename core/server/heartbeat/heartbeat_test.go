package heartbeat

import (
	"context"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// misses notes which nodes were missed, and when.
type misses struct {
	mu    sync.Mutex
	start time.Time
	nodes map[model.NodeID]time.Duration
}

func (m *misses) add(_ context.Context, id model.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[id] = time.Since(m.start)
}

// after lets time pass and returns who was missed by then.
func (m *misses) after(d time.Duration) map[model.NodeID]time.Duration {
	time.Sleep(d)
	synctest.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.nodes)
}

func TestSilentNodesAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := &misses{start: time.Now(), nodes: map[model.NodeID]time.Duration{}}
		m := New(Config{Missed: seen.add})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx, []model.NodeID{"known"}) }()
		synctest.Wait()
		ttl := m.Beat("n")
		if ttl < 10*time.Second || ttl > 20*time.Second {
			t.Errorf("TTL is %v", ttl)
		}
		m.Beat("gone")
		m.Forget("gone")
		missed := seen.after(31 * time.Second)
		if at, ok := missed["n"]; !ok || at != ttl+10*time.Second {
			t.Errorf("n was missed after %v, TTL %v", at, ttl)
		}
		if _, ok := missed["known"]; ok {
			t.Error("a node was missed before the time that a new leader gives")
		}
		missed = seen.after(5 * time.Minute)
		if _, ok := missed["known"]; !ok || len(missed) != 2 {
			t.Errorf("missed are %v", missed)
		}
		m.Beat("late")
		cancel()
		<-done
		if missed = seen.after(time.Hour); len(missed) != 2 || m.Len() != 0 {
			t.Errorf("missed after the end: %v", missed)
		}
	})
}

func TestManyNodesBeatLessOften(t *testing.T) {
	m := New(Config{MaxPerSecond: 1})
	for i := range 100 {
		m.Beat(model.NodeID(rune('a' + i)))
	}
	if ttl := m.Beat("n"); ttl < 100*time.Second {
		t.Errorf("TTL is %v", ttl)
	}
}
