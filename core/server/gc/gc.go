// Package gc forgets what ended: evaluations with their allocations, jobs,
// deployments and nodes, some time after nothing happens to them any more.
package gc

import (
	"context"
	"log/slog"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// Thresholds say how long what ended is kept. The zero value of each means the
// usual.
type Thresholds struct {
	Interval   time.Duration // between collections; 5 min
	Eval       time.Duration // evaluations and their allocations; 1 h
	BatchEval  time.Duration // the same of batch jobs; 24 h
	Job        time.Duration // since it was submitted; 4 h
	Deployment time.Duration // 1 h
	Node       time.Duration // 24 h
}

func (t *Thresholds) fill() {
	for _, d := range []struct {
		to    *time.Duration
		usual time.Duration
	}{
		{&t.Interval, 5 * time.Minute},
		{&t.Eval, time.Hour},
		{&t.BatchEval, 24 * time.Hour},
		{&t.Job, 4 * time.Hour},
		{&t.Deployment, time.Hour},
		{&t.Node, 24 * time.Hour},
	} {
		if *d.to == 0 {
			*d.to = d.usual
		}
	}
}

// Config is what a collector works with.
type Config struct {
	Store *state.Store
	// Apply writes a command and waits until it is applied.
	Apply      func(fsm.Command) error
	Thresholds Thresholds
	Log        *slog.Logger
}

// A Collector collects while Run runs.
type Collector struct{ cfg Config }

// New returns a collector.
func New(cfg Config) *Collector {
	cfg.Thresholds.fill()
	return &Collector{cfg}
}

// batch bounds how much one command forgets.
const batch = 2048

// Run collects at intervals until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	tick := time.NewTicker(c.cfg.Thresholds.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := c.Collect(time.Now(), false); err != nil {
				c.cfg.Log.Warn("garbage collection ended early", "error", err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Collect forgets what may be forgotten; with force also what ended only now.
func (c *Collector) Collect(now time.Time, force bool) error {
	// Jobs first: their evaluations and allocations go with them.
	for _, find := range []func(*state.Snapshot, time.Time, bool) *fsm.Reap{c.jobs, c.evals, c.deployments} {
		for _, r := range split(find(c.cfg.Store.Snapshot(), now, force)) {
			if err := c.cfg.Apply(r); err != nil {
				return err
			}
		}
	}
	if ids := c.nodes(c.cfg.Store.Snapshot(), now, force); len(ids) > 0 {
		return c.cfg.Apply(&fsm.DeleteNodes{NodeIDs: ids})
	}
	return nil
}

// split cuts a command into ones of bounded size. Jobs are last, so that they
// go only after what belongs to them.
func split(r *fsm.Reap) []*fsm.Reap {
	var out []*fsm.Reap
	for len(r.Allocs) > 0 {
		n := min(len(r.Allocs), batch)
		out = append(out, &fsm.Reap{Allocs: r.Allocs[:n]})
		r.Allocs = r.Allocs[n:]
	}
	for len(r.Evals) > 0 {
		n := min(len(r.Evals), batch)
		out = append(out, &fsm.Reap{Evals: r.Evals[:n]})
		r.Evals = r.Evals[n:]
	}
	if len(r.Deployments)+len(r.Jobs) > 0 {
		out = append(out, &fsm.Reap{Deployments: r.Deployments, Jobs: r.Jobs})
	}
	return out
}

// old reports whether a time in Unix nanoseconds is longer ago than keep.
func old(at int64, keep time.Duration, now time.Time, force bool) bool {
	return force || now.Sub(time.Unix(0, at)) >= keep
}

// jobs finds dead jobs and all that belongs to them.
func (c *Collector) jobs(snap *state.Snapshot, now time.Time, force bool) *fsm.Reap {
	r := &fsm.Reap{}
	for j := range snap.Jobs(nil, model.AllNamespaces, "") {
		if j.Status != model.JobStatusDead || !old(j.SubmitTime, c.cfg.Thresholds.Job, now, force) ||
			(j.IsPeriodic() || j.IsParameterized()) && !j.Stop || tagged(snap, j.Key()) {
			continue
		}
		evals, allocs, ok := c.ofJob(snap, j, now, force)
		if !ok {
			continue
		}
		r.Jobs = append(r.Jobs, fsm.JobRef{Namespace: j.Namespace, ID: j.ID})
		r.Evals = append(r.Evals, evals...)
		r.Allocs = append(r.Allocs, allocs...)
	}
	return r
}

func tagged(snap *state.Snapshot, k model.JobKey) bool {
	for _, v := range snap.JobVersions(nil, k) {
		if v.VersionTag != nil {
			return true
		}
	}
	return false
}

// ofJob returns all evaluations and allocations of a job, if all may go.
func (c *Collector) ofJob(snap *state.Snapshot, j *model.Job, now time.Time, force bool) (evals []model.EvalID, allocs []model.AllocID, ok bool) {
	keep := c.cfg.Thresholds.Eval
	if j.Type == model.JobTypeBatch {
		keep = c.cfg.Thresholds.BatchEval
	}
	for e := range snap.EvalsByJob(nil, j.Key()) {
		if !e.Terminal() || !old(e.ModifyTime, keep, now, force) {
			return nil, nil, false
		}
		evals = append(evals, e.ID)
	}
	for a := range snap.AllocsByJob(nil, j.Key()) {
		if !ended(a) || !old(a.ModifyTime, keep, now, force) {
			return nil, nil, false
		}
		allocs = append(allocs, a.ID)
	}
	return evals, allocs, true
}

// ended reports whether an allocation is at its end for servers and node.
func ended(a *model.Allocation) bool {
	if !a.Terminal() {
		return false
	}
	return a.ClientTerminal() || a.ClientStatus == model.AllocClientPending && a.ServerTerminal() && a.TaskStates == nil
}

// evals finds ended evaluations whose allocations may all go, and these.
func (c *Collector) evals(snap *state.Snapshot, now time.Time, force bool) *fsm.Reap {
	r := &fsm.Reap{}
	for e := range snap.Evals(nil) {
		keep := c.cfg.Thresholds.Eval
		job := snap.Job(nil, e.JobKey())
		if e.Type == model.JobTypeBatch {
			keep = c.cfg.Thresholds.BatchEval
			// A batch job that may be evaluated again needs to know
			// what it has run; only older versions are forgotten.
			if job != nil && !(job.Status == model.JobStatusDead && job.Stop) {
				c.olderBatch(snap, e, job, now, force, r)
				continue
			}
		}
		if !e.Terminal() || !old(e.ModifyTime, keep, now, force) {
			continue
		}
		all := true
		var allocs []model.AllocID
		for a := range snap.AllocsByEval(nil, e.ID) {
			if mayForget(a, job, now) && old(a.ModifyTime, keep, now, force) {
				allocs = append(allocs, a.ID)
			} else {
				all = false
			}
		}
		r.Allocs = append(r.Allocs, allocs...)
		if all {
			r.Evals = append(r.Evals, e.ID)
		}
	}
	return r
}

func (c *Collector) olderBatch(snap *state.Snapshot, e *model.Evaluation, job *model.Job, now time.Time, force bool, r *fsm.Reap) {
	if !e.Terminal() || !old(e.ModifyTime, c.cfg.Thresholds.BatchEval, now, force) {
		return
	}
	for a := range snap.AllocsByEval(nil, e.ID) {
		if a.JobVersion < job.Version && ended(a) && old(a.ModifyTime, c.cfg.Thresholds.BatchEval, now, force) {
			r.Allocs = append(r.Allocs, a.ID)
		}
	}
}

// mayForget reports whether nothing will want to know of an allocation: a
// failed one that is still to be replaced is kept.
func mayForget(a *model.Allocation, job *model.Job, now time.Time) bool {
	if !ended(a) {
		return false
	}
	if job == nil || job.Stop || job.Status == model.JobStatusDead || a.DesiredStatus == model.AllocDesiredStop ||
		a.ClientStatus != model.AllocClientFailed || a.NextAllocation != "" {
		return true
	}
	g := a.Group()
	if g == nil || g.ReschedulePolicy == nil {
		return true
	}
	p := g.ReschedulePolicy
	if p.Unlimited {
		return false
	}
	tries, last := 0, int64(0)
	if a.RescheduleTracker != nil {
		tries = len(a.RescheduleTracker.Events)
		for _, e := range a.RescheduleTracker.Events {
			last = max(last, e.RescheduleTime)
		}
	}
	return p.Attempts == 0 || tries >= p.Attempts && now.Sub(time.Unix(0, last)) > p.Interval
}

// deployments finds ended deployments without live allocations.
func (c *Collector) deployments(snap *state.Snapshot, now time.Time, force bool) *fsm.Reap {
	r := &fsm.Reap{}
	for d := range snap.Deployments(nil) {
		if d.Active() || !old(d.ModifyTime, c.cfg.Thresholds.Deployment, now, force) {
			continue
		}
		live := false
		for a := range snap.AllocsByDeployment(nil, d.ID) {
			live = live || !a.Terminal()
		}
		if !live {
			r.Deployments = append(r.Deployments, d.ID)
		}
	}
	return r
}

// nodes finds nodes that are down and have nothing left to tell.
func (c *Collector) nodes(snap *state.Snapshot, now time.Time, force bool) []model.NodeID {
	var ids []model.NodeID
	for n := range snap.Nodes(nil, "") {
		if n.Status != model.NodeStatusDown || !old(n.StatusUpdatedAt*int64(time.Second), c.cfg.Thresholds.Node, now, force) {
			continue
		}
		live := false
		for a := range snap.AllocsByNode(nil, n.ID) {
			live = live || !a.Terminal()
		}
		if !live {
			ids = append(ids, n.ID)
		}
	}
	return ids
}
