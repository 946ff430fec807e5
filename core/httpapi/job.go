package httpapi

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

func jobList(r *request) (any, error) {
	meta, err := r.flag("meta")
	if err != nil {
		return nil, err
	}
	resp, err := rpc.JobList.Call(r.ctx(), r.caller(), &rpc.JobListRequest{QueryOptions: r.read, Meta: meta})
	if err != nil {
		return nil, filterErr(err)
	}
	r.meta(&resp.QueryMeta)
	return r.list(resp.Index, resp.Jobs)
}

// registration is the body of a registration.
type registration struct {
	Job               *model.Job
	Submission        *model.JobSubmission
	EnforceIndex      bool
	JobModifyIndex    uint64
	PolicyOverride    bool
	PreserveCounts    bool
	PreserveResources bool
	EvalPriority      int
}

func jobRegister(r *request) (any, error) {
	var in registration
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if in.Job == nil {
		return nil, badRequest("Job must be specified")
	}
	if in.Job.ID == "" {
		return nil, badRequest("Job ID hasn't been provided")
	}
	return r.register(&in)
}

func jobUpdate(r *request) (any, error) {
	var in registration
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if in.Job == nil {
		return nil, badRequest("Job must be specified")
	}
	if string(in.Job.ID) != r.id {
		return nil, badRequest("Job ID does not match name")
	}
	return r.register(&in)
}

// place settles the region and namespace of a job that is written: the query
// wins over the job.
func (r *request) place(j *model.Job) rpc.WriteRequest {
	w := r.write()
	if region := r.query.Get("region"); region != "" {
		j.Region = region
	}
	if ns := r.query.Get("namespace"); ns != "" {
		j.Namespace = ns
	}
	w.Region, w.Namespace = j.Region, j.Namespace
	if r.query.Get("region") == "" && j.Region == model.DefaultRegion {
		// A job that says nothing goes where the request went.
		w.Region = ""
		j.Region = r.s.cfg.Agent.Region()
	}
	return w
}

// jobAnswer is the body of most answers to writes of jobs.
type jobAnswer struct {
	EvalID          model.EvalID
	EvalCreateIndex uint64
	JobModifyIndex  uint64
	Warnings        string
	Index           uint64
	LastContact     int64
	KnownLeader     bool
	NextToken       string
}

func (r *request) jobAnswer(resp *rpc.JobRegisterResponse) jobAnswer {
	r.index(resp.Index)
	return jobAnswer{
		EvalID: resp.EvalID, EvalCreateIndex: resp.EvalCreateIndex, JobModifyIndex: resp.JobModifyIndex,
		Warnings: resp.Warnings, Index: resp.Index,
	}
}

func (r *request) register(in *registration) (any, error) {
	resp, err := rpc.JobRegister.Call(r.ctx(), r.caller(), &rpc.JobRegisterRequest{
		WriteRequest: r.place(in.Job),
		Job:          in.Job, Submission: in.Submission,
		EnforceIndex: in.EnforceIndex, JobModifyIndex: in.JobModifyIndex,
		PreserveCounts: in.PreserveCounts, PreserveResources: in.PreserveResources,
		PolicyOverride: in.PolicyOverride, EvalPriority: in.EvalPriority,
	})
	if err != nil {
		return nil, err
	}
	return r.jobAnswer(resp), nil
}

