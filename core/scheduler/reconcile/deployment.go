package reconcile

import (
	"github.com/seraiproject/serai/core/model"
)

// Descriptions of deployments, as clients read them.
const (
	TextDeploymentRunning   = "Deployment is running"
	TextDeploymentPromotion = "Deployment is running but requires manual promotion"
	TextDeploymentAuto      = "Deployment is running pending automatic promotion"
	TextDeploymentDone      = "Deployment completed successfully"
	TextDeploymentNewer     = "Cancelled due to newer version of job"
	TextDeploymentStopped   = "Cancelled because job is stopped"
)

// adoptDeployment finds the deployment of the wanted version and cancels one
// that was overtaken.
func (r *reconciler) adoptDeployment() {
	d := r.Latest
	if d == nil {
		return
	}
	switch {
	case r.Job.Stopped():
		r.cancel(d, TextDeploymentStopped)
	case d.JobCreateIndex != r.Job.CreateIndex, d.JobVersion != r.Job.Version:
		r.cancel(d, TextDeploymentNewer)
	default:
		r.Active = d
		r.failed = d.Status == model.DeploymentStatusFailed || d.Status == model.DeploymentStatusCancelled
		r.paused = d.Status == model.DeploymentStatusPaused || d.Status == model.DeploymentStatusPending
	}
}

func (r *reconciler) cancel(d *model.Deployment, text string) {
	if d.Active() {
		r.setDeployment(d, model.DeploymentStatusCancelled, text)
	}
}

func (r *reconciler) setDeployment(d *model.Deployment, status, text string) {
	r.DeploymentUpdates = append(r.DeploymentUpdates, &model.DeploymentStatusUpdate{
		DeploymentID: d.ID, Status: status, StatusDescription: text, UpdatedAt: r.Now.UnixNano(),
	})
}

// ofDeployment reports whether the allocation was placed, or joined, by the
// deployment of the wanted version.
func (r *reconciler) ofDeployment(a *model.Allocation) bool {
	return r.Active != nil && a.DeploymentID != "" && a.DeploymentID == r.Active.ID
}

// rollout returns the group's part of the deployment: the stored one, or a new
// one that only counts once it is created. Nil when the group does not roll.
func (r *reconciler) rollout(tg *model.TaskGroup) (state *model.DeploymentState, exists bool) {
	if r.Active != nil {
		if s := r.Active.TaskGroups[tg.Name]; s != nil {
			return s, true
		}
	}
	if r.Batch || !tg.Update.Rolling() {
		return nil, false
	}
	return &model.DeploymentState{
		AutoRevert:       tg.Update.AutoRevert,
		AutoPromote:      tg.Update.AutoPromote,
		ProgressDeadline: tg.Update.ProgressDeadline,
		DesiredTotal:     tg.Count,
	}, false
}

// propose puts a group's rollout into the deployment that is to be created.
// There is only one deployment per version.
func (r *reconciler) propose(tg *model.TaskGroup, s *model.DeploymentState) {
	if r.Active != nil && r.Deployment == nil {
		return
	}
	if r.Deployment == nil {
		r.Deployment = &model.Deployment{
			ID:                 model.DeploymentID(r.NewID()),
			Namespace:          r.Job.Namespace,
			JobID:              r.Job.ID,
			JobVersion:         r.Job.Version,
			JobModifyIndex:     r.Job.ModifyIndex,
			JobSpecModifyIndex: r.Job.JobModifyIndex,
			JobCreateIndex:     r.Job.CreateIndex,
			IsMultiregion:      r.Job.Multiregion != nil,
			TaskGroups:         map[string]*model.DeploymentState{},
			Status:             model.DeploymentStatusRunning,
			StatusDescription:  TextDeploymentRunning,
			EvalPriority:       r.Eval.Priority,
			CreateTime:         r.Now.UnixNano(),
			ModifyTime:         r.Now.UnixNano(),
		}
		r.Active = r.Deployment
	}
	r.Deployment.TaskGroups[tg.Name] = s
}

// finishDeployment describes a new deployment, or ends the running one when
// every group has arrived.
func (r *reconciler) finishDeployment(complete bool) {
	if d := r.Deployment; d != nil {
		if d.RequiresPromotion() {
			d.StatusDescription = TextDeploymentAuto
			for _, s := range d.TaskGroups {
				if s.DesiredCanaries > 0 && !s.AutoPromote {
					d.StatusDescription = TextDeploymentPromotion
				}
			}
		}
		return
	}
	if complete && r.Active != nil && r.Active.Status == model.DeploymentStatusRunning {
		r.setDeployment(r.Active, model.DeploymentStatusSuccessful, TextDeploymentDone)
	}
}

// arrived reports whether a group's rollout has nothing more to wait for.
func arrived(s *model.DeploymentState) bool {
	return s.HealthyAllocs >= max(s.DesiredTotal, s.DesiredCanaries) && (s.DesiredCanaries == 0 || s.Promoted)
}
