package fsm

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// UpdateAllocs writes what nodes observed of their allocations. Allocations
// that are not there any more are left out.
type UpdateAllocs struct {
	Allocs []*model.Allocation
	Evals  []*model.Evaluation `msg:",omitempty"`
	Time   int64               // Unix nanoseconds
}

// Kind says which command it is.
func (*UpdateAllocs) Kind() Kind { return KindUpdateAllocs }

func (c *UpdateAllocs) apply(t *state.Txn, _ uint64) (any, error) {
	nodes := map[model.NodeID]bool{}
	for _, a := range c.Allocs {
		t.UpdateAllocFromNode(a, c.Time)
		nodes[a.NodeID] = true
	}
	for id := range nodes {
		t.NodeReported(id)
	}
	upsertEvals(t, c.Evals)
	return nil, nil
}

// TransitionAllocs asks the scheduler to move allocations.
type TransitionAllocs struct {
	Allocs     []model.AllocID
	Transition model.DesiredTransition
	Evals      []*model.Evaluation `msg:",omitempty"`
	Time       int64               // Unix nanoseconds
}

// Kind says which command it is.
func (*TransitionAllocs) Kind() Kind { return KindTransitionAllocs }

func (c *TransitionAllocs) apply(t *state.Txn, _ uint64) (any, error) {
	for _, id := range c.Allocs {
		t.SetTransition(id, &c.Transition, c.Time)
	}
	upsertEvals(t, c.Evals)
	return nil, nil
}

// ApplyPlan commits what of a plan passed. The allocations have no Job: each
// version is carried once, and their JobVersion tells which is theirs.
type ApplyPlan struct {
	EvalID            model.EvalID
	Jobs              []*model.Job       `msg:",omitempty"`
	Stops             []*state.AllocStop `msg:",omitempty"`
	Allocs            []*model.Allocation
	Deployment        *model.Deployment               `msg:",omitempty"`
	DeploymentUpdates []*model.DeploymentStatusUpdate `msg:",omitempty"`
	Evals             []*model.Evaluation             `msg:",omitempty"` // of jobs that were preempted
	Time              int64                           // Unix nanoseconds
}

// Kind says which command it is.
func (*ApplyPlan) Kind() Kind { return KindApplyPlan }

func (c *ApplyPlan) apply(t *state.Txn, _ uint64) (any, error) {
	if c.Deployment != nil {
		d := *c.Deployment
		d.ModifyTime = c.Time
		if d.CreateTime == 0 {
			d.CreateTime = c.Time
		}
		t.UpsertDeployment(&d)
	}
	for _, u := range c.DeploymentUpdates {
		t.SetDeploymentStatus(u)
	}
	for _, s := range c.Stops {
		t.StopAlloc(s, c.Time)
	}
	for _, a := range c.Allocs {
		a.ModifyTime = c.Time
		if a.CreateTime == 0 {
			a.CreateTime = c.Time
		}
		t.PlaceAlloc(a, c.Jobs)
	}
	upsertEvals(t, c.Evals)
	return nil, nil
}
