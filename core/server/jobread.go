package server

import (
	"context"
	"slices"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/scheduler"
	"github.com/seraiproject/serai/core/server/periodic"
	"github.com/seraiproject/serai/core/state"
)

func (s *Server) handleJobReads() {
	rpc.JobList.Handle(s.mux, s.jobList)
	rpc.JobGet.Handle(s.mux, s.jobGet)
	rpc.JobVersions.Handle(s.mux, s.jobVersions)
	rpc.JobSubmission.Handle(s.mux, s.jobSubmission)
	rpc.JobSummary.Handle(s.mux, s.jobSummary)
	rpc.JobAllocations.Handle(s.mux, s.jobAllocations)
	rpc.JobEvaluations.Handle(s.mux, s.jobEvaluations)
	rpc.JobDeployments.Handle(s.mux, s.jobDeployments)
	rpc.JobLatestDeployment.Handle(s.mux, s.jobLatestDeployment)
}

func (s *Server) jobList(ctx context.Context, q *rpc.JobListRequest) (*rpc.JobListResponse, error) {
	resp := &rpc.JobListResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Jobs = []*model.JobListStub{}
		jobs := snap.Jobs(ws, namespaceOf(q.Namespace), q.Prefix)
		snap.WatchSummaries(ws) // one watch, not one for each job
		if q.Reverse {
			all := slices.Collect(jobs)
			slices.Reverse(all)
			jobs = slices.Values(all)
		}
		token := func(j *model.Job) string { return j.Namespace + "." + string(j.ID) }
		err := page(&q.QueryOptions, &resp.QueryMeta, jobs, token, func(j *model.Job) {
			stub := j.Stub(snap.JobSummary(nil, j.Key()))
			if q.Meta {
				stub.Meta = j.Meta
			}
			resp.Jobs = append(resp.Jobs, stub)
		})
		return snap.TableIndex(state.TableJobs, state.TableSummaries), err
	})
	return resp, err
}

// objectIndex is the index of a read of one object: its own, or the table's
// when it is not there.
func objectIndex(snap *state.Snapshot, own uint64, found bool, t state.Table) uint64 {
	if found {
		return own
	}
	return snap.TableIndex(t)
}

func keyOf(q *rpc.QueryOptions, id model.JobID) model.JobKey {
	return model.JobKey{Namespace: namespaceOf(q.Namespace), ID: id}
}

func (s *Server) jobGet(ctx context.Context, q *rpc.JobQuery) (*rpc.JobResponse, error) {
	resp := &rpc.JobResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Job = snap.Job(ws, keyOf(&q.QueryOptions, q.JobID))
		if resp.Job == nil {
			return snap.TableIndex(state.TableJobs), nil
		}
		return resp.Job.ModifyIndex, nil
	})
	return resp, err
}

func (s *Server) jobVersions(ctx context.Context, q *rpc.JobVersionsRequest) (*rpc.JobVersionsResponse, error) {
	resp := &rpc.JobVersionsResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Versions = snap.JobVersions(ws, keyOf(&q.QueryOptions, q.JobID))
		resp.Diffs = nil
		if len(resp.Versions) == 0 {
			return snap.TableIndex(state.TableJobVersions), nil
		}
		var err error
		if q.Diffs || q.DiffTo != nil || q.DiffTag != "" {
			resp.Diffs, err = versionDiffs(resp.Versions, q)
		}
		return resp.Versions[0].ModifyIndex, err
	})
	return resp, err
}

// versionDiffs compares versions (newest first): each with the one before, or
// all with one.
func versionDiffs(versions []*model.Job, q *rpc.JobVersionsRequest) ([]*model.JobDiff, error) {
	var base *model.Job
	switch {
	case q.DiffTag != "":
		for _, v := range versions {
			if v.VersionTag != nil && v.VersionTag.Name == q.DiffTag {
				base = v
			}
		}
		if base == nil {
			return nil, model.Errorf(model.ErrInvalid, "tag %q not found", q.DiffTag)
		}
	case q.DiffTo != nil:
		for _, v := range versions {
			if v.Version == *q.DiffTo {
				base = v
			}
		}
		if base == nil {
			return nil, model.Errorf(model.ErrInvalid, "version %d not found", *q.DiffTo)
		}
	}
	var diffs []*model.JobDiff
	for i, v := range versions {
		switch {
		case base != nil:
			diffs = append(diffs, model.DiffJobs(base, v, nil))
		case i+1 < len(versions):
			diffs = append(diffs, model.DiffJobs(versions[i+1], v, nil))
		}
	}
	return diffs, nil
}

func (s *Server) jobSubmission(ctx context.Context, q *rpc.JobSubmissionRequest) (*rpc.JobSubmissionResponse, error) {
	resp := &rpc.JobSubmissionResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Submission = snap.Submission(ws, keyOf(&q.QueryOptions, q.JobID), q.Version)
		if resp.Submission == nil {
			return snap.TableIndex(state.TableSubmissions), nil
		}
		return resp.Submission.JobModifyIndex, nil
	})
	return resp, err
}

func (s *Server) jobSummary(ctx context.Context, q *rpc.JobQuery) (*rpc.JobSummaryResponse, error) {
	resp := &rpc.JobSummaryResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.JobSummary = snap.JobSummary(ws, keyOf(&q.QueryOptions, q.JobID))
		if resp.JobSummary == nil {
			return snap.TableIndex(state.TableSummaries), nil
		}
		return resp.JobSummary.ModifyIndex, nil
	})
	return resp, err
}

