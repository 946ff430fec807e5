package deployment

import (
	"fmt"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// Why a deployment failed.
const (
	FailedUnhealthy = "Failed due to unhealthy allocations"
	FailedDeadline  = "Failed due to progress deadline"
	FailedByUser    = "Deployment marked as failed"
)

// action is what is to be done about a deployment now.
type action struct {
	fail       string          // why it failed
	revert     bool            // a group that failed wants to be rolled back
	promote    bool            // all canaries may be promoted
	reschedule []model.AllocID // unhealthy and failed ones that may be replaced
	deadline   time.Time       // when to look again; zero: when something changes
}

// decide looks at a running deployment. It depends on nothing but its
// arguments.
func decide(d *model.Deployment, job *model.Job, allocs []*model.Allocation, now time.Time) action {
	var a action
	if d.Status != model.DeploymentStatusRunning {
		return a
	}
	for _, alloc := range allocs {
		g := d.TaskGroups[alloc.TaskGroup]
		unhealthy := alloc.DeploymentStatus.IsUnhealthy()
		// One that was healthy and failed later has done its part in the
		// rollout; it is only to be replaced.
		if g == nil || !unhealthy && alloc.ClientStatus != model.AllocClientFailed {
			continue
		}
		retry := mayReschedule(job, alloc, now)
		if unhealthy && (g.ProgressDeadline == 0 || !retry) {
			a.fail, a.revert = FailedUnhealthy, a.revert || g.AutoRevert
			continue
		}
		if !retry {
			continue
		}
		if !alloc.ServerTerminal() && alloc.NextAllocation == "" && alloc.DesiredTransition.Reschedule == nil {
			a.reschedule = append(a.reschedule, alloc.ID)
		}
	}
	if a.fail != "" {
		return a
	}
	for _, g := range d.TaskGroups {
		if g.RequireProgressBy.IsZero() || progressed(g) {
			continue
		}
		if !now.Before(g.RequireProgressBy) {
			a.fail, a.revert = FailedDeadline, a.revert || g.AutoRevert
		} else if a.deadline.IsZero() || g.RequireProgressBy.Before(a.deadline) {
			a.deadline = g.RequireProgressBy
		}
	}
	a.promote = a.fail == "" && mayPromote(d, allocs)
	return a
}

// progressed reports whether a group has nothing to be late with: it is done,
// or its canaries are healthy and wait to be promoted.
func progressed(g *model.DeploymentState) bool {
	if g.DesiredCanaries > 0 && !g.Promoted {
		return g.HealthyAllocs >= g.DesiredCanaries
	}
	return g.HealthyAllocs >= max(g.DesiredTotal, g.DesiredCanaries)
}

// mayPromote reports whether every group with canaries is to be promoted by
// itself, and all of them are healthy.
func mayPromote(d *model.Deployment, allocs []*model.Allocation) bool {
	if !d.RequiresPromotion() {
		return false
	}
	healthy := map[string]int{}
	for _, a := range allocs {
		if a.DeploymentStatus.IsCanary() && a.DeploymentStatus.IsHealthy() && !a.Terminal() {
			healthy[a.TaskGroup]++
		}
	}
	for name, g := range d.TaskGroups {
		if g.DesiredCanaries > 0 && !g.Promoted && (!g.AutoPromote || healthy[name] < g.DesiredCanaries) {
			return false
		}
	}
	return true
}

// mayReschedule reports whether a failed allocation's policy has attempts left.
func mayReschedule(job *model.Job, a *model.Allocation, now time.Time) bool {
	if a.Job != nil {
		job = a.Job
	}
	if job == nil {
		return false
	}
	g := job.Group(a.TaskGroup)
	if g == nil || g.ReschedulePolicy == nil {
		return false
	}
	p := g.ReschedulePolicy
	if p.Unlimited {
		return true
	}
	tries := 0
	if a.RescheduleTracker != nil {
		for _, e := range a.RescheduleTracker.Events {
			if now.Sub(time.Unix(0, e.RescheduleTime)) < p.Interval {
				tries++
			}
		}
	}
	return tries < p.Attempts
}

// Fail makes the command that fails a deployment: with revert its job goes back
// to the latest stable version, if that differs.
func Fail(snap *state.Snapshot, d *model.Deployment, why string, revert bool, now time.Time) *fsm.DeploymentStatus {
	job := snap.Job(nil, model.JobKey{Namespace: d.Namespace, ID: d.JobID})
	c := &fsm.DeploymentStatus{
		Update: &model.DeploymentStatusUpdate{
			DeploymentID: d.ID, Status: model.DeploymentStatusFailed, StatusDescription: why, UpdatedAt: now.UnixNano(),
		},
		Eval: NewEval(d, job, now),
	}
	if !revert || job == nil {
		return c
	}
	stable := snap.LatestStable(job.Key())
	switch {
	case stable == nil:
		c.Update.StatusDescription += " - no stable job version to auto revert to"
	case stable.SpecEquals(job):
		c.Update.StatusDescription += fmt.Sprintf(" - not rolling back to stable job version %d as current job has same specification", stable.Version)
	default:
		c.Update.StatusDescription += fmt.Sprintf(" - rolling back to job version %d", stable.Version)
		back := *stable
		back.SubmitTime = now.UnixNano()
		c.Job = &back
	}
	return c
}

// WantsRevert reports whether any group of a deployment is to be rolled back
// when it fails.
func WantsRevert(d *model.Deployment) bool {
	for _, g := range d.TaskGroups {
		if g.AutoRevert {
			return true
		}
	}
	return false
}

// NewEval makes the evaluation that takes a deployment's next step. It is nil
// when the job is gone.
func NewEval(d *model.Deployment, job *model.Job, now time.Time) *model.Evaluation {
	if job == nil {
		return nil
	}
	priority := d.EvalPriority
	if priority == 0 {
		priority = job.Priority
	}
	return &model.Evaluation{
		ID: model.EvalID(model.NewUUID()), Namespace: d.Namespace, Priority: priority, Type: job.Type,
		TriggeredBy: model.TriggerDeploymentWatcher, JobID: d.JobID, JobModifyIndex: job.JobModifyIndex,
		DeploymentID: d.ID, Status: model.EvalStatusPending, CreateTime: now.UnixNano(), ModifyTime: now.UnixNano(),
	}
}
