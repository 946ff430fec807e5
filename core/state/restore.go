package state

import (
	"github.com/seraiproject/serai/core/model"
)

// A Restore fills an empty store from a snapshot. Rows keep their indexes. Jobs
// must come before what belongs to them.
type Restore struct {
	store   *Store
	t       *Txn
	tallies map[model.JobKey]*tally
	indexes tableIndexes
}

// NewRestore starts to fill a new store.
func NewRestore() *Restore {
	s := Empty()
	return &Restore{store: s, t: s.Begin(), tallies: map[model.JobKey]*tally{}}
}

func (r *Restore) tally(k model.JobKey) *tally {
	n := r.tallies[k]
	if n == nil {
		n = &tally{key: k}
		r.tallies[k] = n
	}
	return n
}

// TableIndex restores the index of a table's last change. A table that this
// version does not have is left out.
func (r *Restore) TableIndex(name Table, index uint64) {
	if at, ok := position[name]; ok {
		r.indexes.of[at] = index
	}
}

// Namespace restores a namespace.
func (r *Restore) Namespace(n *model.Namespace) { r.t.insert(TableNamespaces, n) }

// NodePool restores a node pool.
func (r *Restore) NodePool(p *model.NodePool) { r.t.insert(TableNodePools, p) }

// SchedulerConfig restores the scheduler's settings.
func (r *Restore) SchedulerConfig(c *model.SchedulerConfiguration) { r.t.insert(TableConfig, c) }

// Node restores a node.
func (r *Restore) Node(n *model.Node) {
	r.t.insert(TableNodes, n)
	r.t.changeNode(nil, n)
}

// Job restores a job.
func (r *Restore) Job(j *model.Job) { r.t.insert(TableJobs, j) }

// JobVersion restores a version of a job.
func (r *Restore) JobVersion(j *model.Job) { r.t.insert(TableJobVersions, j) }

// Submission restores the source of a version.
func (r *Restore) Submission(s *model.JobSubmission) { r.t.insert(TableSubmissions, s) }

// Summary restores the counts of a job.
func (r *Restore) Summary(s *model.JobSummary) { r.t.insert(TableSummaries, s) }

// Launch restores the last launch of a periodic job.
func (r *Restore) Launch(l *PeriodicLaunch) { r.t.insert(TableLaunches, l) }

// Eval restores an evaluation.
func (r *Restore) Eval(e *model.Evaluation) {
	r.t.insert(TableEvals, e)
	n := r.tally(e.JobKey())
	n.evals++
	if !e.Terminal() {
		n.liveEvals++
	}
}

// Deployment restores a deployment.
func (r *Restore) Deployment(d *model.Deployment) {
	r.t.insert(TableDeployments, d)
	if d.Active() {
		r.tally(model.JobKey{Namespace: d.Namespace, ID: d.JobID}).deployments++
	}
}

// Alloc restores an allocation, with its Job.
func (r *Restore) Alloc(a *model.Allocation) {
	r.t.insert(TableAllocs, a)
	r.t.changeAlloc(nil, a)
	if !a.Terminal() {
		r.tally(a.JobKey()).liveAllocs++
	}
}

// Finish returns the filled store.
func (r *Restore) Finish() *Store {
	for _, n := range r.tallies {
		if *n != (tally{key: n.key}) {
			r.t.insert(tableTally, n)
		}
	}
	r.t.insert(tableIndex, &r.indexes)
	r.t.Commit()
	return r.store
}

// Tables lists the tables of a snapshot.
func Tables() []Table {
	return []Table{
		latestTable, TableNodes, TableJobs, TableJobVersions, TableSubmissions, TableSummaries, TableEvals,
		TableAllocs, TableDeployments, TableNodePools, TableNamespaces, TableConfig, TableLaunches,
	}
}

// AllJobVersions returns every version of every job.
func (s *Snapshot) AllJobVersions(yield func(*model.Job) bool) {
	rows[*model.Job](s, nil, TableJobVersions, byID, nil)(yield)
}

// AllSubmissions returns every submission.
func (s *Snapshot) AllSubmissions(yield func(*model.JobSubmission) bool) {
	rows[*model.JobSubmission](s, nil, TableSubmissions, byID, nil)(yield)
}

// AllSummaries returns every job summary.
func (s *Snapshot) AllSummaries(yield func(*model.JobSummary) bool) {
	rows[*model.JobSummary](s, nil, TableSummaries, byID, nil)(yield)
}

// StoredTableIndex is the index of a table's last change, 0 if it never changed.
func (s *Snapshot) StoredTableIndex(name Table) uint64 { return s.tableIndex(nil, name) }