// ofThisJob returns the create index that what belongs to the job has; 0 takes
// what belonged to an earlier job of the same ID as well.
func ofThisJob(snap *state.Snapshot, k model.JobKey, all bool) uint64 {
	if job := snap.Job(nil, k); job != nil && !all {
		return job.CreateIndex
	}
	return 0
}

func (s *Server) jobAllocations(ctx context.Context, q *rpc.JobQuery) (*rpc.AllocListResponse, error) {
	resp := &rpc.AllocListResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		k := keyOf(&q.QueryOptions, q.JobID)
		created := ofThisJob(snap, k, q.All)
		resp.Allocs = []*model.AllocListStub{}
		index := uint64(0)
		for a := range snap.AllocsByJob(ws, k) {
			if created == 0 || a.Job == nil || a.Job.CreateIndex == created {
				resp.Allocs = append(resp.Allocs, a.Stub())
				index = max(index, a.ModifyIndex)
			}
		}
		sortAllocs(resp.Allocs)
		return objectIndex(snap, index, index > 0, state.TableAllocs), nil
	})
	return resp, err
}

func (s *Server) jobEvaluations(ctx context.Context, q *rpc.JobQuery) (*rpc.EvalListResponse, error) {
	resp := &rpc.EvalListResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Evals = []*model.Evaluation{}
		index := uint64(0)
		for e := range snap.EvalsByJob(ws, keyOf(&q.QueryOptions, q.JobID)) {
			resp.Evals = append(resp.Evals, e)
			index = max(index, e.ModifyIndex)
		}
		slices.SortFunc(resp.Evals, func(a, b *model.Evaluation) int { return compareIndex(b.CreateIndex, a.CreateIndex) })
		return objectIndex(snap, index, index > 0, state.TableEvals), nil
	})
	return resp, err
}

func (s *Server) jobDeployments(ctx context.Context, q *rpc.JobQuery) (*rpc.DeploymentListResponse, error) {
	resp := &rpc.DeploymentListResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		k := keyOf(&q.QueryOptions, q.JobID)
		created := ofThisJob(snap, k, q.All)
		resp.Deployments = []*model.Deployment{}
		index := uint64(0)
		for d := range snap.DeploymentsByJob(ws, k) {
			if created == 0 || d.JobCreateIndex == created {
				resp.Deployments = append(resp.Deployments, d)
				index = max(index, d.ModifyIndex)
			}
		}
		slices.SortFunc(resp.Deployments, func(a, b *model.Deployment) int { return compareIndex(b.CreateIndex, a.CreateIndex) })
		return objectIndex(snap, index, index > 0, state.TableDeployments), nil
	})
	return resp, err
}

func (s *Server) jobLatestDeployment(ctx context.Context, q *rpc.JobQuery) (*rpc.DeploymentResponse, error) {
	resp := &rpc.DeploymentResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Deployment = snap.LatestDeployment(ws, keyOf(&q.QueryOptions, q.JobID))
		if resp.Deployment == nil {
			return snap.TableIndex(state.TableDeployments), nil
		}
		return resp.Deployment.ModifyIndex, nil
	})
	return resp, err
}

func compareIndex(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// jobPlan works out what registering a job would do, on a copy of the state
// that has it.
func (s *Server) jobPlan(_ context.Context, req *rpc.JobPlanRequest) (*rpc.JobPlanResponse, error) {
	snap := s.store.Snapshot()
	job, warnings, err := s.admit(snap, req.Job, req.Namespace, req.Region)
	if err != nil {
		return nil, err
	}
	old := snap.Job(nil, job.Key())
	if old != nil {
		if err := keepsKind(old, job); err != nil {
			return nil, err
		}
	}
	resp := &rpc.JobPlanResponse{Warnings: warnings}
	resp.Index = snap.Index()
	if old != nil {
		resp.JobModifyIndex = old.JobModifyIndex
	}
	now := time.Now()
	job.SubmitTime = now.UnixNano()
	if periodic.Tracked(job) {
		if resp.NextPeriodicLaunch, err = periodic.Next(job.Periodic, now); err != nil {
			return nil, model.Errorf(model.ErrInvalid, "%w", err)
		}
	}
	if eval := s.registerEval(job, model.TriggerJobRegister, 0); eval != nil {
		eval.AnnotatePlan = true
		res, err := s.dryRun(job, eval, now)
		if err != nil {
			return nil, err
		}
		resp.Annotations, resp.FailedTGAllocs = res.Annotations, res.Failed
		eval.ModifyIndex = snap.Index()
		resp.CreatedEvals = append(resp.CreatedEvals, res.FollowUps...)
		if res.Blocked != nil {
			resp.CreatedEvals = append(resp.CreatedEvals, res.Blocked)
		}
	}
	if req.Diff {
		resp.Diff = model.DiffJobs(old, job, resp.Annotations)
	}
	return resp, nil
}

// dryRun has the scheduler process an evaluation as if the job were registered.
func (s *Server) dryRun(job *model.Job, eval *model.Evaluation, now time.Time) (*scheduler.Result, error) {
	t := s.store.Try()
	index := t.Index() + 1
	eval.JobModifyIndex = index
	if _, err := fsm.Try(t, &fsm.RegisterJob{Job: job, Eval: eval}, index); err != nil {
		return nil, err
	}
	return scheduler.Process(t.Scheduling(), t.Eval(nil, eval.ID), scheduler.Input{Now: now, Seed: 1, Annotate: true})
}
