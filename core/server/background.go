package server

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// background does writes that nobody waits for, in order, away from the
// goroutine that found them needed. That may be the one that applies the log,
// which must not wait for the log.
type background struct {
	mu   sync.Mutex
	todo []func()
	wake chan struct{}
}

func (b *background) add(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.todo = append(b.todo, f)
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}

func (b *background) run(ctx context.Context) error {
	for {
		b.mu.Lock()
		todo := b.todo
		b.todo = nil
		var wake chan struct{}
		if len(todo) == 0 {
			wake = make(chan struct{})
			b.wake = wake
		}
		b.mu.Unlock()
		for _, f := range todo {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			f()
		}
		if wake == nil {
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// followUpWait is how long an evaluation that failed waits for its next try.
func followUpWait() time.Duration { return time.Minute + rand.N(5*time.Minute) }
