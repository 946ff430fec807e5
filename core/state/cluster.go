package state

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// clusterRow keeps the scheduler's view of the nodes in the database, so that
// every snapshot has the view that belongs to it.
type clusterRow struct{ view *cluster.View }

// clusterKey is the key of tables that have one row.
var clusterKey = []byte{1}

// clusterChanges gathers changes of the view within a Txn.
type clusterChanges struct{ edit *cluster.Editor }

func (t *Txn) editCluster() *cluster.Editor {
	if t.cluster.edit == nil {
		t.cluster.edit = t.Cluster().Edit()
	}
	return t.cluster.edit
}

// changeNode notes that a node is new (old nil), changed or gone (next nil).
func (t *Txn) changeNode(old, next *model.Node) {
	if next == nil {
		t.editCluster().DeleteNode(old.ID)
	} else {
		t.editCluster().PutNode(next)
	}
}

// changeAlloc notes that an allocation is new, changed or gone.
func (t *Txn) changeAlloc(old, next *model.Allocation) {
	if old != nil && old.Terminal() && (next == nil || next.Terminal()) {
		return
	}
	t.editCluster().ChangeAlloc(old, next)
}

// flushCluster writes the changed view.
func (t *Txn) flushCluster() {
	if t.cluster.edit != nil {
		t.insert(tableCluster, &clusterRow{t.cluster.edit.View()})
		t.cluster.edit = nil
	}
}

// Cluster returns the scheduler's view of all nodes.
func (s *Snapshot) Cluster() *cluster.View {
	if row, ok := first[*clusterRow](s, nil, tableCluster, byID, clusterKey); ok {
		return row.view
	}
	return cluster.New()
}

// Scheduling is a Snapshot as the scheduler reads it.
type Scheduling struct{ snap *Snapshot }

var _ scheduler.Snapshot = Scheduling{}

// Scheduling returns the snapshot as the scheduler reads it.
func (s *Snapshot) Scheduling() Scheduling { return Scheduling{s} }

// Index is the index of the state.
func (s Scheduling) Index() uint64 { return s.snap.Index() }

// Job returns the current version of a job, or nil.
func (s Scheduling) Job(namespace string, id model.JobID) *model.Job {
	return s.snap.Job(nil, model.JobKey{Namespace: namespace, ID: id})
}

// JobAllocs returns all allocations of a job.
func (s Scheduling) JobAllocs(namespace string, id model.JobID) []*model.Allocation {
	var out []*model.Allocation
	for a := range s.snap.AllocsByJob(nil, model.JobKey{Namespace: namespace, ID: id}) {
		out = append(out, a)
	}
	return out
}

// LatestDeployment returns the job's newest deployment, or nil.
func (s Scheduling) LatestDeployment(namespace string, id model.JobID) *model.Deployment {
	return s.snap.LatestDeployment(nil, model.JobKey{Namespace: namespace, ID: id})
}

// NodePool returns a node pool, or nil.
func (s Scheduling) NodePool(name string) *model.NodePool { return s.snap.NodePool(nil, name) }

// SchedulerConfig returns the operator's choices.
func (s Scheduling) SchedulerConfig() *model.SchedulerConfiguration {
	return s.snap.SchedulerConfig(nil)
}

// Cluster returns all nodes with what is used of them.
func (s Scheduling) Cluster() *cluster.View { return s.snap.Cluster() }
