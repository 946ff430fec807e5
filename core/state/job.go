package state

import (
	"iter"

	"github.com/seraiproject/serai/core/model"
)

// TrackedVersions is how many untagged versions of a job are kept, and as many
// submissions.
const TrackedVersions = 6

// Job returns a job, or nil.
func (s *Snapshot) Job(ws WatchSet, k model.JobKey) *model.Job {
	j, _ := first[*model.Job](s, ws, TableJobs, byID, jobKey(k))
	return j
}

// Jobs returns the jobs of a namespace (of all with AllNamespaces) whose ID
// starts with prefix, ordered by namespace and ID.
func (s *Snapshot) Jobs(ws WatchSet, namespace, prefix string) iter.Seq[*model.Job] {
	if namespace != model.AllNamespaces {
		return rows[*model.Job](s, ws, TableJobs, byID, prefix2(namespace, prefix))
	}
	all := rows[*model.Job](s, ws, TableJobs, byID, nil)
	if prefix == "" {
		return all
	}
	return filter(all, func(j *model.Job) bool { return hasPrefix(j.ID, prefix) })
}

// Children returns the jobs that a periodic or parameterized job started.
func (s *Snapshot) Children(ws WatchSet, parent model.JobKey) iter.Seq[*model.Job] {
	under := rows[*model.Job](s, ws, TableJobs, byID, prefix2(parent.Namespace, string(parent.ID)+"/"))
	return filter(under, func(j *model.Job) bool { return j.ParentID == parent.ID })
}

