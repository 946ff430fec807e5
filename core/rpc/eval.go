package rpc

import "github.com/seraiproject/serai/core/model"

// Calls about evaluations and deployments.
var (
	EvalList        = method[*EvalListRequest, *EvalListResponse]("Eval.List", Read)
	EvalGet         = method[*EvalQuery, *EvalResponse]("Eval.Get", Read)
	EvalAllocations = method[*EvalQuery, *AllocListResponse]("Eval.Allocations", Read)

	DeploymentList           = method[*DeploymentListRequest, *DeploymentListResponse]("Deployment.List", Read)
	DeploymentGet            = method[*DeploymentQuery, *DeploymentResponse]("Deployment.Get", Read)
	DeploymentAllocations    = method[*DeploymentQuery, *AllocListResponse]("Deployment.Allocations", Read)
	DeploymentPromote        = method[*DeploymentPromoteRequest, *DeploymentUpdateResponse]("Deployment.Promote", Write)
	DeploymentPause          = method[*DeploymentPauseRequest, *DeploymentUpdateResponse]("Deployment.Pause", Write)
	DeploymentFail           = method[*DeploymentRequest, *DeploymentUpdateResponse]("Deployment.Fail", Write)
	DeploymentSetAllocHealth = method[*DeploymentHealthRequest, *DeploymentUpdateResponse]("Deployment.SetAllocHealth", Write)
)

// EvalListRequest lists evaluations.
type EvalListRequest struct {
	QueryOptions
	FilterJobID  model.JobID
	FilterStatus string
}

// EvalListResponse lists evaluations.
type EvalListResponse struct {
	QueryMeta
	Evals []*model.Evaluation `msg:",allownil"`
}

// EvalQuery reads one evaluation. The ID is complete.
type EvalQuery struct {
	QueryOptions
	EvalID  model.EvalID
	Related bool // fill RelatedEvals
}

// EvalResponse answers with an evaluation; nil when there is none.
type EvalResponse struct {
	QueryMeta
	Eval *model.Evaluation
}

// DeploymentListRequest lists deployments.
type DeploymentListRequest struct {
	QueryOptions
}

// DeploymentListResponse lists deployments.
type DeploymentListResponse struct {
	QueryMeta
	Deployments []*model.Deployment `msg:",allownil"`
}

// DeploymentQuery reads one deployment. The ID is complete.
type DeploymentQuery struct {
	QueryOptions
	DeploymentID model.DeploymentID
}

// DeploymentResponse answers with a deployment; nil when there is none.
type DeploymentResponse struct {
	QueryMeta
	Deployment *model.Deployment
}

// DeploymentRequest is a write about one deployment.
type DeploymentRequest struct {
	WriteRequest
	DeploymentID model.DeploymentID
}

// DeploymentPromoteRequest promotes the canaries of all or some groups.
type DeploymentPromoteRequest struct {
	WriteRequest
	DeploymentID model.DeploymentID
	All          bool
	Groups       []string `msg:",allownil"`
}

// DeploymentPauseRequest pauses or resumes a deployment.
type DeploymentPauseRequest struct {
	WriteRequest
	DeploymentID model.DeploymentID
	Pause        bool
}

// DeploymentHealthRequest sets the health of allocations by hand.
type DeploymentHealthRequest struct {
	WriteRequest
	DeploymentID model.DeploymentID
	Healthy      []model.AllocID `msg:",allownil"`
	Unhealthy    []model.AllocID `msg:",allownil"`
}

// DeploymentUpdateResponse names the evaluation.
type DeploymentUpdateResponse struct {
	WriteMeta
	EvalID                model.EvalID
	EvalCreateIndex       uint64
	DeploymentModifyIndex uint64
	RevertedJobVersion    *uint64
}
