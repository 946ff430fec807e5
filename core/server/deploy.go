package server

import (
	"context"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/server/deployment"
	"github.com/seraiproject/serai/core/state"
)

func (s *Server) handleDeployments() {
	rpc.DeploymentList.Handle(s.mux, s.deploymentList)
	rpc.DeploymentGet.Handle(s.mux, s.deploymentGet)
	rpc.DeploymentAllocations.Handle(s.mux, s.deploymentAllocations)
	rpc.DeploymentPromote.Handle(s.mux, s.deploymentPromote)
	rpc.DeploymentPause.Handle(s.mux, s.deploymentPause)
	rpc.DeploymentFail.Handle(s.mux, s.deploymentFail)
	rpc.DeploymentSetAllocHealth.Handle(s.mux, s.deploymentSetAllocHealth)
}

func (s *Server) deploymentList(ctx context.Context, q *rpc.DeploymentListRequest) (*rpc.DeploymentListResponse, error) {
	prefix, err := uuidPrefix(q.Prefix)
	if err != nil {
		return nil, err
	}
	resp := &rpc.DeploymentListResponse{}
	err = s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Deployments = []*model.Deployment{}
		all := snap.Deployments(ws)
		token := func(d *model.Deployment) string { return createToken(d.CreateIndex, string(d.ID)) }
		switch {
		case prefix != "":
			all = snap.DeploymentsByPrefix(ws, prefix)
			token = func(d *model.Deployment) string { return string(d.ID) }
			if q.Reverse {
				all = reversed(all)
			}
		case q.Reverse:
			all = snap.DeploymentsReverse()
		}
		all = keep(all, func(d *model.Deployment) bool { return inNamespace(q.Namespace, d.Namespace) })
		err := page(&q.QueryOptions, &resp.QueryMeta, all, token, func(d *model.Deployment) {
			resp.Deployments = append(resp.Deployments, d)
		})
		return snap.TableIndex(state.TableDeployments), err
	})
	return resp, err
}

func (s *Server) deploymentGet(ctx context.Context, q *rpc.DeploymentQuery) (*rpc.DeploymentResponse, error) {
	resp := &rpc.DeploymentResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Deployment = snap.Deployment(ws, q.DeploymentID)
		if resp.Deployment == nil {
			return snap.TableIndex(state.TableDeployments), nil
		}
		return resp.Deployment.ModifyIndex, nil
	})
	return resp, err
}

func (s *Server) deploymentAllocations(ctx context.Context, q *rpc.DeploymentQuery) (*rpc.AllocListResponse, error) {
	resp := &rpc.AllocListResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Allocs = []*model.AllocListStub{}
		index := uint64(0)
		for a := range snap.AllocsByDeployment(ws, q.DeploymentID) {
			resp.Allocs = append(resp.Allocs, a.Stub())
			index = max(index, a.ModifyIndex)
		}
		sortAllocs(resp.Allocs)
		return objectIndex(snap, index, index > 0, state.TableAllocs), nil
	})
	return resp, err
}

// activeDeployment finds a deployment that may be changed, with its job.
func (s *Server) activeDeployment(id model.DeploymentID, verb string) (*state.Snapshot, *model.Deployment, *model.Job, error) {
	snap := s.store.Snapshot()
	d := snap.Deployment(nil, id)
	switch {
	case id == "":
		return nil, nil, nil, model.Errorf(model.ErrInvalid, "missing deployment ID")
	case d == nil:
		return nil, nil, nil, model.Errorf(model.ErrInvalid, "deployment not found")
	case !d.Active():
		return nil, nil, nil, model.Errorf(model.ErrConflict, "can't %s terminal deployment", verb)
	}
	return snap, d, snap.Job(nil, model.JobKey{Namespace: d.Namespace, ID: d.JobID}), nil
}

// changeDeployment writes a change and says what came of it.
func (s *Server) changeDeployment(c fsm.Command, eval *model.Evaluation, back *model.Job) (*rpc.DeploymentUpdateResponse, error) {
	index, _, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	resp := &rpc.DeploymentUpdateResponse{DeploymentModifyIndex: index}
	resp.Index = index
	if eval != nil {
		resp.EvalID, resp.EvalCreateIndex = eval.ID, index
	}
	if back != nil {
		version := back.Version
		resp.RevertedJobVersion = &version
	}
	return resp, nil
}

func (s *Server) deploymentPromote(_ context.Context, req *rpc.DeploymentPromoteRequest) (*rpc.DeploymentUpdateResponse, error) {
	_, d, job, err := s.activeDeployment(req.DeploymentID, "promote")
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := &fsm.PromoteDeployment{
		DeploymentID: d.ID, All: req.All, Groups: req.Groups, Eval: deployment.NewEval(d, job, now), Time: now.UnixNano(),
	}
	return s.changeDeployment(c, c.Eval, nil)
}

func (s *Server) deploymentPause(_ context.Context, req *rpc.DeploymentPauseRequest) (*rpc.DeploymentUpdateResponse, error) {
	verb := "resume"
	if req.Pause {
		verb = "pause"
	}
	_, d, job, err := s.activeDeployment(req.DeploymentID, verb)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := &fsm.DeploymentStatus{Update: &model.DeploymentStatusUpdate{
		DeploymentID: d.ID, Status: model.DeploymentStatusPaused, StatusDescription: "Deployment is paused", UpdatedAt: now.UnixNano(),
	}}
	if !req.Pause {
		c.Update.Status, c.Update.StatusDescription = model.DeploymentStatusRunning, runningText(d)
		c.Eval = deployment.NewEval(d, job, now)
	}
	return s.changeDeployment(c, c.Eval, nil)
}

// runningText is the status text of a deployment that runs.
func runningText(d *model.Deployment) string {
	waits, auto := false, true
	for _, g := range d.TaskGroups {
		if g.DesiredCanaries > 0 && !g.Promoted {
			waits, auto = true, auto && g.AutoPromote
		}
	}
	switch {
	case waits && auto:
		return "Deployment is running pending automatic promotion"
	case waits:
		return "Deployment is running but requires manual promotion"
	}
	return "Deployment is running"
}

func (s *Server) deploymentFail(_ context.Context, req *rpc.DeploymentRequest) (*rpc.DeploymentUpdateResponse, error) {
	snap, d, _, err := s.activeDeployment(req.DeploymentID, "fail")
	if err != nil {
		return nil, err
	}
	c := deployment.Fail(snap, d, deployment.FailedByUser, deployment.WantsRevert(d), time.Now())
	return s.changeDeployment(c, c.Eval, c.Job)
}

func (s *Server) deploymentSetAllocHealth(_ context.Context, req *rpc.DeploymentHealthRequest) (*rpc.DeploymentUpdateResponse, error) {
	if len(req.Healthy)+len(req.Unhealthy) == 0 {
		return nil, model.Errorf(model.ErrInvalid, "must specify at least one healthy/unhealthy allocation ID")
	}
	snap, d, job, err := s.activeDeployment(req.DeploymentID, "set health of allocations for a")
	if err != nil {
		return nil, err
	}
	now := time.Now()
	c := &fsm.DeploymentHealth{
		DeploymentID: d.ID, Healthy: req.Healthy, Unhealthy: req.Unhealthy, Time: now.UnixNano(),
		Eval: deployment.NewEval(d, job, now),
	}
	if len(req.Unhealthy) > 0 {
		fail := deployment.Fail(snap, d, deployment.FailedUnhealthy, deployment.WantsRevert(d), now)
		c.Update, c.Job, c.Eval = fail.Update, fail.Job, fail.Eval
	}
	return s.changeDeployment(c, c.Eval, c.Job)
}
