package model

// A Plan is what a scheduler proposes for one evaluation. The plan applier
// checks it against the latest state, node by node, and commits what still
// fits (all or nothing when AllAtOnce).
type Plan struct {
	EvalID        EvalID
	EvalToken     string // proves that the worker still owns the evaluation
	Priority      int
	AllAtOnce     bool
	SnapshotIndex uint64 // of the state that the plan was made from

	// Job is carried once; the Job of every new or updated allocation of
	// the plan is this one, and nil in an encoded plan.
	Job *Job

	// NodeUpdate stops allocations, by node.
	NodeUpdate map[string][]*Allocation `msg:",allownil"`
	// NodeAllocation places or updates in place, by node.
	NodeAllocation map[string][]*Allocation `msg:",allownil"`
	// NodePreemptions evicts allocations of lower priority, by node.
	NodePreemptions map[string][]*Allocation `msg:",allownil"`

	Deployment        *Deployment               // created by this plan, or nil
	DeploymentUpdates []*DeploymentStatusUpdate `msg:",allownil"`
	Annotations       *PlanAnnotations          // only for a dry run or an annotated evaluation
}

// Empty reports whether committing the plan would change nothing.
func (p *Plan) Empty() bool {
	return len(p.NodeUpdate) == 0 && len(p.NodeAllocation) == 0 && len(p.NodePreemptions) == 0 &&
		p.Deployment == nil && len(p.DeploymentUpdates) == 0
}

// PlanResult is what of a plan was committed.
type PlanResult struct {
	Job               *Job
	NodeUpdate        map[string][]*Allocation `msg:",allownil"`
	NodeAllocation    map[string][]*Allocation `msg:",allownil"`
	NodePreemptions   map[string][]*Allocation `msg:",allownil"`
	Deployment        *Deployment
	DeploymentUpdates []*DeploymentStatusUpdate `msg:",allownil"`
	RejectedNodes     []NodeID                  `msg:",allownil"`
	// RefreshIndex is the state that the scheduler must see before it tries
	// again; 0 when the plan was committed in full.
	RefreshIndex uint64
	// AllocIndex is the Raft index of the commit.
	AllocIndex uint64
}

// PlanAnnotations say what a plan does to each group.
type PlanAnnotations struct {
	DesiredTGUpdates map[string]*DesiredUpdates `msg:",allownil"`
	PreemptedAllocs  []*AllocListStub           `msg:",allownil"`
}

// DesiredUpdates counts what happens to a group's allocations.
type DesiredUpdates struct {
	Ignore            uint64
	Place             uint64
	Migrate           uint64
	Stop              uint64
	InPlaceUpdate     uint64
	DestructiveUpdate uint64
	Canary            uint64
	Preemptions       uint64
	Disconnect        uint64
	Reconnect         uint64
	RescheduleNow     uint64
	RescheduleLater   uint64
}
