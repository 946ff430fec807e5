package wire

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/stats"
)

func TestAbandonedPluginsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy atomic.Bool
		ended := 0
		p := &presence{patience: time.Minute, idle: func() bool { return !busy.Load() }, end: func() { ended++ }}
		defer p.stop()
		p.start()
		ctx := context.Background()
		begin := func() { p.HandleConn(ctx, &stats.ConnBegin{}) }
		end := func() { p.HandleConn(ctx, &stats.ConnEnd{}) }
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}

		begin()
		pass(time.Hour)
		if ended != 0 {
			t.Fatal("ended while its host was there")
		}
		end()
		pass(30 * time.Second)
		begin() // the host is back
		pass(time.Hour)
		busy.Store(true)
		end()
		pass(time.Hour)
		if ended != 0 {
			t.Fatal("ended although it had tasks, or its host was back in time")
		}
		busy.Store(false)
		pass(time.Minute)
		if ended != 1 {
			t.Errorf("idle and alone, it was ended %d times", ended)
		}
	})
}
