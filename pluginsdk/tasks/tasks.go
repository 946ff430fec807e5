// Package tasks keeps the live tasks of a driver process, and the bytes from which a later process finds them
// again.
//
// A Table maps task ids to entries. Every entry has one waiter, whose result all callers share; it stays in the
// table after the end of the task until it is destroyed. A Record is what goes into a host's handle.
package tasks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// ErrExists says that an id is in use.
var ErrExists = errors.New("task is already known")

// Outcome is how a task ended. Err says that the result is not known.
type Outcome struct {
	Code, Signal int
	OOMKilled    bool
	Err          error
	At           time.Time
}

// Entry is one task of a table. Its fields do not change.
type Entry[H any] struct {
	Config    *driverpb.TaskConfig
	Task      H
	StartedAt time.Time
	// Handle is what the host was given.
	Handle *driverpb.TaskHandle

	done    chan struct{}
	outcome Outcome
	// alone holds one token.
	alone chan struct{}
}

// Alone waits until no other caller of Alone is busy with this task. Release lets the next one in.
func (e *Entry[H]) Alone(ctx context.Context) (release func(), err error) {
	select {
	case e.alone <- struct{}{}:
		return func() { <-e.alone }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Done is closed when the task has ended.
func (e *Entry[H]) Done() <-chan struct{} { return e.done }

// Outcome is valid once Done is closed; ok says so.
func (e *Entry[H]) Outcome() (outcome Outcome, ok bool) {
	select {
	case <-e.done:
		return e.outcome, true
	default:
		return Outcome{}, false
	}
}

// Wait blocks until the task has ended or ctx has.
func (e *Entry[H]) Wait(ctx context.Context) (Outcome, error) {
	select {
	case <-e.done:
		return e.outcome, nil
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	}
}

// Table holds the tasks of one driver. The zero value is empty and ready. It is safe for concurrent use.
type Table[H any] struct {
	mu      sync.Mutex
	entries map[string]*Entry[H]
	claimed map[string]bool
	waiters sync.WaitGroup
}

// Claim takes an id for a task that is about to start or to be recovered, so that no second call can. It fails
// with ErrExists if the id is claimed or in use. The claim ends with Add or Release.
func (t *Table[H]) Claim(id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[id] != nil || t.claimed[id] {
		return fmt.Errorf("claim task %s: %w", id, ErrExists)
	}
	if t.claimed == nil {
		t.claimed = make(map[string]bool)
	}
	t.claimed[id] = true
	return nil
}

// Release gives a claim up.
func (t *Table[H]) Release(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.claimed, id)
}

// Add turns a claim into an entry and starts its waiter, a goroutine that runs wait once. When ctx has ended
// before the task, the entry stays open: the task goes on without this process.
func (t *Table[H]) Add(ctx context.Context, e Entry[H], wait func(context.Context) Outcome) *Entry[H] {
	e.done = make(chan struct{})
	e.alone = make(chan struct{}, 1)
	entry := &e
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.claimed, e.Config.GetId())
	if t.entries == nil {
		t.entries = make(map[string]*Entry[H])
	}
	t.entries[e.Config.GetId()] = entry
	t.waiters.Go(func() {
		outcome := wait(ctx)
		if outcome.Err != nil && ctx.Err() != nil {
			return
		}
		if outcome.At.IsZero() {
			outcome.At = time.Now()
		}
		entry.outcome = outcome
		close(entry.done)
	})
	return entry
}

// Entry finds a task; nil is unknown.
func (t *Table[H]) Entry(id string) *Entry[H] {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries[id]
}

// Remove forgets a task.
func (t *Table[H]) Remove(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entries, id)
}

// Len counts the tasks, ended ones included.
func (t *Table[H]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}

// Close waits for all waiters; their context must have been ended before.
func (t *Table[H]) Close() { t.waiters.Wait() }
