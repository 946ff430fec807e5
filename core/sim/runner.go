package sim

import (
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Keys of a job's meta that say what its tasks do, as durations: how long they
// take to start (1 s when not given), after which time they end well or fail
// (never), and how long they take to stop (1 s).
const (
	MetaStarts = "sim.starts"
	MetaRuns   = "sim.runs"
	MetaFails  = "sim.fails"
	MetaStops  = "sim.stops"
)

// runner is an allocation on a node.
type runner struct {
	alloc  *model.Allocation // as the servers want it
	status string
	dirty  bool // the servers are to be told

	startAt, endAt, stopAt time.Time // zero: not planned
	started, ended         time.Time
	failed                 bool

	began   time.Time // of watching its health
	healthy *bool
	judged  time.Time
}

func newRunner(a *model.Allocation, now time.Time) *runner {
	r := &runner{alloc: a, status: model.AllocClientPending, began: now}
	r.startAt = now.Add(r.duration(MetaStarts, time.Second))
	if a.ServerTerminal() {
		r.startAt, r.stopAt = time.Time{}, now
		r.step(now)
	}
	return r
}

// duration reads what the job says of itself.
func (r *runner) duration(key string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(r.alloc.Job.Meta[key]); err == nil {
		return d
	}
	return otherwise
}

func (r *runner) dead() bool {
	return r.status == model.AllocClientComplete || r.status == model.AllocClientFailed
}

func (r *runner) end(now time.Time, failed bool) {
	r.status, r.failed, r.ended, r.dirty = model.AllocClientComplete, failed, now, true
	if failed {
		r.status = model.AllocClientFailed
	}
	r.startAt, r.endAt, r.stopAt = time.Time{}, time.Time{}, time.Time{}
	r.judge(now)
}

// update takes up what the servers changed.
func (r *runner) update(a *model.Allocation, now time.Time) {
	if a.AllocModifyIndex <= r.alloc.AllocModifyIndex {
		return
	}
	if a.DeploymentID != r.alloc.DeploymentID {
		r.began, r.healthy = now, nil
	}
	r.alloc = a
	if a.ServerTerminal() && !r.dead() && r.stopAt.IsZero() {
		r.stopAt = now.Add(r.duration(MetaStops, time.Second))
		if r.status == model.AllocClientPending {
			r.stopAt = now
		}
	}
	r.step(now)
}

// step does what is due.
func (r *runner) step(now time.Time) {
	due := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case r.dead():
		return
	case due(r.stopAt):
		r.end(now, false)
		return
	case due(r.startAt):
		r.status, r.started, r.startAt, r.dirty = model.AllocClientRunning, now, time.Time{}, true
		if d := r.duration(MetaRuns, 0); d > 0 {
			r.endAt = now.Add(d)
		}
		if d := r.duration(MetaFails, 0); d > 0 {
			r.endAt, r.failed = now.Add(d), true
		}
	case due(r.endAt):
		r.end(now, r.failed)
		return
	}
	r.judge(now)
}

// rules are how long an allocation must have run to be healthy, and until when;
// false when nobody asks.
func (r *runner) rules() (minimum, deadline time.Duration, ok bool) {
	g := r.alloc.Group()
	switch {
	case g == nil:
		return 0, 0, false
	case r.alloc.DeploymentID != "" && g.Update != nil:
		return g.Update.MinHealthyTime, g.Update.HealthyDeadline, g.Update.HealthCheck != model.HealthManual
	case r.alloc.Job.Type != model.JobTypeService:
		return 0, 0, false
	case g.Migrate != nil:
		return g.Migrate.MinHealthyTime, g.Migrate.HealthyDeadline, true
	}
	return 10 * time.Second, 5 * time.Minute, true
}

// judge decides on the health of the allocation.
func (r *runner) judge(now time.Time) {
	minimum, deadline, ok := r.rules()
	if !ok || r.healthy != nil || r.alloc.ServerTerminal() {
		return
	}
	var healthy bool
	switch {
	case r.dead():
	case r.status == model.AllocClientRunning && !now.Before(r.started.Add(minimum)):
		healthy = true
	case now.Before(r.began.Add(deadline)):
		return
	}
	r.healthy, r.judged, r.dirty = &healthy, now, true
}

// next is when something happens by itself; zero for never.
func (r *runner) next() time.Time {
	var next time.Time
	if r.dead() {
		return next
	}
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	sooner(r.startAt)
	sooner(r.endAt)
	sooner(r.stopAt)
	if minimum, deadline, ok := r.rules(); ok && r.healthy == nil && !r.alloc.ServerTerminal() {
		sooner(r.began.Add(deadline))
		if r.status == model.AllocClientRunning {
			sooner(r.started.Add(minimum))
		}
	}
	return next
}

// observed is what the node tells of the allocation.
func (r *runner) observed() *model.Allocation {
	a := r.alloc
	task := &model.TaskState{State: model.TaskStatePending, StartedAt: r.started, FinishedAt: r.ended}
	switch {
	case r.dead():
		task.State, task.Failed = model.TaskStateDead, r.failed
	case r.status == model.AllocClientRunning:
		task.State = model.TaskStateRunning
	}
	u := &model.Allocation{
		ID: a.ID, Namespace: a.Namespace, NodeID: a.NodeID, JobID: a.JobID, TaskGroup: a.TaskGroup,
		ClientStatus: r.status, TaskStates: map[string]*model.TaskState{},
	}
	for _, t := range a.Group().Tasks {
		u.TaskStates[t.Name] = task
	}
	if r.healthy != nil {
		u.DeploymentStatus = &model.AllocDeploymentStatus{Healthy: r.healthy, Timestamp: r.judged}
	}
	return u
}