// JobVersions returns the versions of a job, newest first.
func (s *Snapshot) JobVersions(ws WatchSet, k model.JobKey) []*model.Job {
	var out []*model.Job
	for j := range rows[*model.Job](s, ws, TableJobVersions, byID, jobKey(k)) {
		out = append(out, j)
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// JobVersion returns one version of a job, or nil.
func (s *Snapshot) JobVersion(ws WatchSet, k model.JobKey, version uint64) *model.Job {
	j, _ := first[*model.Job](s, ws, TableJobVersions, byID, keyNumber(jobKey(k), version))
	return j
}

// LatestStable returns the newest stable version of a job, or nil.
func (s *Snapshot) LatestStable(k model.JobKey) *model.Job {
	for _, j := range s.JobVersions(nil, k) {
		if j.Stable {
			return j
		}
	}
	return nil
}

// Submission returns the source of a version, or nil.
func (s *Snapshot) Submission(ws WatchSet, k model.JobKey, version uint64) *model.JobSubmission {
	sub, _ := first[*model.JobSubmission](s, ws, TableSubmissions, byID, keyNumber(jobKey(k), version))
	return sub
}

// UpsertJob registers a job. A job whose specification is as stored keeps its
// version; any other becomes the next version. It returns the stored job.
func (t *Txn) UpsertJob(job *model.Job, sub *model.JobSubmission) *model.Job {
	k := job.Key()
	old := t.Job(nil, k)
	stored := *job
	stored.ModifyIndex = t.now
	switch {
	case old == nil:
		stored.CreateIndex, stored.JobModifyIndex = t.now, t.now
		stored.Status = model.JobStatusPending
		stored.Stable = false
		if stored.ParentID == "" {
			// A child carries the version of its parent.
			stored.Version = 0
		}
	case old.SpecEquals(&stored):
		stored.CreateIndex, stored.JobModifyIndex = old.CreateIndex, old.JobModifyIndex
		stored.Version, stored.Status, stored.Stable = old.Version, old.Status, old.Stable
		stored.VersionTag, stored.SubmitTime = old.VersionTag, old.SubmitTime
	default:
		stored.CreateIndex, stored.JobModifyIndex = old.CreateIndex, t.now
		stored.Version, stored.Status, stored.Stable = old.Version+1, old.Status, false
		stored.VersionTag = nil
	}
	t.putJob(&stored)
	t.putVersion(&stored)
	if sub != nil {
		source := *sub
		source.Namespace, source.JobID, source.Version, source.JobModifyIndex = k.Namespace, k.ID, stored.Version, stored.JobModifyIndex
		t.put(TableSubmissions, &source)
		t.trimSubmissions(k)
	}
	t.summaryGroups(&stored)
	return &stored
}

// putJob writes the row of a job and has its status looked at.
func (t *Txn) putJob(job *model.Job) {
	t.touchJob(job.Key()) // first: it notes what the job was
	t.put(TableJobs, job)
}

// StopJob sets Stop as a new version. The job must exist.
func (t *Txn) StopJob(k model.JobKey, submitTime int64) *model.Job {
	old := t.Job(nil, k)
	if old.Stop {
		return old
	}
	stopped := *old
	stopped.Stop = true
	stopped.SubmitTime = submitTime
	return t.UpsertJob(&stopped, nil)
}

// DeleteJob forgets a job, its versions, submissions and summary. Its
// evaluations and allocations stay.
func (t *Txn) DeleteJob(k model.JobKey) {
	old := t.Job(nil, k)
	if old == nil {
		return
	}
	t.touchJob(k)
	for _, v := range t.JobVersions(nil, k) {
		t.remove(TableJobVersions, v)
	}
	for sub := range rows[*model.JobSubmission](t.Snapshot, nil, TableSubmissions, byID, jobKey(k)) {
		t.remove(TableSubmissions, sub)
	}
	t.remove(TableJobs, old)
	if l := t.Launch(k); l != nil {
		t.remove(TableLaunches, l)
	}
}

// SetStable marks a version as one to go back to, or not. It reports whether
// the version exists.
func (t *Txn) SetStable(k model.JobKey, version uint64, stable bool) bool {
	v := t.JobVersion(nil, k, version)
	if v == nil {
		return false
	}
	if v.Stable != stable {
		t.changeVersion(v, func(j *model.Job) { j.Stable = stable })
	}
	return true
}

// changeVersion changes members of a version that are not specification, in
// the versions and, if it is the current one, in the job.
func (t *Txn) changeVersion(v *model.Job, change func(*model.Job)) {
	next := *v
	change(&next)
	next.ModifyIndex = t.now
	if cur := t.Job(nil, v.Key()); cur != nil && cur.Version == v.Version {
		job := *cur
		change(&job)
		job.ModifyIndex = t.now
		t.putJob(&job)
	}
	t.put(TableJobVersions, &next)
}

// putVersion keeps job as a version, and drops the oldest untagged one when
// there are too many. The newest stable version is spared.
func (t *Txn) putVersion(job *model.Job) {
	t.put(TableJobVersions, job)
	all := t.JobVersions(nil, job.Key())
	var untagged []*model.Job
	var stable *model.Job
	for _, v := range all {
		if v.Stable && stable == nil {
			stable = v
		}
		if v.VersionTag == nil {
			untagged = append(untagged, v)
		}
	}
	for len(untagged) > TrackedVersions {
		last := len(untagged) - 1
		drop := untagged[last]
		if drop == stable {
			drop = untagged[last-1]
			untagged[last-1] = stable
		}
		untagged = untagged[:last]
		t.remove(TableJobVersions, drop)
	}
}

func (t *Txn) trimSubmissions(k model.JobKey) {
	var all []*model.JobSubmission
	for sub := range rows[*model.JobSubmission](t.Snapshot, nil, TableSubmissions, byID, jobKey(k)) {
		all = append(all, sub)
	}
	for len(all) > TrackedVersions {
		t.remove(TableSubmissions, all[0])
		all = all[1:]
	}
}

// Launch returns when a periodic job last started a child, or nil.
func (s *Snapshot) Launch(k model.JobKey) *PeriodicLaunch {
	l, _ := first[*PeriodicLaunch](s, nil, TableLaunches, byID, jobKey(k))
	return l
}

// Launches returns the last launch of every periodic job.
func (s *Snapshot) Launches() iter.Seq[*PeriodicLaunch] {
	return rows[*PeriodicLaunch](s, nil, TableLaunches, byID, nil)
}

// PutLaunch remembers a launch.
func (t *Txn) PutLaunch(l *PeriodicLaunch) { t.put(TableLaunches, l) }

func filter[T any](in iter.Seq[T], keep func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range in {
			if keep(v) && !yield(v) {
				return
			}
		}
	}
}

func hasPrefix[T ~string](s T, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}
