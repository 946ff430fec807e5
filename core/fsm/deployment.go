package fsm

import (
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// DeploymentStatus changes the status of a deployment, and may register the
// job that it is rolled back to.
type DeploymentStatus struct {
	Update *model.DeploymentStatusUpdate
	Job    *model.Job        `msg:",omitempty"`
	Eval   *model.Evaluation `msg:",omitempty"`
}

// Kind says which command it is.
func (*DeploymentStatus) Kind() Kind { return KindDeploymentStatus }

func (c *DeploymentStatus) apply(t *state.Txn, _ uint64) (any, error) {
	d := t.Deployment(nil, c.Update.DeploymentID)
	if d == nil {
		return nil, model.Errorf(model.ErrNotFound, "deployment not found")
	}
	if !d.Active() {
		return nil, model.Errorf(model.ErrConflict, "deployment %s has terminal status %q", d.ID, d.Status)
	}
	t.SetDeploymentStatus(c.Update)
	revert(t, c.Job, c.Eval)
	return nil, nil
}

// revert registers the job that a failed deployment goes back to.
func revert(t *state.Txn, job *model.Job, eval *model.Evaluation) {
	if job != nil {
		stored := t.UpsertJob(job, nil)
		if eval != nil {
			eval.JobModifyIndex = stored.JobModifyIndex
		}
	}
	if eval != nil {
		t.UpsertEval(eval)
	}
}

// PromoteDeployment promotes the canaries of groups (all when Groups is nil).
type PromoteDeployment struct {
	DeploymentID model.DeploymentID
	Groups       []string
	All          bool
	Eval         *model.Evaluation `msg:",omitempty"`
	Time         int64             // Unix nanoseconds
}

// Kind says which command it is.
func (*PromoteDeployment) Kind() Kind { return KindPromoteDeployment }

func (c *PromoteDeployment) apply(t *state.Txn, _ uint64) (any, error) {
	d := t.Deployment(nil, c.DeploymentID)
	if d == nil {
		return nil, model.Errorf(model.ErrNotFound, "deployment not found")
	}
	if !d.Active() {
		return nil, model.Errorf(model.ErrConflict, "can't promote terminal deployment")
	}
	groups := c.Groups
	if c.All {
		groups = nil
	} else if groups == nil {
		groups = []string{}
	}
	if err := CheckPromotable(t.Snapshot, d, groups); err != nil {
		return nil, err
	}
	t.Promote(c.DeploymentID, groups, time.Unix(0, c.Time).UTC())
	if c.Eval != nil {
		t.UpsertEval(c.Eval)
	}
	return nil, nil
}

// CheckPromotable fails unless every group to promote (all when groups is nil)
// has as many healthy canaries as it wants.
func CheckPromotable(s *state.Snapshot, d *model.Deployment, groups []string) error {
	chosen := func(name string) bool {
		if groups == nil {
			return true
		}
		for _, g := range groups {
			if g == name {
				return true
			}
		}
		return false
	}
	var faults model.FieldErrors
	canaries := 0
	for _, name := range sortedKeys(d.TaskGroups) {
		g := d.TaskGroups[name]
		if !chosen(name) || g.DesiredCanaries == 0 || g.Promoted {
			continue
		}
		canaries++
		healthy := 0
		for _, id := range g.PlacedCanaries {
			if a := s.Alloc(nil, id); a != nil && !a.Terminal() && a.DeploymentStatus.IsHealthy() {
				healthy++
			}
		}
		if healthy < g.DesiredCanaries {
			faults.Addf("", "Task group %q has %d/%d healthy allocations", name, healthy, g.DesiredCanaries)
		}
	}
	if canaries == 0 {
		return model.Errorf(model.ErrConflict, "no canaries to promote")
	}
	return faults.Err()
}

// DeploymentHealth sets the health of allocations by hand, and may change the
// deployment's status with it.
type DeploymentHealth struct {
	DeploymentID model.DeploymentID
	Healthy      []model.AllocID
	Unhealthy    []model.AllocID
	Update       *model.DeploymentStatusUpdate `msg:",omitempty"`
	Job          *model.Job                    `msg:",omitempty"`
	Eval         *model.Evaluation             `msg:",omitempty"`
	Time         int64                         // Unix nanoseconds
}

// Kind says which command it is.
func (*DeploymentHealth) Kind() Kind { return KindDeploymentHealth }

func (c *DeploymentHealth) apply(t *state.Txn, _ uint64) (any, error) {
	d := t.Deployment(nil, c.DeploymentID)
	if d == nil {
		return nil, model.Errorf(model.ErrNotFound, "deployment not found")
	}
	if !d.Active() {
		return nil, model.Errorf(model.ErrConflict, "can't set health of allocations for a terminal deployment")
	}
	for _, ids := range [][]model.AllocID{c.Healthy, c.Unhealthy} {
		for _, id := range ids {
			if a := t.Alloc(nil, id); a == nil || a.DeploymentID != d.ID {
				return nil, model.Errorf(model.ErrInvalid, "alloc %q is not part of deployment %q", id, d.ID)
			}
		}
	}
	for _, id := range c.Healthy {
		t.SetAllocHealth(id, true, c.Time)
	}
	for _, id := range c.Unhealthy {
		t.SetAllocHealth(id, false, c.Time)
	}
	if c.Update != nil {
		t.SetDeploymentStatus(c.Update)
	}
	revert(t, c.Job, c.Eval)
	return nil, nil
}
