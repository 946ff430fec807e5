package heartbeat

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seraiproject/serai/core/model"
)

func TestSilentNodesAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		missed := map[model.NodeID]time.Duration{}
		start := time.Now()
		m := New(Config{Missed: func(_ context.Context, id model.NodeID) { missed[id] = time.Since(start) }})
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
		time.Sleep(31 * time.Second)
		if at, ok := missed["n"]; !ok || at != ttl+10*time.Second {
			t.Errorf("n was missed after %v, TTL %v", at, ttl)
		}
		if _, ok := missed["known"]; ok {
			t.Error("a node was missed before the time that a new leader gives")
		}
		time.Sleep(5 * time.Minute)
		if _, ok := missed["known"]; !ok || len(missed) != 2 {
			t.Errorf("missed are %v", missed)
		}
		m.Beat("late")
		cancel()
		<-done
		time.Sleep(time.Hour)
		if len(missed) != 2 || m.Len() != 0 {
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
