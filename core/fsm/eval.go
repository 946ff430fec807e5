package fsm

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// UpdateEvals writes evaluations.
type UpdateEvals struct {
	Evals []*model.Evaluation
}

// Kind says which command it is.
func (*UpdateEvals) Kind() Kind { return KindUpdateEvals }

func (c *UpdateEvals) apply(t *state.Txn, _ uint64) (any, error) {
	upsertEvals(t, c.Evals)
	return nil, nil
}

func upsertEvals(t *state.Txn, evals []*model.Evaluation) {
	for _, e := range evals {
		t.UpsertEval(e)
	}
}

// Reap forgets what is not needed any more. What is not there is no error.
type Reap struct {
	Jobs        []JobRef             `msg:",omitempty"`
	Evals       []model.EvalID       `msg:",omitempty"`
	Allocs      []model.AllocID      `msg:",omitempty"`
	Deployments []model.DeploymentID `msg:",omitempty"`
}

// JobRef names a job.
type JobRef struct {
	Namespace string
	ID        model.JobID
}

// Kind says which command it is.
func (*Reap) Kind() Kind { return KindReap }

func (c *Reap) apply(t *state.Txn, _ uint64) (any, error) {
	for _, id := range c.Allocs {
		t.DeleteAlloc(id)
	}
	for _, id := range c.Evals {
		t.DeleteEval(id)
	}
	for _, id := range c.Deployments {
		t.DeleteDeployment(id)
	}
	for _, j := range c.Jobs {
		t.DeleteJob(model.JobKey{Namespace: j.Namespace, ID: j.ID})
	}
	return nil, nil
}
