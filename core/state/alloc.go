package state

import (
	"iter"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Alloc returns an allocation, or nil.
func (s *Snapshot) Alloc(ws WatchSet, id model.AllocID) *model.Allocation {
	a, _ := first[*model.Allocation](s, ws, TableAllocs, byID, key1(string(id)))
	return a
}

// Allocs returns all allocations by create index.
func (s *Snapshot) Allocs(ws WatchSet) iter.Seq[*model.Allocation] {
	return rows[*model.Allocation](s, ws, TableAllocs, byCreate, nil)
}

// AllocsReverse returns all allocations, newest first.
func (s *Snapshot) AllocsReverse() iter.Seq[*model.Allocation] {
	return rowsReverse[*model.Allocation](s, TableAllocs, byCreate, nil)
}

// AllocsByPrefix returns the allocations whose ID starts with prefix, by ID.
func (s *Snapshot) AllocsByPrefix(ws WatchSet, prefix string) iter.Seq[*model.Allocation] {
	return rows[*model.Allocation](s, ws, TableAllocs, byID, prefix1(prefix))
}

// AllocsByJob returns the allocations of a job, also of an earlier job of the
// same ID.
func (s *Snapshot) AllocsByJob(ws WatchSet, k model.JobKey) iter.Seq[*model.Allocation] {
	return rows[*model.Allocation](s, ws, TableAllocs, byJob, jobKey(k))
}

// AllocsByNode returns the allocations of a node.
func (s *Snapshot) AllocsByNode(ws WatchSet, id model.NodeID) iter.Seq[*model.Allocation] {
	return rows[*model.Allocation](s, ws, TableAllocs, byNode, key1(string(id)))
}

// AllocsByEval returns the allocations that an evaluation placed or updated.
func (s *Snapshot) AllocsByEval(ws WatchSet, id model.EvalID) iter.Seq[*model.Allocation] {
	return rows[*model.Allocation](s, ws, TableAllocs, byEval, key1(string(id)))
}

// AllocsByDeployment returns the allocations of a deployment.
func (s *Snapshot) AllocsByDeployment(ws WatchSet, id model.DeploymentID) iter.Seq[*model.Allocation] {
	return rows[*model.Allocation](s, ws, TableAllocs, byDeployment, key1(string(id)))
}

// PlaceAlloc writes an allocation that a plan placed or updated. What its node
// observed stays as it is, unless the plan says that the allocation became
// unknown, or no longer is. jobs are those that the plan carries; the one of
// the allocation's JobVersion is what it runs.
func (t *Txn) PlaceAlloc(a *model.Allocation, jobs []*model.Job) {
	old := t.Alloc(nil, a.ID)
	next := *a
	if next.Job = t.jobOf(a, old, jobs); next.Job == nil {
		return // the job was purged while the plan was on its way
	}
	if old != nil {
		next.CreateIndex, next.CreateTime = old.CreateIndex, old.CreateTime
		next.TaskStates, next.NetworkStatus = old.TaskStates, old.NetworkStatus
		next.NextAllocation = old.NextAllocation
		if old.DeploymentID == next.DeploymentID {
			next.DeploymentStatus = old.DeploymentStatus
		}
		if cut, back := a.ClientStatus == model.AllocClientUnknown, old.ClientStatus == model.AllocClientUnknown; cut == back {
			next.ClientStatus, next.ClientDescription = old.ClientStatus, old.ClientDescription
			// More changes than are stored: it reported again by itself,
			// and the plan notes that it is back.
			if len(next.StateChanges) <= len(old.StateChanges) {
				next.StateChanges = old.StateChanges
			}
		}
	} else {
		next.CreateIndex = t.now
		if next.ClientStatus == "" {
			next.ClientStatus = model.AllocClientPending
		}
		if prev := t.Alloc(nil, next.PreviousAllocation); prev != nil && prev.NextAllocation != next.ID {
			linked := *prev
			linked.NextAllocation = next.ID
			t.putAlloc(prev, &linked, false)
		}
	}
	if next.DeploymentStatus != nil && (old == nil || old.DeploymentStatus != next.DeploymentStatus) {
		status := *next.DeploymentStatus
		status.ModifyIndex = t.now
		next.DeploymentStatus = &status
	}
	t.putAlloc(old, &next, true)
}

// jobOf returns the job that an allocation runs: what it ran before if the
// version is the same, else the stored version, so that allocations of one
// version hold the same value, else the one that the plan carries.
func (t *Txn) jobOf(a, old *model.Allocation, jobs []*model.Job) *model.Job {
	var carried *model.Job
	for _, j := range jobs {
		if j.Version == a.JobVersion {
			carried = j
		}
	}
	if old != nil && old.Job != nil && old.JobVersion == a.JobVersion &&
		(carried == nil || old.Job.JobModifyIndex == carried.JobModifyIndex) {
		return old.Job
	}
	v := t.JobVersion(nil, a.JobKey(), a.JobVersion)
	if v != nil && (carried == nil || v.CreateIndex == carried.CreateIndex && v.JobModifyIndex == carried.JobModifyIndex) {
		return v
	}
	return carried
}

// StopAlloc changes what the servers want of an allocation, if it is there.
func (t *Txn) StopAlloc(s *AllocStop, now int64) {
	old := t.Alloc(nil, s.ID)
	if old == nil {
		return
	}
	next := *old
	next.DesiredStatus, next.DesiredDescription = s.DesiredStatus, s.DesiredDescription
	if s.ClientStatus != "" && !old.ClientTerminal() {
		next.ClientStatus = s.ClientStatus
		next.StateChanges = stateChanges(old, s.ClientStatus, now)
	}
	if s.ClientDescription != "" {
		next.ClientDescription = s.ClientDescription
	}
	if s.FollowupEvalID != "" {
		next.FollowupEvalID = s.FollowupEvalID
	}
	if s.PreemptedBy != "" {
		next.PreemptedByAllocation = s.PreemptedBy
	}
	next.ModifyTime = now
	t.putAlloc(old, &next, true)
}

// stateChanges appends a change of the client status by the servers.
func stateChanges(old *model.Allocation, status string, now int64) []model.AllocStateChange {
	if old.ClientStatus == status {
		return old.StateChanges
	}
	c := model.AllocStateChange{ClientStatus: status, Time: time.Unix(0, now).UTC()}
	return append(old.StateChanges[:len(old.StateChanges):len(old.StateChanges)], c)
}

// UpdateAllocFromNode writes what a node observed of an allocation, if it is
// there and on that node.
func (t *Txn) UpdateAllocFromNode(u *model.Allocation, now int64) {
	old := t.Alloc(nil, u.ID)
	if old == nil || u.NodeID != "" && old.NodeID != u.NodeID {
		return
	}
	next := *old
	next.ClientStatus, next.ClientDescription = u.ClientStatus, u.ClientDescription
	next.TaskStates = u.TaskStates
	if u.NetworkStatus != nil {
		next.NetworkStatus = u.NetworkStatus
	}
	if h := u.DeploymentStatus; h != nil && h.Healthy != nil {
		status := model.AllocDeploymentStatus{}
		if old.DeploymentStatus != nil {
			status = *old.DeploymentStatus
		}
		if status.Healthy == nil || *status.Healthy != *h.Healthy {
			healthy := *h.Healthy
			status.Healthy, status.Timestamp, status.ModifyIndex = &healthy, h.Timestamp, t.now
			if status.Timestamp.IsZero() {
				status.Timestamp = time.Unix(0, now).UTC()
			}
			next.DeploymentStatus = &status
		}
	}
	next.ModifyTime = now
	t.putAlloc(old, &next, false)
}

// SetAllocHealth sets the health of an allocation by hand, if it is there.
func (t *Txn) SetAllocHealth(id model.AllocID, healthy bool, now int64) {
	if old := t.Alloc(nil, id); old != nil {
		t.UpdateAllocFromNode(&model.Allocation{
			ID: id, ClientStatus: old.ClientStatus, ClientDescription: old.ClientDescription, TaskStates: old.TaskStates,
			DeploymentStatus: &model.AllocDeploymentStatus{Healthy: &healthy, Timestamp: time.Unix(0, now).UTC()},
		}, now)
	}
}

// SetTransition asks the scheduler to move an allocation, if it is there. Only
// what is set in d changes.
func (t *Txn) SetTransition(id model.AllocID, d *model.DesiredTransition, now int64) {
	old := t.Alloc(nil, id)
	if old == nil {
		return
	}
	next := *old
	for _, m := range []struct{ to, from **bool }{
		{&next.DesiredTransition.Migrate, &d.Migrate},
		{&next.DesiredTransition.Reschedule, &d.Reschedule},
		{&next.DesiredTransition.ForceReschedule, &d.ForceReschedule},
		{&next.DesiredTransition.NoShutdownDelay, &d.NoShutdownDelay},
		{&next.DesiredTransition.MigrateDisablePlacement, &d.MigrateDisablePlacement},
	} {
		if *m.from != nil {
			*m.to = *m.from
		}
	}
	next.ModifyTime = now
	t.putAlloc(old, &next, true)
}

// DeleteAlloc forgets an allocation, if it is there.
func (t *Txn) DeleteAlloc(id model.AllocID) {
	old := t.Alloc(nil, id)
	if old == nil {
		return
	}
	t.remove(TableAllocs, old)
	if !old.Terminal() {
		t.touchJob(old.JobKey()).tally.liveAllocs--
	}
	t.changeAlloc(old, nil)
	t.changes.Allocs = append(t.changes.Allocs, Change[model.Allocation]{old, nil})
}

// putAlloc writes the row of an allocation and all that follows from it.
// server says that the change is one that the node must see.
func (t *Txn) putAlloc(old, next *model.Allocation, server bool) {
	next.ModifyIndex = t.now
	if server {
		next.AllocModifyIndex = t.now
	}
	t.put(TableAllocs, next)
	touch := t.touchJob(next.JobKey())
	if old != nil && !old.Terminal() {
		touch.tally.liveAllocs--
	}
	if !next.Terminal() {
		touch.tally.liveAllocs++
	}
	if old == nil || old.ClientStatus != next.ClientStatus {
		if job := t.Job(nil, next.JobKey()); job != nil && belongs(next, job) {
			touch.group(next.TaskGroup, func(g *model.TaskGroupSummary) {
				if old != nil {
					countStatus(g, old.ClientStatus, -1)
				}
				countStatus(g, next.ClientStatus, 1)
			})
		}
	}
	t.countDeployment(old, next)
	t.changeAlloc(old, next)
	t.changes.Allocs = append(t.changes.Allocs, Change[model.Allocation]{old, next})
}