func jobParse(r *request) (any, error) {
	var in struct {
		JobHCL       string
		Variables    string
		Canonicalize bool
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if in.JobHCL == "" {
		return nil, badRequest("Job spec is empty")
	}
	doc, err := r.s.cfg.Parse(in.JobHCL, in.Variables)
	if err != nil {
		return nil, badRequest("Failed to parse job: " + err.Error())
	}
	if !in.Canonicalize {
		return raw(doc), nil
	}
	job := &model.Job{}
	if err := json.Unmarshal(doc, job); err != nil {
		return nil, badRequest("Failed to parse job: " + err.Error())
	}
	job.Canonicalize()
	return job, nil
}

func jobValidate(r *request) (any, error) {
	var in struct{ Job *model.Job }
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if in.Job == nil {
		return nil, badRequest("Job must be specified")
	}
	resp, err := rpc.JobValidate.Call(r.ctx(), r.caller(), &rpc.JobValidateRequest{WriteRequest: r.place(in.Job), Job: in.Job})
	if err != nil {
		return nil, err
	}
	return struct {
		DriverConfigValidated bool
		ValidationErrors      []string
		Error                 string
		Warnings              string
	}{resp.DriverConfigValidated, resp.ValidationErrors, resp.Error, resp.Warnings}, nil
}

func (r *request) jobQuery() *rpc.JobQuery {
	return &rpc.JobQuery{QueryOptions: r.read, JobID: model.JobID(r.id)}
}

func jobRead(r *request) (any, error) {
	resp, err := rpc.JobGet.Call(r.ctx(), r.caller(), r.jobQuery())
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if resp.Job == nil {
		return nil, notFound("job not found")
	}
	return resp.Job, nil
}

func jobDelete(r *request) (any, error) {
	in := &rpc.JobDeregisterRequest{WriteRequest: r.write(), JobID: model.JobID(r.id)}
	var err error
	if in.Purge, err = r.flag("purge"); err != nil {
		return nil, err
	}
	if in.Global, err = r.flag("global"); err != nil {
		return nil, err
	}
	if in.NoShutdownDelay, err = r.flag("no_shutdown_delay"); err != nil {
		return nil, err
	}
	if v := r.query.Get("eval_priority"); v != "" {
		if in.EvalPriority, err = strconv.Atoi(v); err != nil || in.EvalPriority < 0 || in.EvalPriority > 100 {
			return nil, badRequest("Eval priority must be 0 to 100")
		}
	}
	resp, err := rpc.JobDeregister.Call(r.ctx(), r.caller(), in)
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	return struct {
		jobAnswer
		VolumeEvalID    string
		VolumeEvalIndex uint64
	}{jobAnswer: jobAnswer{
		EvalID: resp.EvalID, EvalCreateIndex: resp.EvalCreateIndex, JobModifyIndex: resp.JobModifyIndex, Index: resp.Index,
	}}, nil
}

func jobPlan(r *request) (any, error) {
	var in struct {
		Job            *model.Job
		Diff           bool
		PolicyOverride bool
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if in.Job == nil {
		return nil, badRequest("Job must be specified")
	}
	if string(in.Job.ID) != r.id {
		return nil, badRequest("Job ID does not match")
	}
	resp, err := rpc.JobPlan.Call(r.ctx(), r.caller(), &rpc.JobPlanRequest{
		WriteRequest: r.place(in.Job), Job: in.Job, Diff: in.Diff, PolicyOverride: in.PolicyOverride,
	})
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	return struct {
		JobModifyIndex     uint64
		CreatedEvals       []*model.Evaluation
		Diff               *model.JobDiff
		Annotations        *model.PlanAnnotations
		FailedTGAllocs     map[string]*model.AllocMetric
		NextPeriodicLaunch time.Time
		Warnings           string
		Index              uint64
	}{
		resp.JobModifyIndex, resp.CreatedEvals, resp.Diff, resp.Annotations, resp.FailedTGAllocs,
		resp.NextPeriodicLaunch, resp.Warnings, resp.Index,
	}, nil
}

func jobVersions(r *request) (any, error) {
	in := &rpc.JobVersionsRequest{QueryOptions: r.read, JobID: model.JobID(r.id), DiffTag: r.query.Get("diff_tag")}
	var err error
	if in.Diffs, err = r.flag("diffs"); err != nil {
		return nil, err
	}
	if v := r.query.Get("diff_version"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return nil, badRequest("diff_version must be a number")
		}
		in.DiffTo = &n
	}
	resp, err := rpc.JobVersions.Call(r.ctx(), r.caller(), in)
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if len(resp.Versions) == 0 {
		return nil, notFound("job versions not found")
	}
	return struct {
		Versions    []*model.Job
		Diffs       []*model.JobDiff
		Index       uint64
		LastContact int64
		KnownLeader bool
		NextToken   string
	}{resp.Versions, resp.Diffs, resp.Index, int64(resp.LastContact), resp.KnownLeader, ""}, nil
}

func jobSubmission(r *request) (any, error) {
	v, err := strconv.ParseUint(r.query.Get("version"), 10, 64)
	if err != nil {
		return nil, badRequest("version must be a number, as in ?version=0")
	}
	resp, err := rpc.JobSubmission.Call(r.ctx(), r.caller(), &rpc.JobSubmissionRequest{
		QueryOptions: r.read, JobID: model.JobID(r.id), Version: v,
	})
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if resp.Submission == nil {
		return nil, notFound("job source not found")
	}
	return resp.Submission, nil
}

func jobAllocations(r *request) (any, error) {
	in := r.jobQuery()
	var err error
	if in.All, err = r.flag("all"); err != nil {
		return nil, err
	}
	return r.allocs(rpc.JobAllocations.Call(r.ctx(), r.caller(), in))
}

func (r *request) allocs(resp *rpc.AllocListResponse, err error) (any, error) {
	if err != nil {
		return nil, filterErr(err)
	}
	r.meta(&resp.QueryMeta)
	return r.list(resp.Index, resp.Allocs)
}

func jobEvaluations(r *request) (any, error) {
	return r.evals(rpc.JobEvaluations.Call(r.ctx(), r.caller(), r.jobQuery()))
}

func jobDeployments(r *request) (any, error) {
	in := r.jobQuery()
	var err error
	if in.All, err = r.flag("all"); err != nil {
		return nil, err
	}
	return r.deployments(rpc.JobDeployments.Call(r.ctx(), r.caller(), in))
}

func jobDeployment(r *request) (any, error) {
	resp, err := rpc.JobLatestDeployment.Call(r.ctx(), r.caller(), r.jobQuery())
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if resp.Deployment == nil {
		return jsonNull{}, nil
	}
	return resp.Deployment, nil
}

func jobSummary(r *request) (any, error) {
	resp, err := rpc.JobSummary.Call(r.ctx(), r.caller(), r.jobQuery())
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if resp.JobSummary == nil {
		return nil, notFound("job not found")
	}
	return resp.JobSummary, nil
}

func jobEvaluate(r *request) (any, error) {
	var in struct {
		JobID       string
		EvalOptions struct{ ForceReschedule bool }
	}
	if err := r.decode(&in, true); err != nil {
		return nil, err
	}
	if in.JobID != "" && in.JobID != r.id {
		return nil, badRequest("JobID not same as job name")
	}
	resp, err := rpc.JobEvaluate.Call(r.ctx(), r.caller(), &rpc.JobEvaluateRequest{
		WriteRequest: r.write(), JobID: model.JobID(r.id), ForceReschedule: in.EvalOptions.ForceReschedule,
	})
	if err != nil {
		return nil, err
	}
	return r.jobAnswer(resp), nil
}

func jobRevert(r *request) (any, error) {
	var in struct {
		JobID               string
		JobVersion          uint64
		EnforcePriorVersion *uint64
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if in.JobID == "" {
		return nil, badRequest("JobID must be specified")
	}
	if in.JobID != r.id {
		return nil, badRequest("Job ID does not match")
	}
	resp, err := rpc.JobRevert.Call(r.ctx(), r.caller(), &rpc.JobRevertRequest{
		WriteRequest: r.write(), JobID: model.JobID(r.id), JobVersion: in.JobVersion, EnforcePriorVersion: in.EnforcePriorVersion,
	})
	if err != nil {
		return nil, err
	}
	return r.jobAnswer(resp), nil
}

func jobStable(r *request) (any, error) {
	var in struct {
		JobID      string
		JobVersion uint64
		Stable     bool
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if in.JobID == "" {
		return nil, badRequest("JobID must be specified")
	}
	if in.JobID != r.id {
		return nil, badRequest("Job ID does not match")
	}
	resp, err := rpc.JobStable.Call(r.ctx(), r.caller(), &rpc.JobStableRequest{
		WriteRequest: r.write(), JobID: model.JobID(r.id), JobVersion: in.JobVersion, Stable: in.Stable,
	})
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	return struct{ Index uint64 }{resp.Index}, nil
}

// groupScale is the state of one group in a job's scale.
type groupScale struct {
	Desired, Placed, Running, Healthy, Unhealthy int
	Events                                       []struct{}
}

func jobScaleStatus(r *request) (any, error) {
	resp, err := rpc.JobGet.Call(r.ctx(), r.caller(), r.jobQuery())
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if resp.Job == nil {
		return nil, notFound("job not found")
	}
	read := r.read
	read.MinIndex = 0
	allocs, err := rpc.JobAllocations.Call(r.ctx(), r.caller(), &rpc.JobQuery{QueryOptions: read, JobID: resp.Job.ID})
	if err != nil {
		return nil, err
	}
	groups := map[string]*groupScale{}
	for _, g := range resp.Job.TaskGroups {
		groups[g.Name] = &groupScale{Desired: g.Count}
	}
	for _, a := range allocs.Allocs {
		g := groups[a.TaskGroup]
		if g == nil || a.DesiredStatus != model.AllocDesiredRun {
			continue
		}
		if a.ClientStatus == model.AllocClientPending || a.ClientStatus == model.AllocClientRunning {
			g.Placed++
		}
		if a.ClientStatus == model.AllocClientRunning {
			g.Running++
		}
		if a.DeploymentStatus.IsHealthy() {
			g.Healthy++
		}
		if a.DeploymentStatus.IsUnhealthy() {
			g.Unhealthy++
		}
	}
	return struct {
		JobID                          model.JobID
		Namespace                      string
		JobCreateIndex, JobModifyIndex uint64
		JobStopped                     bool
		TaskGroups                     map[string]*groupScale
	}{resp.Job.ID, resp.Job.Namespace, resp.Job.CreateIndex, resp.Job.ModifyIndex, resp.Job.Stop, groups}, nil
}

func jobScale(r *request) (any, error) {
	var in struct {
		Count   *int64
		Target  map[string]string
		Message string
		Error   bool
		Meta    map[string]any
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	if j := in.Target["Job"]; j != "" && j != r.id {
		return nil, badRequest("job ID in payload did not match URL")
	}
	if in.Target["Group"] == "" {
		return nil, badRequest("missing task group name for scaling action")
	}
	if in.Count != nil && *in.Count < 0 {
		return nil, badRequest("scaling action count can't be negative")
	}
	resp, err := rpc.JobScale.Call(r.ctx(), r.caller(), &rpc.JobScaleRequest{
		WriteRequest: r.write(), JobID: model.JobID(r.id), Group: in.Target["Group"], Count: in.Count,
		Message: in.Message, Error: in.Error,
	})
	if err != nil {
		return nil, readErr(err, err.Error())
	}
	return r.jobAnswer(resp), nil
}

func jobDispatch(r *request) (any, error) {
	var in struct {
		Payload          []byte
		Meta             map[string]string
		IdPrefixTemplate string //nolint:revive // the key of the API
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	resp, err := rpc.JobDispatch.Call(r.ctx(), r.caller(), &rpc.JobDispatchRequest{
		WriteRequest: r.write(), JobID: model.JobID(r.id), Payload: in.Payload, Meta: in.Meta,
		IDPrefixTemplate: in.IdPrefixTemplate, IdempotencyToken: r.query.Get("idempotency_token"),
	})
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	return struct {
		DispatchedJobID                 model.JobID
		EvalID                          model.EvalID
		EvalCreateIndex, JobCreateIndex uint64
		Index                           uint64
	}{resp.DispatchedJobID, resp.EvalID, resp.EvalCreateIndex, resp.JobCreateIndex, resp.Index}, nil
}

func jobPeriodicForce(r *request) (any, error) {
	if _, err := io.Copy(io.Discard, r.r.Body); err != nil {
		return nil, badRequest(err.Error())
	}
	resp, err := rpc.JobPeriodicForce.Call(r.ctx(), r.caller(), &rpc.JobSpecificRequest{WriteRequest: r.write(), JobID: model.JobID(r.id)})
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	return struct {
		EvalID          model.EvalID
		EvalCreateIndex uint64
		Index           uint64
	}{resp.EvalID, resp.EvalCreateIndex, resp.Index}, nil
}

// jobAction is a command of a job's task that users may run by name.
type jobAction struct {
	Name          string
	Command       string
	Args          []string
	TaskName      string
	TaskGroupName string
}

func jobActions(r *request) (any, error) {
	resp, err := rpc.JobGet.Call(r.ctx(), r.caller(), r.jobQuery())
	if err != nil {
		return nil, err
	}
	if resp.Job == nil {
		return nil, model.Errorf(model.ErrNotFound, "Unknown job %q", r.id)
	}
	r.meta(&resp.QueryMeta)
	actions := []jobAction{}
	for _, g := range resp.Job.TaskGroups {
		for _, t := range g.Tasks {
			for _, a := range t.Actions {
				actions = append(actions, jobAction{a.Name, a.Command, a.Args, t.Name, g.Name})
			}
		}
	}
	return actions, nil
}
