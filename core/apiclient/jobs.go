package apiclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Submission is the text a job came from, kept beside it.
type Submission struct {
	Source        string
	Format        string // hcl2 or json
	VariableFlags map[string]string
	Variables     string

	// What follows is set by the server.
	JobID          model.JobID `json:",omitempty"`
	Namespace      string      `json:",omitempty"`
	Version        uint64      `json:",omitempty"`
	JobModifyIndex uint64      `json:",omitempty"`
}

// RegisterRequest registers a job. Job is its JSON document.
type RegisterRequest struct {
	Job        json.RawMessage
	Submission *Submission `json:",omitempty"`
	// EnforceIndex makes the call fail unless the job's modify index is
	// JobModifyIndex (zero: unless there is no such job).
	EnforceIndex      bool
	JobModifyIndex    uint64
	PolicyOverride    bool
	PreserveCounts    bool
	PreserveResources bool
	EvalPriority      int
}

// JobResponse answers a call that changes a job. EvalID is empty when there is
// nothing to evaluate (periodic and parameterized jobs).
type JobResponse struct {
	EvalID          model.EvalID
	EvalCreateIndex uint64
	JobModifyIndex  uint64
	Warnings        string
}

// PlanResponse answers a dry run.
type PlanResponse struct {
	JobModifyIndex     uint64
	CreatedEvals       []*model.Evaluation
	Diff               *model.JobDiff
	Annotations        *model.PlanAnnotations
	FailedTGAllocs     map[string]*model.AllocMetric
	NextPeriodicLaunch time.Time
	Warnings           string
}

// ValidateResponse answers a validation.
type ValidateResponse struct {
	DriverConfigValidated bool
	ValidationErrors      []string
	Error                 string
	Warnings              string
}

// VersionsResponse lists a job's versions, newest first. Diffs has one entry
// less, each version against the one before.
type VersionsResponse struct {
	Versions []*model.Job
	Diffs    []*model.JobDiff
}

// Jobs lists jobs.
func (c *Client) Jobs(ctx context.Context, q *Query) ([]*model.JobListStub, *Meta, error) {
	return list[*model.JobListStub](ctx, c, "/v1/jobs", q)
}

func list[T any](ctx context.Context, c *Client, path string, q *Query) ([]T, *Meta, error) {
	var out []T
	meta, err := c.get(ctx, path, q, &out)
	return out, meta, err
}

func one[T any](ctx context.Context, c *Client, path string, q *Query) (*T, *Meta, error) {
	var out *T
	meta, err := c.get(ctx, path, q, &out)
	return out, meta, err
}

func write[T any](ctx context.Context, c *Client, path string, q *Query, in any) (*T, *Meta, error) {
	out := new(T)
	meta, err := c.put(ctx, path, q, in, out)
	if err != nil {
		return nil, nil, err
	}
	return out, meta, nil
}

// JobPath is the path of a job, or of something under it.
func JobPath(id model.JobID, tail string) string { return "/v1/job/" + Segment(id) + tail }

// Job reads one job.
func (c *Client) Job(ctx context.Context, id model.JobID, q *Query) (*model.Job, *Meta, error) {
	return one[model.Job](ctx, c, JobPath(id, ""), q)
}

// RegisterJob creates or updates a job.
func (c *Client) RegisterJob(ctx context.Context, r *RegisterRequest, q *Query) (*JobResponse, *Meta, error) {
	return write[JobResponse](ctx, c, "/v1/jobs", q, r)
}

// PlanJob asks what registering the job would do.
func (c *Client) PlanJob(ctx context.Context, id model.JobID, job json.RawMessage, diff, policyOverride bool, q *Query) (*PlanResponse, *Meta, error) {
	return write[PlanResponse](ctx, c, JobPath(id, "/plan"), q, struct {
		Job                  json.RawMessage
		Diff, PolicyOverride bool
	}{job, diff, policyOverride})
}

// ValidateJob checks a job without registering it.
func (c *Client) ValidateJob(ctx context.Context, job json.RawMessage, q *Query) (*ValidateResponse, *Meta, error) {
	return write[ValidateResponse](ctx, c, "/v1/validate/job", q, struct{ Job json.RawMessage }{job})
}

// StopOptions shape how a job is stopped.
type StopOptions struct {
	Purge           bool
	Global          bool
	NoShutdownDelay bool
	EvalPriority    int
}

// StopJob stops a job.
func (c *Client) StopJob(ctx context.Context, id model.JobID, o StopOptions, q *Query) (*JobResponse, *Meta, error) {
	out := &JobResponse{}
	q = q.with("purge", strconv.FormatBool(o.Purge), "global", strconv.FormatBool(o.Global),
		"no_shutdown_delay", strconv.FormatBool(o.NoShutdownDelay), "eval_priority", strconv.Itoa(o.EvalPriority))
	meta, err := c.Do(ctx, http.MethodDelete, JobPath(id, ""), q, nil, out)
	if err != nil {
		return nil, nil, err
	}
	return out, meta, nil
}

