package httpapi

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

func (r *request) evals(resp *rpc.EvalListResponse, err error) (any, error) {
	if err != nil {
		return nil, filterErr(err)
	}
	r.meta(&resp.QueryMeta)
	return r.list(resp.Index, resp.Evals)
}

func (r *request) evalListRequest() (*rpc.EvalListRequest, error) {
	in := &rpc.EvalListRequest{
		QueryOptions: r.read, FilterJobID: model.JobID(r.query.Get("job")), FilterStatus: r.query.Get("status"),
	}
	if in.Filter != "" && (in.FilterJobID != "" || in.FilterStatus != "") {
		return nil, badRequest("Filter expression cannot be used with other filter parameters")
	}
	return in, nil
}

func evalList(r *request) (any, error) {
	in, err := r.evalListRequest()
	if err != nil {
		return nil, err
	}
	return r.evals(rpc.EvalList.Call(r.ctx(), r.caller(), in))
}

func evalCount(r *request) (any, error) {
	in, err := r.evalListRequest()
	if err != nil {
		return nil, err
	}
	resp, err := rpc.EvalList.Call(r.ctx(), r.caller(), in)
	if err != nil {
		return nil, filterErr(err)
	}
	r.meta(&resp.QueryMeta)
	return struct {
		Count       int
		Index       uint64
		LastContact int64
		KnownLeader bool
		NextToken   string
	}{len(resp.Evals), resp.Index, int64(resp.LastContact), resp.KnownLeader, ""}, nil
}

func evalRead(r *request) (any, error) {
	if err := r.uuid("eval"); err != nil {
		return nil, err
	}
	related, err := r.flag("related")
	if err != nil {
		return nil, err
	}
	resp, err := rpc.EvalGet.Call(r.ctx(), r.caller(), &rpc.EvalQuery{QueryOptions: r.read, EvalID: model.EvalID(r.id), Related: related})
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if resp.Eval == nil {
		return nil, notFound("eval not found")
	}
	return resp.Eval, nil
}

func evalAllocations(r *request) (any, error) {
	if err := r.uuid("eval"); err != nil {
		return nil, err
	}
	return r.allocs(rpc.EvalAllocations.Call(r.ctx(), r.caller(), &rpc.EvalQuery{QueryOptions: r.read, EvalID: model.EvalID(r.id)}))
}

func (r *request) deployments(resp *rpc.DeploymentListResponse, err error) (any, error) {
	if err != nil {
		return nil, filterErr(err)
	}
	r.meta(&resp.QueryMeta)
	return r.list(resp.Index, resp.Deployments)
}

func deploymentList(r *request) (any, error) {
	return r.deployments(rpc.DeploymentList.Call(r.ctx(), r.caller(), &rpc.DeploymentListRequest{QueryOptions: r.read}))
}

func (r *request) deploymentQuery() *rpc.DeploymentQuery {
	return &rpc.DeploymentQuery{QueryOptions: r.read, DeploymentID: model.DeploymentID(r.id)}
}

func deploymentRead(r *request) (any, error) {
	if err := r.uuid("deployment"); err != nil {
		return nil, err
	}
	resp, err := rpc.DeploymentGet.Call(r.ctx(), r.caller(), r.deploymentQuery())
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if resp.Deployment == nil {
		return nil, notFound("deployment not found")
	}
	return resp.Deployment, nil
}

func deploymentAllocations(r *request) (any, error) {
	if err := r.uuid("deployment"); err != nil {
		return nil, err
	}
	return r.allocs(rpc.DeploymentAllocations.Call(r.ctx(), r.caller(), r.deploymentQuery()))
}

func (r *request) deploymentAnswer(resp *rpc.DeploymentUpdateResponse, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	return struct {
		EvalID                model.EvalID
		EvalCreateIndex       uint64
		DeploymentModifyIndex uint64
		RevertedJobVersion    *uint64
		Index                 uint64
	}{resp.EvalID, resp.EvalCreateIndex, resp.DeploymentModifyIndex, resp.RevertedJobVersion, resp.Index}, nil
}

func deploymentFail(r *request) (any, error) {
	return r.deploymentAnswer(rpc.DeploymentFail.Call(r.ctx(), r.caller(), &rpc.DeploymentRequest{
		WriteRequest: r.write(), DeploymentID: model.DeploymentID(r.id),
	}))
}

// deploymentMatches checks that the body is about the deployment of the path.
func (r *request) deploymentMatches(id string) error {
	if id == "" {
		return badRequest("DeploymentID must be specified")
	}
	if id != r.id {
		return badRequest("Deployment ID does not match")
	}
	return nil
}

func deploymentPause(r *request) (any, error) {
	var in struct {
		DeploymentID string
		Pause        bool
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if err := r.deploymentMatches(in.DeploymentID); err != nil {
		return nil, err
	}
	return r.deploymentAnswer(rpc.DeploymentPause.Call(r.ctx(), r.caller(), &rpc.DeploymentPauseRequest{
		WriteRequest: r.write(), DeploymentID: model.DeploymentID(r.id), Pause: in.Pause,
	}))
}

func deploymentPromote(r *request) (any, error) {
	var in struct {
		DeploymentID string
		All          bool
		Groups       []string
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if err := r.deploymentMatches(in.DeploymentID); err != nil {
		return nil, err
	}
	return r.deploymentAnswer(rpc.DeploymentPromote.Call(r.ctx(), r.caller(), &rpc.DeploymentPromoteRequest{
		WriteRequest: r.write(), DeploymentID: model.DeploymentID(r.id), All: in.All, Groups: in.Groups,
	}))
}

func deploymentHealth(r *request) (any, error) {
	var in struct {
		DeploymentID           string
		HealthyAllocationIDs   []model.AllocID
		UnhealthyAllocationIDs []model.AllocID
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if err := r.deploymentMatches(in.DeploymentID); err != nil {
		return nil, err
	}
	return r.deploymentAnswer(rpc.DeploymentSetAllocHealth.Call(r.ctx(), r.caller(), &rpc.DeploymentHealthRequest{
		WriteRequest: r.write(), DeploymentID: model.DeploymentID(r.id),
		Healthy: in.HealthyAllocationIDs, Unhealthy: in.UnhealthyAllocationIDs,
	}))
}
