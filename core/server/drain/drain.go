// Package drain empties nodes: it marks the allocations of draining nodes for
// migration, as fast as each group's migrate block allows, and ends drains that
// are done.
//
// What may be marked is decided by a pure function over one snapshot (decide).
package drain

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// Config is what a drainer works with.
type Config struct {
	Store *state.Store
	// Apply writes a command and waits until it is applied.
	Apply func(fsm.Command) error
	Log   *slog.Logger
}

// A Drainer looks after draining nodes while Run runs.
type Drainer struct {
	cfg Config

	mu       sync.Mutex
	draining map[model.NodeID]bool
	wake     chan struct{}
}

// New returns a drainer of no nodes.
func New(cfg Config) *Drainer {
	return &Drainer{cfg: cfg, draining: map[model.NodeID]bool{}, wake: make(chan struct{}, 1)}
}

// Restore takes up the drains of a state.
func (d *Drainer) Restore(snap *state.Snapshot) {
	for n := range snap.Nodes(nil, "") {
		d.note(n, n.ID)
	}
}

func (d *Drainer) note(n *model.Node, id model.NodeID) {
	d.mu.Lock()
	if n != nil && n.DrainStrategy != nil {
		d.draining[id] = true
	} else {
		delete(d.draining, id)
	}
	any := len(d.draining) > 0
	d.mu.Unlock()
	if any {
		d.poke()
	}
}

func (d *Drainer) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Changed notes what was applied. It does not block.
func (d *Drainer) Changed(c *state.Changes) {
	for _, n := range c.Nodes {
		if n.After != nil {
			d.note(n.After, n.After.ID)
		} else {
			d.note(nil, n.Before.ID)
		}
	}
	if len(c.Allocs) == 0 {
		return
	}
	d.mu.Lock()
	any := len(d.draining) > 0
	d.mu.Unlock()
	if any {
		d.poke() // a replacement may be healthy now
	}
}

// retry is how long it takes until a step that failed is tried again.
const retry = 200 * time.Millisecond

// Run empties nodes until ctx ends.
func (d *Drainer) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d.mu.Lock()
		ids := make([]model.NodeID, 0, len(d.draining))
		for id := range d.draining {
			ids = append(ids, id)
		}
		d.mu.Unlock()
		wait := time.Hour
		if len(ids) > 0 {
			now := time.Now()
			next, err := d.step(ids, now)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if !errors.Is(err, model.ErrNoLeader) {
					d.cfg.Log.Warn("draining is held up, trying again", "error", err)
				}
				next = now.Add(retry)
			}
			if !next.IsZero() {
				wait = max(next.Sub(now), 0)
			}
		}
		timer.Reset(wait)
		select {
		case <-d.wake:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// step marks what may be marked now, and ends drains that are done. It returns
// when the next deadline is.
func (d *Drainer) step(ids []model.NodeID, now time.Time) (next time.Time, err error) {
	commands, next := Next(d.cfg.Store.Snapshot(), ids, now)
	for _, c := range commands {
		if err := d.cfg.Apply(c); err != nil {
			return time.Time{}, err
		}
	}
	return next, nil
}

// Next makes the commands that move the drains of nodes on, and tells when the
// next deadline is (zero: there is none). It depends on nothing but its
// arguments, except that IDs of evaluations are random.
func Next(snap *state.Snapshot, ids []model.NodeID, now time.Time) (commands []fsm.Command, deadline time.Time) {
	todo := decide(snap, ids, now)
	for _, m := range []struct {
		allocs []*model.Allocation
		noMore bool
	}{{todo.migrate, false}, {todo.stop, true}} {
		if len(m.allocs) > 0 {
			commands = append(commands, transition(snap, m.allocs, m.noMore, now))
		}
	}
	for _, n := range todo.done {
		commands = append(commands, complete(n, now))
	}
	return commands, todo.next
}

// transition makes the command that has allocations leave; noMore says that
// they are not to be replaced.
func transition(snap *state.Snapshot, allocs []*model.Allocation, noMore bool, now time.Time) *fsm.TransitionAllocs {
	yes := true
	c := &fsm.TransitionAllocs{Transition: model.DesiredTransition{Migrate: &yes}, Time: now.UnixNano()}
	if noMore {
		c.Transition.MigrateDisablePlacement = &yes
	}
	jobs := map[model.JobKey]bool{}
	for _, a := range allocs {
		c.Allocs = append(c.Allocs, a.ID)
		if jobs[a.JobKey()] {
			continue
		}
		jobs[a.JobKey()] = true
		if job := snap.Job(nil, a.JobKey()); job != nil {
			c.Evals = append(c.Evals, &model.Evaluation{
				ID: model.EvalID(model.NewUUID()), Namespace: job.Namespace, JobID: job.ID, Type: job.Type, Priority: job.Priority,
				TriggeredBy: model.TriggerNodeDrain, JobModifyIndex: job.JobModifyIndex, NodeID: a.NodeID,
				Status: model.EvalStatusPending, CreateTime: now.UnixNano(), ModifyTime: now.UnixNano(),
			})
		}
	}
	return c
}

// complete makes the command that ends a drain.
func complete(n *model.Node, now time.Time) *fsm.NodeDrain {
	details := map[string]string{}
	if late(n, now) {
		details["deadline_reached"] = "true"
	}
	last := &model.DrainMetadata{StartedAt: n.DrainStrategy.StartedAt, UpdatedAt: now.UTC(), Status: "complete"}
	if n.LastDrain != nil {
		last.Meta, last.AccessorID = n.LastDrain.Meta, n.LastDrain.AccessorID
	}
	return &fsm.NodeDrain{
		NodeID: n.ID, LastDrain: last,
		Event: &model.NodeEvent{Message: "Node drain complete", Subsystem: "Drain", Details: details, Timestamp: now.UTC()},
	}
}