// with returns a copy of q with further parameters, given as pairs.
func (q *Query) with(pairs ...string) *Query {
	out := Query{}
	if q != nil {
		out = *q
	}
	params := url.Values{}
	for k, v := range out.Params {
		params[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		params.Set(pairs[i], pairs[i+1])
	}
	out.Params = params
	return &out
}

// JobVersions lists a job's versions, with diffs if asked for.
func (c *Client) JobVersions(ctx context.Context, id model.JobID, diffs bool, q *Query) (*VersionsResponse, *Meta, error) {
	return one[VersionsResponse](ctx, c, JobPath(id, "/versions"), q.with("diffs", strconv.FormatBool(diffs)))
}

// RevertJob registers an earlier version, given by number or by tag, again.
func (c *Client) RevertJob(ctx context.Context, id model.JobID, version uint64, tag string, q *Query) (*JobResponse, *Meta, error) {
	return write[JobResponse](ctx, c, JobPath(id, "/revert"), q, struct {
		JobID         model.JobID
		JobVersion    uint64
		TaggedVersion string
	}{id, version, tag})
}

// EvaluateJob makes the scheduler look at a job again.
func (c *Client) EvaluateJob(ctx context.Context, id model.JobID, forceReschedule bool, q *Query) (*JobResponse, *Meta, error) {
	type options struct{ ForceReschedule bool }
	return write[JobResponse](ctx, c, JobPath(id, "/evaluate"), q, struct {
		JobID       model.JobID
		EvalOptions options
	}{id, options{forceReschedule}})
}

// JobAllocations lists a job's allocations; all includes those of earlier jobs
// of the same ID.
func (c *Client) JobAllocations(ctx context.Context, id model.JobID, all bool, q *Query) ([]*model.AllocListStub, *Meta, error) {
	return list[*model.AllocListStub](ctx, c, JobPath(id, "/allocations"), q.with("all", strconv.FormatBool(all)))
}

// JobEvaluations lists a job's evaluations.
func (c *Client) JobEvaluations(ctx context.Context, id model.JobID, q *Query) ([]*model.Evaluation, *Meta, error) {
	return list[*model.Evaluation](ctx, c, JobPath(id, "/evaluations"), q)
}

// JobDeployments lists a job's deployments.
func (c *Client) JobDeployments(ctx context.Context, id model.JobID, all bool, q *Query) ([]*model.Deployment, *Meta, error) {
	return list[*model.Deployment](ctx, c, JobPath(id, "/deployments"), q.with("all", strconv.FormatBool(all)))
}

// LatestDeployment reads a job's newest deployment, nil when there is none.
func (c *Client) LatestDeployment(ctx context.Context, id model.JobID, q *Query) (*model.Deployment, *Meta, error) {
	return one[model.Deployment](ctx, c, JobPath(id, "/deployment"), q)
}

// JobSummary counts a job's allocations.
func (c *Client) JobSummary(ctx context.Context, id model.JobID, q *Query) (*model.JobSummary, *Meta, error) {
	return one[model.JobSummary](ctx, c, JobPath(id, "/summary"), q)
}

// JobSubmission reads the text a version of a job came from.
func (c *Client) JobSubmission(ctx context.Context, id model.JobID, version uint64, q *Query) (*Submission, *Meta, error) {
	return one[Submission](ctx, c, JobPath(id, "/submission"), q.with("version", strconv.FormatUint(version, 10)))
}

// ScaleStatus is how many allocations a job's groups want and have.
type ScaleStatus struct {
	JobID      model.JobID
	JobStopped bool
	TaskGroups map[string]struct{ Desired, Placed, Running, Healthy, Unhealthy int }
}

// JobScale reads a job's ScaleStatus.
func (c *Client) JobScale(ctx context.Context, id model.JobID, q *Query) (*ScaleStatus, *Meta, error) {
	return one[ScaleStatus](ctx, c, JobPath(id, "/scale"), q)
}

// ScaleJob changes the count of a group.
func (c *Client) ScaleJob(ctx context.Context, id model.JobID, group string, count int, message string, q *Query) (*JobResponse, *Meta, error) {
	return write[JobResponse](ctx, c, JobPath(id, "/scale"), q, struct {
		Count   int
		Target  map[string]string
		Message string
	}{count, map[string]string{"Job": string(id), "Group": group}, message})
}

// DispatchRequest starts a child of a parameterized job.
type DispatchRequest struct {
	Payload          []byte
	Meta             map[string]string
	IdPrefixTemplate string //nolint:revive // the key of the API
	Priority         int
	// IdempotencyToken makes a repeated call return the first child.
	IdempotencyToken string `json:"-"`
}

// DispatchResponse answers a DispatchRequest.
type DispatchResponse struct {
	DispatchedJobID model.JobID
	EvalID          model.EvalID
}

// DispatchJob starts a child of a parameterized job.
func (c *Client) DispatchJob(ctx context.Context, id model.JobID, r *DispatchRequest, q *Query) (*DispatchResponse, *Meta, error) {
	if r.IdempotencyToken != "" {
		q = q.with("idempotency_token", r.IdempotencyToken)
	}
	return write[DispatchResponse](ctx, c, JobPath(id, "/dispatch"), q, r)
}

// ForcePeriodicJob starts a child of a periodic job now.
func (c *Client) ForcePeriodicJob(ctx context.Context, id model.JobID, q *Query) (model.EvalID, error) {
	out, _, err := write[struct{ EvalID model.EvalID }](ctx, c, JobPath(id, "/periodic/force"), q, nil)
	if err != nil {
		return "", err
	}
	return out.EvalID, nil
}
