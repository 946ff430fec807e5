// Package deployment moves rollouts on: it has the next step evaluated as soon
// as an allocation becomes healthy, promotes canaries, and fails deployments
// that are unhealthy or late.
//
// Nodes decide health; the state counts it. The Watcher lives on the leader and
// acts on what changes, without polling: what to do is decided by a pure
// function (decide).
package deployment

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

// Config is what a watcher works with.
type Config struct {
	Store *state.Store
	// Apply writes a command and waits until it is applied.
	Apply func(fsm.Command) error
	Log   *slog.Logger
}

// A Watcher looks after all active deployments while Run runs.
type Watcher struct {
	cfg Config

	mu    sync.Mutex
	dirty map[model.DeploymentID]bool // to be looked at; true: the next step may be due
	wake  chan struct{}

	deadlines map[model.DeploymentID]time.Time // of Run only
}

// New returns a watcher of no deployments.
func New(cfg Config) *Watcher {
	return &Watcher{
		cfg: cfg, dirty: map[model.DeploymentID]bool{}, wake: make(chan struct{}, 1),
		deadlines: map[model.DeploymentID]time.Time{},
	}
}

func (w *Watcher) mark(id model.DeploymentID, step bool) {
	w.mu.Lock()
	w.dirty[id] = w.dirty[id] || step
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Restore has every active deployment looked at.
func (w *Watcher) Restore(snap *state.Snapshot) {
	for d := range snap.Deployments(nil) {
		if d.Active() {
			w.mark(d.ID, true)
		}
	}
}

// Changed notes what was applied. It does not block.
func (w *Watcher) Changed(c *state.Changes) {
	for _, d := range c.Deployments {
		if d.After != nil && d.After.Active() {
			w.mark(d.After.ID, false)
		}
	}
	for _, a := range c.Allocs {
		if a.After == nil || a.After.DeploymentID == "" || a.Before == nil {
			continue
		}
		was, is := a.Before.DeploymentStatus, a.After.DeploymentStatus
		if was.IsHealthy() != is.IsHealthy() || was.IsUnhealthy() != is.IsUnhealthy() {
			w.mark(a.After.DeploymentID, true)
		} else if a.After.ClientStatus == model.AllocClientFailed && a.Before.ClientStatus != model.AllocClientFailed {
			w.mark(a.After.DeploymentID, false)
		}
	}
}

// retry is how long it takes until a deployment that could not be moved on is
// looked at again.
const retry = 200 * time.Millisecond

// Run looks after deployments until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		w.mu.Lock()
		dirty := w.dirty
		w.dirty = map[model.DeploymentID]bool{}
		w.mu.Unlock()
		now := time.Now()
		again := map[model.DeploymentID]bool{}
		for id, at := range w.deadlines {
			if !now.Before(at) {
				if _, known := dirty[id]; !known {
					dirty[id] = false // a look, without a step
				}
			}
		}
		for id, step := range dirty {
			if err := w.look(id, step, now); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if !errors.Is(err, model.ErrNoLeader) {
					w.cfg.Log.Warn("deployment is not moved on, trying again", "deployment", id, "error", err)
				}
				again[id] = step
			}
		}
		wait := w.next(now)
		if len(again) > 0 {
			wait = min(wait, retry)
			w.mu.Lock()
			for id, step := range again {
				w.dirty[id] = w.dirty[id] || step
			}
			w.mu.Unlock()
		}
		timer.Reset(wait)
		select {
		case <-w.wake:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next is how long until the earliest deadline.
func (w *Watcher) next(now time.Time) time.Duration {
	wait := time.Hour
	for _, at := range w.deadlines {
		wait = min(wait, max(at.Sub(now), 0))
	}
	return wait
}

// look does what is to be done about a deployment; step says that an
// evaluation is wanted anyway.
func (w *Watcher) look(id model.DeploymentID, step bool, now time.Time) error {
	c, deadline := Next(w.cfg.Store.Snapshot(), id, step, now)
	delete(w.deadlines, id)
	if !deadline.IsZero() {
		w.deadlines[id] = deadline
	}
	if c == nil {
		return nil
	}
	return w.cfg.Apply(c)
}

// Next makes the command that takes the next step of a deployment; nil when
// there is nothing to do. It depends on nothing but its arguments, except that
// IDs of evaluations are random. step says that an evaluation is wanted anyway;
// deadline is when to look again even if nothing changes (zero: never).
func Next(snap *state.Snapshot, id model.DeploymentID, step bool, now time.Time) (c fsm.Command, deadline time.Time) {
	d := snap.Deployment(nil, id)
	if d == nil || d.Status != model.DeploymentStatusRunning {
		return nil, time.Time{}
	}
	job := snap.Job(nil, model.JobKey{Namespace: d.Namespace, ID: d.JobID})
	var allocs []*model.Allocation
	for a := range snap.AllocsByDeployment(nil, id) {
		allocs = append(allocs, a)
	}
	a := decide(d, job, allocs, now)
	switch {
	case a.fail != "":
		return Fail(snap, d, a.fail, a.revert, now), a.deadline
	case a.promote:
		return &fsm.PromoteDeployment{DeploymentID: id, All: true, Eval: NewEval(d, job, now), Time: now.UnixNano()}, a.deadline
	}
	eval := NewEval(d, job, now)
	switch {
	case eval == nil:
	case len(a.reschedule) > 0:
		yes := true
		return &fsm.TransitionAllocs{
			Allocs: a.reschedule, Transition: model.DesiredTransition{Reschedule: &yes},
			Evals: []*model.Evaluation{eval}, Time: now.UnixNano(),
		}, a.deadline
	case step:
		return &fsm.UpdateEvals{Evals: []*model.Evaluation{eval}}, a.deadline
	}
	return nil, a.deadline
}
