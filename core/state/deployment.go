package state

import (
	"iter"
	"slices"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Deployment returns a deployment, or nil.
func (s *Snapshot) Deployment(ws WatchSet, id model.DeploymentID) *model.Deployment {
	d, _ := first[*model.Deployment](s, ws, TableDeployments, byID, key1(string(id)))
	return d
}

// Deployments returns all deployments by create index.
func (s *Snapshot) Deployments(ws WatchSet) iter.Seq[*model.Deployment] {
	return rows[*model.Deployment](s, ws, TableDeployments, byCreate, nil)
}

// DeploymentsReverse returns all deployments, newest first.
func (s *Snapshot) DeploymentsReverse() iter.Seq[*model.Deployment] {
	return rowsReverse[*model.Deployment](s, TableDeployments, byCreate, nil)
}

// DeploymentsByPrefix returns the deployments whose ID starts with prefix, by
// ID.
func (s *Snapshot) DeploymentsByPrefix(ws WatchSet, prefix string) iter.Seq[*model.Deployment] {
	return rows[*model.Deployment](s, ws, TableDeployments, byID, prefix1(prefix))
}

// DeploymentsByJob returns the deployments of a job.
func (s *Snapshot) DeploymentsByJob(ws WatchSet, k model.JobKey) iter.Seq[*model.Deployment] {
	return rows[*model.Deployment](s, ws, TableDeployments, byJob, jobKey(k))
}

// LatestDeployment returns the newest deployment of a job, or nil.
func (s *Snapshot) LatestDeployment(ws WatchSet, k model.JobKey) *model.Deployment {
	var latest *model.Deployment
	for d := range s.DeploymentsByJob(ws, k) {
		if latest == nil || d.CreateIndex > latest.CreateIndex {
			latest = d
		}
	}
	return latest
}

// changeDeployment returns a clone of a deployment that the command may change
// until Flush, or nil.
func (t *Txn) changeDeployment(id model.DeploymentID) *model.Deployment {
	if d := t.deps[id]; d != nil {
		return d
	}
	old := t.Deployment(nil, id)
	if old == nil {
		return nil
	}
	d := old.Clone()
	t.deps[id] = d
	return d
}

// flushDeployments writes the deployments the command changed.
func (t *Txn) flushDeployments() {
	for id, d := range t.deps {
		delete(t.deps, id)
		t.putDeployment(d)
	}
}

func (t *Txn) putDeployment(d *model.Deployment) {
	old := t.Deployment(nil, d.ID)
	d.ModifyIndex = t.now
	if old == nil {
		d.CreateIndex = t.now
	}
	t.put(TableDeployments, d)
	touch := t.touchJob(model.JobKey{Namespace: d.Namespace, ID: d.JobID})
	if old != nil && old.Active() {
		touch.tally.deployments--
	}
	if d.Active() {
		touch.tally.deployments++
	}
	t.changes.Deployments = append(t.changes.Deployments, Change[model.Deployment]{old, d})
}

// UpsertDeployment writes a deployment. A job has one active deployment at
// most: others are cancelled.
func (t *Txn) UpsertDeployment(d *model.Deployment) {
	if d.Active() {
		k := model.JobKey{Namespace: d.Namespace, ID: d.JobID}
		for other := range t.DeploymentsByJob(nil, k) {
			if other.ID != d.ID && other.Active() {
				c := t.changeDeployment(other.ID)
				c.Status = model.DeploymentStatusCancelled
				c.StatusDescription = "Cancelled due to newer version of job"
				c.ModifyTime = d.ModifyTime
			}
		}
	}
	c := d.Clone()
	if c.TaskGroups == nil {
		c.TaskGroups = map[string]*model.DeploymentState{}
	}
	t.deps[d.ID] = c
}

// SetDeploymentStatus changes the status of a deployment that is not at its
// end. A successful one makes its job's version stable.
func (t *Txn) SetDeploymentStatus(u *model.DeploymentStatusUpdate) {
	d := t.changeDeployment(u.DeploymentID)
	if d == nil || !d.Active() {
		return
	}
	d.Status, d.StatusDescription = u.Status, u.StatusDescription
	if u.UpdatedAt != 0 {
		d.ModifyTime = u.UpdatedAt
	}
	if u.Status == model.DeploymentStatusSuccessful {
		t.SetStable(model.JobKey{Namespace: d.Namespace, ID: d.JobID}, d.JobVersion, true)
	}
}

// Promote promotes the canaries of the groups (all when groups is nil) and
// moves their deadlines.
func (t *Txn) Promote(id model.DeploymentID, groups []string, now time.Time) {
	d := t.changeDeployment(id)
	if d == nil {
		return
	}
	canaries := map[model.AllocID]bool{}
	for name, g := range d.TaskGroups {
		if groups != nil && !slices.Contains(groups, name) || g.DesiredCanaries == 0 || g.Promoted {
			continue
		}
		g.Promoted = true
		if g.ProgressDeadline > 0 {
			g.RequireProgressBy = now.Add(g.ProgressDeadline)
		}
		for _, a := range g.PlacedCanaries {
			canaries[a] = true
		}
	}
	d.ModifyTime = now.UnixNano()
	if d.Status == model.DeploymentStatusRunning && !d.RequiresPromotion() {
		d.StatusDescription = "Deployment is running"
	}
	for a := range canaries {
		old := t.Alloc(nil, a)
		if old == nil || !old.DeploymentStatus.IsCanary() {
			continue
		}
		next := *old
		status := *old.DeploymentStatus
		status.Canary, status.ModifyIndex = false, t.now
		next.DeploymentStatus = &status
		t.putAlloc(old, &next, true)
	}
}

// DeleteDeployment forgets a deployment, if it is there.
func (t *Txn) DeleteDeployment(id model.DeploymentID) {
	old := t.Deployment(nil, id)
	if old == nil {
		return
	}
	delete(t.deps, id)
	t.remove(TableDeployments, old)
	if old.Active() {
		t.touchJob(model.JobKey{Namespace: old.Namespace, ID: old.JobID}).tally.deployments--
	}
	t.changes.Deployments = append(t.changes.Deployments, Change[model.Deployment]{old, nil})
}

// countDeployment moves the counters of deployments when an allocation
// changed. old is nil for a new one.
func (t *Txn) countDeployment(old, a *model.Allocation) {
	if a.DeploymentID == "" {
		return
	}
	joined := old == nil || old.DeploymentID != a.DeploymentID
	var was *model.AllocDeploymentStatus
	if !joined {
		was = old.DeploymentStatus
	}
	is := a.DeploymentStatus
	healthier, sicker := is.IsHealthy() && !was.IsHealthy(), is.IsUnhealthy() && !was.IsUnhealthy()
	if !joined && !healthier && !sicker {
		return
	}
	d := t.changeDeployment(a.DeploymentID)
	if d == nil {
		return
	}
	g := d.TaskGroups[a.TaskGroup]
	if g == nil {
		return
	}
	if joined {
		g.PlacedAllocs++
		if is.IsCanary() && !slices.Contains(g.PlacedCanaries, a.ID) {
			g.PlacedCanaries = append(g.PlacedCanaries, a.ID)
		}
		if g.ProgressDeadline > 0 && g.RequireProgressBy.IsZero() {
			g.RequireProgressBy = time.Unix(0, a.ModifyTime).UTC().Add(g.ProgressDeadline)
		}
	}
	if healthier {
		g.HealthyAllocs++
		if was.IsUnhealthy() {
			g.UnhealthyAllocs--
		}
		by := is.Timestamp.UTC().Add(g.ProgressDeadline)
		if g.ProgressDeadline > 0 && by.After(g.RequireProgressBy) {
			g.RequireProgressBy = by
		}
	}
	if sicker {
		g.UnhealthyAllocs++
		if was.IsHealthy() {
			g.HealthyAllocs--
		}
	}
	d.ModifyTime = max(d.ModifyTime, a.ModifyTime)
}
