// Package periodic starts the children of periodic jobs when their time comes.
package periodic

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/cronexpr"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// Config is what a dispatcher works with.
type Config struct {
	Store *state.Store
	// Launch registers the child of a periodic job for a time.
	Launch func(parent *model.Job, at time.Time) (*model.Evaluation, error)
	// Apply writes a command and waits until it is applied.
	Apply func(fsm.Command) error
	Log   *slog.Logger
}

// A Dispatcher keeps the times of all periodic jobs; children are started while
// Run runs.
type Dispatcher struct {
	cfg Config

	mu   sync.Mutex
	jobs map[model.JobKey]time.Time // next launch
	wake chan struct{}
}

// New returns a dispatcher of no jobs.
func New(cfg Config) *Dispatcher {
	return &Dispatcher{cfg: cfg, jobs: map[model.JobKey]time.Time{}, wake: make(chan struct{}, 1)}
}

// Next returns the first time after now that a periodic job is due; the zero
// time if never.
func Next(p *model.PeriodicConfig, now time.Time) (time.Time, error) {
	zone := time.UTC
	if p.TimeZone != "" {
		z, err := time.LoadLocation(p.TimeZone)
		if err != nil {
			return time.Time{}, fmt.Errorf("time zone %q: %w", p.TimeZone, err)
		}
		zone = z
	}
	specs := p.Specs
	if p.Spec != "" {
		specs = append([]string{p.Spec}, specs...)
	}
	var first time.Time
	for _, spec := range specs {
		e, err := cronexpr.Parse(spec)
		if err != nil {
			return time.Time{}, fmt.Errorf("cron expression %q: %w", spec, err)
		}
		if at := e.Next(now.In(zone)); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first.UTC(), nil
}

// Tracked reports whether the dispatcher starts children of a job.
func Tracked(j *model.Job) bool {
	return j != nil && !j.Stop && j.IsPeriodic() && j.Periodic.Enabled && !j.IsParameterized()
}

// Restore takes up the periodic jobs of a state. A job whose time came while
// there was no leader is due once, now.
func (d *Dispatcher) Restore(snap *state.Snapshot) {
	now := time.Now()
	for j := range snap.Jobs(nil, model.AllNamespaces, "") {
		if !Tracked(j) {
			continue
		}
		from := now
		if l := snap.Launch(j.Key()); l != nil {
			from = time.Unix(l.Launch, 0)
		}
		at, err := Next(j.Periodic, from)
		if err != nil || at.IsZero() {
			continue
		}
		if at.Before(now) {
			at = now
		}
		d.set(j.Key(), at)
	}
}

// Changed notes that a job was registered, changed or removed. It does not
// block.
func (d *Dispatcher) Changed(before, after *model.Job) {
	switch {
	case Tracked(after):
		if Tracked(before) && before.JobModifyIndex == after.JobModifyIndex {
			return
		}
		if at, err := Next(after.Periodic, time.Now()); err == nil && !at.IsZero() {
			d.set(after.Key(), at)
		}
	case before != nil && before.IsPeriodic():
		d.mu.Lock()
		delete(d.jobs, before.Key())
		d.mu.Unlock()
	}
}

func (d *Dispatcher) set(k model.JobKey, at time.Time) {
	d.mu.Lock()
	d.jobs[k] = at
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run starts children until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		wait := time.Hour
		due := map[model.JobKey]time.Time{}
		d.mu.Lock()
		for k, at := range d.jobs {
			if at.After(now) {
				wait = min(wait, at.Sub(now))
				continue
			}
			due[k] = at
			delete(d.jobs, k)
		}
		d.mu.Unlock()
		for k, at := range due {
			d.launch(k, at, now)
		}
		if len(due) > 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-d.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// launch starts a child that is due, and sets the next time.
func (d *Dispatcher) launch(k model.JobKey, at, now time.Time) {
	snap := d.cfg.Store.Snapshot()
	job := snap.Job(nil, k)
	if !Tracked(job) {
		return
	}
	next, err := Next(job.Periodic, now)
	if err == nil && !next.IsZero() {
		d.set(k, next)
	}
	if job.Periodic.ProhibitOverlap && running(snap, k) {
		d.cfg.Log.Debug("a launch is left out: the last one still runs", "job", k.ID)
		return
	}
	if _, err := d.cfg.Launch(job, at); err != nil {
		d.cfg.Log.Warn("periodic job is not launched", "job", k.ID, "error", err)
	}
}

// running reports whether a child has something left to do.
func running(snap *state.Snapshot, k model.JobKey) bool {
	for c := range snap.Children(nil, k) {
		for e := range snap.EvalsByJob(nil, c.Key()) {
			if !e.Terminal() {
				return true
			}
		}
		for a := range snap.AllocsByJob(nil, c.Key()) {
			if !a.Terminal() {
				return true
			}
		}
	}
	return false
}

// ChildID is the ID of a periodic job's child for a time.
func ChildID(parent model.JobID, at time.Time) model.JobID {
	return model.JobID(fmt.Sprintf("%s/periodic-%d", parent, at.Unix()))
}
