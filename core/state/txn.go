package state

import (
	memdb "github.com/hashicorp/go-memdb"

	"github.com/seraiproject/serai/core/model"
)

// A Txn writes. Commands come between At and Flush; nobody sees any of them
// before Commit. A command checks everything before its first write, so a
// refused command leaves nothing behind and needs no Flush.
type Txn struct {
	*Snapshot // reads see what was written

	store   *Store
	now     uint64 // index of the command
	touched map[Table]bool
	jobs    map[model.JobKey]*jobTouch
	deps    map[model.DeploymentID]*model.Deployment // clones being changed
	cluster clusterChanges
	changes *Changes
}

// Changes are what a Txn did, for those on the leader who act on it. Before is
// nil for a new object, After for one that is gone.
type Changes struct {
	Index       uint64
	Evals       []*model.Evaluation // new or changed
	EvalsGone   []*model.Evaluation
	Allocs      []Change[model.Allocation]
	Nodes       []Change[model.Node]
	Jobs        []Change[model.Job]
	Deployments []Change[model.Deployment]
	Config      *model.SchedulerConfiguration // new settings, or nil
}

// A Change is a row before and after.
type Change[T any] struct{ Before, After *T }

// Empty reports whether nothing changed that is reported.
func (c *Changes) Empty() bool {
	return len(c.Evals)+len(c.EvalsGone)+len(c.Allocs)+len(c.Nodes)+len(c.Jobs)+len(c.Deployments) == 0 && c.Config == nil
}

// Begin starts the one write transaction. It must end with Commit or Abort.
func (s *Store) Begin() *Txn {
	d := s.data.Load()
	return s.begin(d.db.Txn(true), d)
}

func (s *Store) begin(txn *memdb.Txn, d *data) *Txn {
	return &Txn{
		Snapshot: newSnapshot(txn, d.replaced),
		store:    s,
		touched:  map[Table]bool{},
		jobs:     map[model.JobKey]*jobTouch{},
		deps:     map[model.DeploymentID]*model.Deployment{},
		changes:  &Changes{},
	}
}

// At starts a command that has the given Raft index.
func (t *Txn) At(index uint64) { t.now = index }

// Flush ends a command: it brings job tallies, summaries, statuses, deployments
// and table indexes up to date.
func (t *Txn) Flush() {
	t.flushDeployments()
	t.flushJobs()
	if len(t.touched) == 0 {
		return
	}
	row := &tableIndexes{}
	if old, ok := first[*tableIndexes](t.Snapshot, nil, tableIndex, byID, clusterKey); ok {
		*row = *old
	}
	for name := range t.touched {
		row.of[position[name]] = t.now
		delete(t.touched, name)
	}
	row.of[position[latestTable]] = t.now
	t.insert(tableIndex, row)
	t.index = t.now
	t.changes.Index = t.now
}

// Commit makes everything visible at once and returns what changed.
func (t *Txn) Commit() *Changes {
	t.flushCluster()
	t.txn.Commit()
	return t.changes
}

// Abort forgets everything.
func (t *Txn) Abort() { t.txn.Abort() }

// insert writes a row without moving the table's index.
func (t *Txn) insert(name Table, row any) {
	if err := t.txn.Insert(string(name), row); err != nil {
		panic("state: " + err.Error())
	}
}

// put writes a row.
func (t *Txn) put(name Table, row any) {
	t.insert(name, row)
	t.touched[name] = true
}

// remove deletes a row that is there.
func (t *Txn) remove(name Table, row any) {
	if err := t.txn.Delete(string(name), row); err != nil {
		panic("state: " + err.Error())
	}
	t.touched[name] = true
}

// bootstrap writes what exists without being created.
func (t *Txn) bootstrap() {
	t.put(TableNamespaces, &model.Namespace{
		Name: model.DefaultNamespace, Description: "Default shared namespace", CreateIndex: t.now, ModifyIndex: t.now,
	})
	t.put(TableNodePools, &model.NodePool{
		Name: model.AllNodePool, Description: "Node pool with all nodes in the cluster.", CreateIndex: t.now, ModifyIndex: t.now,
	})
	t.put(TableNodePools, &model.NodePool{
		Name: model.DefaultNodePool, Description: "Default node pool.", CreateIndex: t.now, ModifyIndex: t.now,
	})
	t.put(TableConfig, DefaultSchedulerConfig(t.now))
}

// Try starts a transaction on a copy of the state that nobody else sees: what
// it writes is gone with it. It needs no Abort.
func (s *Store) Try() *Txn {
	d := s.data.Load()
	return s.begin(d.db.Snapshot().Txn(true), d)
}
