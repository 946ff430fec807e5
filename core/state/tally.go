package state

import (
	"maps"

	"github.com/seraiproject/serai/core/model"
)

// tally counts what belongs to a job, so that its status needs no search. It
// outlives the job while there is something to count.
type tally struct {
	key         model.JobKey
	liveAllocs  int
	evals       int
	liveEvals   int
	deployments int // active ones
}

// jobTouch gathers what one command does to a job.
type jobTouch struct {
	tally   tally
	old     *model.Job        // before the command
	summary *model.JobSummary // a copy that may be changed, or nil
	moved   bool              // the summary was changed
}

// touchJob returns the touch of a job within the command. The first call must
// come before the job itself is written.
func (t *Txn) touchJob(k model.JobKey) *jobTouch {
	if touch := t.jobs[k]; touch != nil {
		return touch
	}
	touch := &jobTouch{tally: tally{key: k}}
	if old, ok := first[*tally](t.Snapshot, nil, tableTally, byID, jobKey(k)); ok {
		touch.tally = *old
	}
	touch.old = t.Job(nil, k)
	if s := t.JobSummary(nil, k); s != nil {
		c := *s
		c.Summary = maps.Clone(s.Summary)
		if s.Children != nil {
			children := *s.Children
			c.Children = &children
		}
		touch.summary = &c
	}
	t.jobs[k] = touch
	return touch
}

// group changes the counts of a group.
func (touch *jobTouch) group(name string, change func(*model.TaskGroupSummary)) {
	if touch.summary == nil {
		return
	}
	g := touch.summary.Summary[name]
	before := g
	change(&g)
	if g != before {
		touch.summary.Summary[name] = g
		touch.moved = true
	}
}

// JobSummary returns the counts of a job, or nil.
func (s *Snapshot) JobSummary(ws WatchSet, k model.JobKey) *model.JobSummary {
	sum, _ := first[*model.JobSummary](s, ws, TableSummaries, byID, jobKey(k))
	return sum
}

// WatchSummaries makes ws fire when the counts of any job change.
func (s *Snapshot) WatchSummaries(ws WatchSet) {
	rows[*model.JobSummary](s, ws, TableSummaries, byID, nil)
}

// summaryGroups makes the job's summary have its groups.
func (t *Txn) summaryGroups(job *model.Job) {
	touch := t.touchJob(job.Key())
	if touch.summary == nil {
		touch.summary = &model.JobSummary{
			JobID: job.ID, Namespace: job.Namespace, Summary: map[string]model.TaskGroupSummary{},
			Children: &model.JobChildrenSummary{}, CreateIndex: t.now,
		}
		touch.moved = true
	}
	for _, g := range job.TaskGroups {
		if _, ok := touch.summary.Summary[g.Name]; !ok {
			touch.summary.Summary[g.Name] = model.TaskGroupSummary{}
			touch.moved = true
		}
	}
}

// flushJobs writes tallies and summaries and derives statuses. A child's
// status moves counts of its parent, which then is looked at too.
func (t *Txn) flushJobs() {
	for len(t.jobs) > 0 {
		for k, touch := range t.jobs {
			delete(t.jobs, k)
			t.flushJob(k, touch)
		}
	}
}

func (t *Txn) flushJob(k model.JobKey, touch *jobTouch) {
	t.flushTally(k, touch)
	job := t.Job(nil, k)
	if job == nil {
		if s := t.JobSummary(nil, k); s != nil {
			t.remove(TableSummaries, s)
		}
	} else {
		if status := jobStatus(job, &touch.tally); status != job.Status {
			next := *job
			next.Status, next.ModifyIndex = status, t.now
			t.put(TableJobs, &next)
			job = &next
		}
		if touch.summary != nil && touch.moved {
			touch.summary.ModifyIndex = t.now
			t.put(TableSummaries, touch.summary)
		}
	}
	if job != touch.old {
		t.changes.Jobs = append(t.changes.Jobs, Change[model.Job]{touch.old, job})
	}
	t.countChild(touch.old, job)
}

