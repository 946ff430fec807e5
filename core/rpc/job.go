package rpc

import (
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Calls about jobs.
var (
	JobRegister         = method[*JobRegisterRequest, *JobRegisterResponse]("Job.Register", Write)
	JobDeregister       = method[*JobDeregisterRequest, *JobDeregisterResponse]("Job.Deregister", Write)
	JobEvaluate         = method[*JobEvaluateRequest, *JobRegisterResponse]("Job.Evaluate", Write)
	JobRevert           = method[*JobRevertRequest, *JobRegisterResponse]("Job.Revert", Write)
	JobStable           = method[*JobStableRequest, *WriteResponse]("Job.Stable", Write)
	JobScale            = method[*JobScaleRequest, *JobRegisterResponse]("Job.Scale", Write)
	JobDispatch         = method[*JobDispatchRequest, *JobDispatchResponse]("Job.Dispatch", Write)
	JobPeriodicForce    = method[*JobSpecificRequest, *JobRegisterResponse]("Job.PeriodicForce", Write)
	JobPlan             = method[*JobPlanRequest, *JobPlanResponse]("Job.Plan", Write)
	JobValidate         = method[*JobValidateRequest, *JobValidateResponse]("Job.Validate", Local)
	JobList             = method[*JobListRequest, *JobListResponse]("Job.List", Read)
	JobGet              = method[*JobQuery, *JobResponse]("Job.Get", Read)
	JobVersions         = method[*JobVersionsRequest, *JobVersionsResponse]("Job.Versions", Read)
	JobSubmission       = method[*JobSubmissionRequest, *JobSubmissionResponse]("Job.Submission", Read)
	JobSummary          = method[*JobQuery, *JobSummaryResponse]("Job.Summary", Read)
	JobAllocations      = method[*JobQuery, *AllocListResponse]("Job.Allocations", Read)
	JobEvaluations      = method[*JobQuery, *EvalListResponse]("Job.Evaluations", Read)
	JobDeployments      = method[*JobQuery, *DeploymentListResponse]("Job.Deployments", Read)
	JobLatestDeployment = method[*JobQuery, *DeploymentResponse]("Job.LatestDeployment", Read)
)

// WriteResponse answers writes that have nothing to say.
type WriteResponse struct {
	WriteMeta
}

// JobRegisterRequest registers or updates a job.
type JobRegisterRequest struct {
	WriteRequest
	Job        *model.Job
	Submission *model.JobSubmission
	// EnforceIndex makes the call fail unless the stored job's
	// JobModifyIndex is the one given; 0 means the job must not exist.
	EnforceIndex      bool
	JobModifyIndex    uint64
	PreserveCounts    bool // keep the counts of groups that exist
	PreserveResources bool // keep the resources of tasks that exist
	PolicyOverride    bool
	EvalPriority      int
}

// JobRegisterResponse answers with the evaluation that was made.
type JobRegisterResponse struct {
	WriteMeta
	EvalID          model.EvalID
	EvalCreateIndex uint64
	JobModifyIndex  uint64
	Warnings        string
}

// JobDeregisterRequest stops a job, or with Purge forgets it.
type JobDeregisterRequest struct {
	WriteRequest
	JobID           model.JobID
	Purge           bool
	Global          bool
	EvalPriority    int
	NoShutdownDelay bool
}

// JobDeregisterResponse answers with the evaluation that was made.
type JobDeregisterResponse struct {
	WriteMeta
	EvalID          model.EvalID
	EvalCreateIndex uint64
	JobModifyIndex  uint64
}

// JobEvaluateRequest makes an evaluation for a job that did not change.
type JobEvaluateRequest struct {
	WriteRequest
	JobID           model.JobID
	ForceReschedule bool
}

// JobRevertRequest registers an old version again.
type JobRevertRequest struct {
	WriteRequest
	JobID      model.JobID
	JobVersion uint64
	// EnforcePriorVersion makes the call fail unless it is the stored
	// job's version.
	EnforcePriorVersion *uint64
}

// JobStableRequest marks a version as one to go back to.
type JobStableRequest struct {
	WriteRequest
	JobID      model.JobID
	JobVersion uint64
	Stable     bool
}

// JobScaleRequest changes the count of a group.
type JobScaleRequest struct {
	WriteRequest
	JobID   model.JobID
	Group   string
	Count   *int64
	Message string
	Error   bool
	Meta    map[string]string `msg:",allownil"`
}

// JobDispatchRequest starts a child of a parameterized job.
type JobDispatchRequest struct {
	WriteRequest
	JobID            model.JobID
	Payload          []byte            `msg:",allownil"`
	Meta             map[string]string `msg:",allownil"`
	IDPrefixTemplate string
	IdempotencyToken string
}

// JobDispatchResponse names the child.
type JobDispatchResponse struct {
	WriteMeta
	DispatchedJobID model.JobID
	EvalID          model.EvalID
	EvalCreateIndex uint64
	JobCreateIndex  uint64
}

// JobSpecificRequest is a write about one job.
type JobSpecificRequest struct {
	WriteRequest
	JobID model.JobID
}

// JobPlanRequest asks what registering the job would do.
type JobPlanRequest struct {
	WriteRequest
	Job            *model.Job
	Diff           bool
	PolicyOverride bool
}

// JobPlanResponse says what registering the job would do.
type JobPlanResponse struct {
	WriteMeta
	JobModifyIndex     uint64
	CreatedEvals       []*model.Evaluation `msg:",allownil"`
	Diff               *model.JobDiff
	Annotations        *model.PlanAnnotations
	FailedTGAllocs     map[string]*model.AllocMetric `msg:",allownil"`
	NextPeriodicLaunch time.Time
	Warnings           string
}

// JobValidateRequest asks for a job's faults.
type JobValidateRequest struct {
	WriteRequest
	Job *model.Job
}

// JobValidateResponse lists a job's faults.
type JobValidateResponse struct {
	WriteMeta
	DriverConfigValidated bool
	ValidationErrors      []string `msg:",allownil"`
	Error                 string
	Warnings              string
}

// JobListRequest lists jobs.
type JobListRequest struct {
	QueryOptions
	Meta bool // include the jobs' Meta
}

// JobListResponse lists jobs.
type JobListResponse struct {
	QueryMeta
	Jobs []*model.JobListStub `msg:",allownil"`
}

// JobQuery reads something about one job.
type JobQuery struct {
	QueryOptions
	JobID model.JobID
	All   bool // also of an earlier job of the same ID
}

// JobResponse answers with a job; nil when there is none.
type JobResponse struct {
	QueryMeta
	Job *model.Job
}

// JobVersionsRequest reads the versions of a job.
type JobVersionsRequest struct {
	QueryOptions
	JobID   model.JobID
	Diffs   bool
	DiffTo  *uint64 // compare with this version instead of the one before
	DiffTag string
}

// JobVersionsResponse lists versions, newest first. Diffs has one entry fewer.
type JobVersionsResponse struct {
	QueryMeta
	Versions []*model.Job     `msg:",allownil"`
	Diffs    []*model.JobDiff `msg:",allownil"`
}

// JobSubmissionRequest reads the source of a version.
type JobSubmissionRequest struct {
	QueryOptions
	JobID   model.JobID
	Version uint64
}

// JobSubmissionResponse answers with the source; nil when there is none.
type JobSubmissionResponse struct {
	QueryMeta
	Submission *model.JobSubmission
}

// JobSummaryResponse answers with counts; nil when there is no such job.
type JobSummaryResponse struct {
	QueryMeta
	JobSummary *model.JobSummary
}