func (t *Txn) flushTally(k model.JobKey, touch *jobTouch) {
	old, had := first[*tally](t.Snapshot, nil, tableTally, byID, jobKey(k))
	empty := touch.tally == tally{key: k}
	switch {
	case had && *old == touch.tally, !had && empty:
	case empty:
		if err := t.txn.Delete(string(tableTally), old); err != nil {
			panic("state: " + err.Error())
		}
	default:
		row := touch.tally
		t.insert(tableTally, &row)
	}
}

// countChild moves the counts of the parent when a child's status changed.
func (t *Txn) countChild(old, job *model.Job) {
	ref := job
	if ref == nil {
		ref = old
	}
	if ref == nil || ref.ParentID == "" {
		return
	}
	var from, to string
	if old != nil {
		from = old.Status
	}
	if job != nil {
		to = job.Status
	}
	if from == to {
		return
	}
	parent := t.touchJob(model.JobKey{Namespace: ref.Namespace, ID: ref.ParentID})
	if parent.summary == nil || parent.summary.Children == nil {
		return
	}
	count := func(status string, n int64) {
		switch status {
		case model.JobStatusPending:
			parent.summary.Children.Pending += n
		case model.JobStatusRunning:
			parent.summary.Children.Running += n
		case model.JobStatusDead:
			parent.summary.Children.Dead += n
		}
	}
	count(from, -1)
	count(to, 1)
	parent.moved = true
}

// jobStatus derives the status of a job.
func jobStatus(j *model.Job, n *tally) string {
	switch {
	case j.Type == model.JobTypeSystem || j.IsPeriodic() || j.IsParameterized():
		if j.Stop {
			return model.JobStatusDead
		}
		return model.JobStatusRunning
	case n.deployments > 0, n.liveAllocs > 0:
		return model.JobStatusRunning
	case n.liveEvals > 0:
		return model.JobStatusPending
	case n.evals > 0, j.Stop, j.Status == model.JobStatusDead:
		// The last holds when its evaluations were collected since.
		return model.JobStatusDead
	}
	return model.JobStatusPending
}

// ReconcileSummaries counts the allocations of every job anew.
func (t *Txn) ReconcileSummaries() {
	for job := range t.Jobs(nil, model.AllNamespaces, "") {
		t.summaryGroups(job)
		touch := t.touchJob(job.Key())
		for name, g := range touch.summary.Summary {
			touch.summary.Summary[name] = model.TaskGroupSummary{Queued: g.Queued}
		}
		for a := range t.AllocsByJob(nil, job.Key()) {
			if belongs(a, job) {
				touch.group(a.TaskGroup, func(g *model.TaskGroupSummary) { countStatus(g, a.ClientStatus, 1) })
			}
		}
		children := &model.JobChildrenSummary{}
		for c := range t.Children(nil, job.Key()) {
			switch c.Status {
			case model.JobStatusPending:
				children.Pending++
			case model.JobStatusRunning:
				children.Running++
			case model.JobStatusDead:
				children.Dead++
			}
		}
		touch.summary.Children = children
		touch.moved = true
	}
}

// belongs reports whether the allocation is of this job, and not of an earlier
// one of the same ID.
func belongs(a *model.Allocation, job *model.Job) bool {
	return a.Job == nil || a.Job.CreateIndex == job.CreateIndex
}

func countStatus(g *model.TaskGroupSummary, status string, n int) {
	var c *int
	switch status {
	case model.AllocClientPending:
		c = &g.Starting
	case model.AllocClientRunning:
		c = &g.Running
	case model.AllocClientComplete:
		c = &g.Complete
	case model.AllocClientFailed:
		c = &g.Failed
	case model.AllocClientLost:
		c = &g.Lost
	case model.AllocClientUnknown:
		c = &g.Unknown
	default:
		return
	}
	*c = max(*c+n, 0)
}
