package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/state"
)

// maxSource bounds the source of a job, in bytes; a longer one is not kept.
const maxSource = 1 << 20

// maxCount bounds the allocations that a job asks for.
const maxCount = 50000

func (s *Server) handleJobs() {
	rpc.JobRegister.Handle(s.mux, s.jobRegister)
	rpc.JobDeregister.Handle(s.mux, s.jobDeregister)
	rpc.JobEvaluate.Handle(s.mux, s.jobEvaluate)
	rpc.JobRevert.Handle(s.mux, s.jobRevert)
	rpc.JobStable.Handle(s.mux, s.jobStable)
	rpc.JobScale.Handle(s.mux, s.jobScale)
	rpc.JobDispatch.Handle(s.mux, s.jobDispatch)
	rpc.JobPeriodicForce.Handle(s.mux, s.jobPeriodicForce)
	rpc.JobPlan.Handle(s.mux, s.jobPlan)
	rpc.JobValidate.Handle(s.mux, s.jobValidate)
}

// admit checks a job to be registered and fills what is left out. It answers a
// copy, and warnings as clients show them.
func (s *Server) admit(snap *state.Snapshot, in *model.Job, namespace, region string) (job *model.Job, warnings string, err error) {
	if in == nil {
		return nil, "", model.Errorf(model.ErrInvalid, "missing job for registration")
	}
	job = in.Clone()
	if namespace != "" && namespace != model.AllNamespaces {
		job.Namespace = namespace
	}
	if region != "" {
		job.Region = region
	}
	job.Canonicalize()
	warned, err := job.Validate()
	if err != nil {
		return nil, "", err
	}
	var faults model.FieldErrors
	if job.Priority > s.cfg.MaxJobPriority {
		faults.Addf("", "job priority must be between [1, %d]", s.cfg.MaxJobPriority)
	}
	count := 0
	for _, g := range job.TaskGroups {
		count += g.Count
	}
	if count > maxCount {
		faults.Addf("", "total count was greater than configured job_max_count: %d > %d", count, maxCount)
	}
	if err := faults.Err(); err != nil {
		return nil, "", err
	}
	ns := snap.Namespace(nil, job.Namespace)
	if ns == nil {
		return nil, "", model.Errorf(model.ErrInvalid, "job %q is in nonexistent namespace %q", job.ID, job.Namespace)
	}
	if err := allowedIn(ns, job); err != nil {
		return nil, "", err
	}
	if snap.NodePool(nil, job.NodePool) == nil {
		return nil, "", model.Errorf(model.ErrInvalid, "job %q is in nonexistent node pool %q", job.ID, job.NodePool)
	}
	return job, joinWarnings(warned), nil
}

// allowedIn checks what a namespace lets its jobs use.
func allowedIn(ns *model.Namespace, job *model.Job) error {
	if ns.Capabilities == nil {
		return nil
	}
	c := ns.Capabilities
	allowed := func(name string, enabled, disabled []string) bool {
		for _, d := range disabled {
			if d == name {
				return false
			}
		}
		if len(enabled) == 0 {
			return true
		}
		for _, e := range enabled {
			if e == name {
				return true
			}
		}
		return false
	}
	for _, g := range job.TaskGroups {
		for _, n := range g.Networks {
			if !allowed(n.Mode, c.EnabledNetworkModes, c.DisabledNetworkModes) {
				return model.Errorf(model.ErrInvalid, "used group network mode %q is not allowed in namespace %q", n.Mode, ns.Name)
			}
		}
		for _, t := range g.Tasks {
			if !allowed(t.Driver, c.EnabledTaskDrivers, c.DisabledTaskDrivers) {
				return model.Errorf(model.ErrInvalid, "used task driver %q is not allowed in namespace %q", t.Driver, ns.Name)
			}
		}
	}
	return nil
}

// joinWarnings makes one text of warnings.
func joinWarnings(all []string) string {
	if len(all) == 0 {
		return ""
	}
	noun := "warnings"
	if len(all) == 1 {
		noun = "warning"
	}
	return fmt.Sprintf("%d %s:\n\n* %s", len(all), noun, strings.Join(all, "\n* "))
}

func (s *Server) jobRegister(_ context.Context, req *rpc.JobRegisterRequest) (*rpc.JobRegisterResponse, error) {
	snap := s.store.Snapshot()
	job, warnings, err := s.admit(snap, req.Job, req.Namespace, req.Region)
	if err != nil {
		return nil, err
	}
	if req.EvalPriority < 0 || req.EvalPriority > s.cfg.MaxJobPriority {
		return nil, model.Errorf(model.ErrInvalid, "eval priority must be between [1, %d]", s.cfg.MaxJobPriority)
	}
	old := snap.Job(nil, job.Key())
	if req.EnforceIndex {
		if err := fsm.CheckJobIndex(old, req.JobModifyIndex); err != nil {
			return nil, err
		}
	}
	if old != nil {
		if err := keepsKind(old, job); err != nil {
			return nil, err
		}
		preserve(old, job, req.PreserveCounts, req.PreserveResources)
	}
	sub := req.Submission
	if sub != nil && len(sub.Source) > maxSource {
		sub = nil
		warnings = strings.TrimSpace(warnings + "\n" + fmt.Sprintf("job source size of %d bytes exceeds maximum of %d bytes and will be discarded", len(req.Submission.Source), maxSource))
	}
	job.SubmitTime = time.Now().UnixNano()
	c := &fsm.RegisterJob{
		Job: job, Submission: sub, EnforceIndex: req.EnforceIndex, JobModifyIndex: req.JobModifyIndex,
		Eval: s.registerEval(job, model.TriggerJobRegister, req.EvalPriority),
	}
	return s.register(c, warnings)
}

// register writes a registration.
func (s *Server) register(c *fsm.RegisterJob, warnings string) (*rpc.JobRegisterResponse, error) {
	index, answer, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	resp := &rpc.JobRegisterResponse{Warnings: warnings, JobModifyIndex: answer.(*fsm.JobResult).JobModifyIndex}
	resp.Index = index
	if c.Eval != nil {
		resp.EvalID, resp.EvalCreateIndex = c.Eval.ID, index
	}
	return resp, nil
}

// keepsKind refuses changes that a registered job cannot make.
func keepsKind(old, job *model.Job) error {
	switch {
	case old.Type != job.Type:
		return model.Errorf(model.ErrInvalid, "cannot update job from type %q to %q", old.Type, job.Type)
	case !old.IsPeriodic() && job.IsPeriodic():
		return model.Errorf(model.ErrInvalid, "cannot update non-periodic job to being periodic")
	case old.IsPeriodic() && !job.IsPeriodic():
		return model.Errorf(model.ErrInvalid, "cannot update periodic job to being non-periodic")
	case !old.IsParameterized() && job.IsParameterized():
		return model.Errorf(model.ErrInvalid, "cannot update non-parameterized job to being parameterized")
	case old.IsParameterized() && !job.IsParameterized():
		return model.Errorf(model.ErrInvalid, "cannot update parameterized job to being non-parameterized")
	case old.Dispatched && old.ParentID != "":
		return model.Errorf(model.ErrInvalid, "job can't be submitted with 'Dispatched' set")
	}
	return nil
}

// preserve keeps counts and resources of what exists.
func preserve(old, job *model.Job, counts, resources bool) {
	for _, g := range job.TaskGroups {
		was := old.Group(g.Name)
		if was == nil {
			continue
		}
		if counts {
			g.Count = was.Count
		}
		if !resources {
			continue
		}
		for _, t := range g.Tasks {
			if o := was.Task(t.Name); o != nil {
				t.Resources = o.Resources.Clone()
			}
		}
	}
}

// registerEval makes the evaluation of a job that was registered; nil for jobs
// that only have children.
func (s *Server) registerEval(job *model.Job, trigger string, priority int) *model.Evaluation {
	if job.IsPeriodic() || job.IsParameterized() {
		return nil
	}
	return newEval(job, trigger, priority)
}

// newEval makes an evaluation of a job; priority 0 is the job's.
func newEval(job *model.Job, trigger string, priority int) *model.Evaluation {
	if priority == 0 {
		priority = job.Priority
	}
	now := time.Now().UnixNano()
	return &model.Evaluation{
		ID: model.EvalID(model.NewUUID()), Namespace: job.Namespace, JobID: job.ID, Type: job.Type, Priority: priority,
		TriggeredBy: trigger, JobModifyIndex: job.JobModifyIndex, Status: model.EvalStatusPending, CreateTime: now, ModifyTime: now,
	}
}

func (s *Server) jobDeregister(_ context.Context, req *rpc.JobDeregisterRequest) (*rpc.JobDeregisterResponse, error) {
	if req.JobID == "" {
		return nil, model.Errorf(model.ErrInvalid, "missing job ID for deregistering")
	}
	if req.EvalPriority < 0 || req.EvalPriority > s.cfg.MaxJobPriority {
		return nil, model.Errorf(model.ErrInvalid, "eval priority must be between [1, %d]", s.cfg.MaxJobPriority)
	}
	k := model.JobKey{Namespace: namespaceOf(req.Namespace), ID: req.JobID}
	job := s.store.Snapshot().Job(nil, k)
	if job == nil {
		return &rpc.JobDeregisterResponse{}, nil
	}
	c := &fsm.DeregisterJob{
		Namespace: k.Namespace, JobID: k.ID, Purge: req.Purge, NoShutdownDelay: req.NoShutdownDelay,
		Time: time.Now().UnixNano(), Eval: s.registerEval(job, model.TriggerJobDeregister, req.EvalPriority),
	}
	index, answer, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	resp := &rpc.JobDeregisterResponse{JobModifyIndex: answer.(*fsm.JobResult).JobModifyIndex}
	resp.Index = index
	if c.Eval != nil {
		resp.EvalID, resp.EvalCreateIndex = c.Eval.ID, index
	}
	return resp, nil
}

func (s *Server) jobEvaluate(_ context.Context, req *rpc.JobEvaluateRequest) (*rpc.JobRegisterResponse, error) {
	if req.JobID == "" {
		return nil, model.Errorf(model.ErrInvalid, "missing job ID for evaluation")
	}
	snap := s.store.Snapshot()
	job := snap.Job(nil, model.JobKey{Namespace: namespaceOf(req.Namespace), ID: req.JobID})
	switch {
	case job == nil:
		return nil, model.Errorf(model.ErrInvalid, "job not found")
	case job.IsPeriodic():
		return nil, model.Errorf(model.ErrInvalid, "can't evaluate periodic job")
	case job.IsParameterized():
		return nil, model.Errorf(model.ErrInvalid, "can't evaluate parameterized job")
	}
	eval := newEval(job, model.TriggerJobRegister, 0)
	var c fsm.Command = &fsm.UpdateEvals{Evals: []*model.Evaluation{eval}}
	if req.ForceReschedule {
		yes := true
		t := &fsm.TransitionAllocs{
			Transition: model.DesiredTransition{ForceReschedule: &yes}, Evals: []*model.Evaluation{eval}, Time: eval.CreateTime,
		}
		for a := range snap.AllocsByJob(nil, job.Key()) {
			if a.ClientStatus == model.AllocClientFailed && a.NextAllocation == "" && !a.ServerTerminal() {
				t.Allocs = append(t.Allocs, a.ID)
			}
		}
		c = t
	}
	index, _, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	resp := &rpc.JobRegisterResponse{EvalID: eval.ID, EvalCreateIndex: index, JobModifyIndex: job.JobModifyIndex}
	resp.Index = index
	return resp, nil
}

func (s *Server) jobRevert(_ context.Context, req *rpc.JobRevertRequest) (*rpc.JobRegisterResponse, error) {
	snap := s.store.Snapshot()
	k := model.JobKey{Namespace: namespaceOf(req.Namespace), ID: req.JobID}
	cur := snap.Job(nil, k)
	switch {
	case req.JobID == "":
		return nil, model.Errorf(model.ErrInvalid, "missing job ID for revert")
	case cur == nil:
		return nil, model.Errorf(model.ErrInvalid, "job %q not found", req.JobID)
	case req.EnforcePriorVersion != nil && *req.EnforcePriorVersion != cur.Version:
		return nil, model.Errorf(model.ErrConflict, "Current job has version %d; enforcing version %d", cur.Version, *req.EnforcePriorVersion)
	case req.JobVersion == cur.Version:
		return nil, model.Errorf(model.ErrInvalid, "can't revert to current version")
	}
	old := snap.JobVersion(nil, k, req.JobVersion)
	if old == nil {
		return nil, model.Errorf(model.ErrInvalid, "job %q in namespace %q at version %d not found", req.JobID, k.Namespace, req.JobVersion)
	}
	job := old.Clone()
	job.VersionTag, job.SubmitTime = nil, time.Now().UnixNano()
	var sub *model.JobSubmission
	if was := snap.Submission(nil, k, req.JobVersion); was != nil {
		c := *was
		sub = &c
	}
	return s.register(&fsm.RegisterJob{
		Job: job, Submission: sub, EnforceIndex: true, JobModifyIndex: cur.JobModifyIndex,
		Eval: s.registerEval(job, model.TriggerJobRegister, 0),
	}, "")
}

func (s *Server) jobStable(_ context.Context, req *rpc.JobStableRequest) (*rpc.WriteResponse, error) {
	if req.JobID == "" {
		return nil, model.Errorf(model.ErrInvalid, "missing job ID for marking job as stable")
	}
	index, _, err := s.apply(&fsm.StableJob{
		Namespace: namespaceOf(req.Namespace), JobID: req.JobID, Version: req.JobVersion, Stable: req.Stable,
	})
	if err != nil {
		return nil, err
	}
	return &rpc.WriteResponse{WriteMeta: rpc.WriteMeta{Index: index}}, nil
}

func (s *Server) jobScale(_ context.Context, req *rpc.JobScaleRequest) (*rpc.JobRegisterResponse, error) {
	snap := s.store.Snapshot()
	k := model.JobKey{Namespace: namespaceOf(req.Namespace), ID: req.JobID}
	old := snap.Job(nil, k)
	if old == nil {
		return nil, model.Errorf(model.ErrNotFound, "job %q not found", req.JobID)
	}
	group := old.Group(req.Group)
	switch {
	case req.Group == "":
		return nil, model.Errorf(model.ErrInvalid, "missing task group name for scaling action")
	case group == nil:
		return nil, model.Errorf(model.ErrInvalid, "task group %q specified for scaling does not exist in job", req.Group)
	case req.Error && req.Count != nil:
		return nil, model.Errorf(model.ErrInvalid, "scaling action should not contain count if error is true")
	case req.Count == nil:
		return &rpc.JobRegisterResponse{JobModifyIndex: old.JobModifyIndex}, nil
	}
	n := *req.Count
	if n < 0 {
		return nil, model.Errorf(model.ErrInvalid, "scaling action count can't be negative")
	}
	if old.Type == model.JobTypeSystem && n > 1 {
		return nil, model.Errorf(model.ErrInvalid, "can only be scaled between 0 and 1")
	}
	if p := group.Scaling; p != nil {
		if n > p.Max {
			return nil, model.Errorf(model.ErrInvalid, "group count was greater than scaling policy maximum: %d > %d", n, p.Max)
		}
		if n < p.Min {
			return nil, model.Errorf(model.ErrInvalid, "group count was less than scaling policy minimum: %d < %d", n, p.Min)
		}
	}
	if d := snap.LatestDeployment(nil, k); d != nil && d.Active() && !old.Stop {
		return nil, model.Errorf(model.ErrInvalid, "job scaling blocked due to active deployment")
	}
	job := old.Clone()
	job.Group(req.Group).Count = int(n)
	job.SubmitTime = time.Now().UnixNano()
	return s.register(&fsm.RegisterJob{
		Job: job, EnforceIndex: true, JobModifyIndex: old.JobModifyIndex,
		Eval: s.registerEval(job, model.TriggerScaling, 0),
	}, "")
}

func (s *Server) jobValidate(_ context.Context, req *rpc.JobValidateRequest) (*rpc.JobValidateResponse, error) {
	resp := &rpc.JobValidateResponse{DriverConfigValidated: true}
	if req.Job == nil {
		return nil, model.Errorf(model.ErrInvalid, "missing job for validation")
	}
	job := req.Job.Clone()
	job.Canonicalize()
	warned, err := job.Validate()
	resp.Warnings = joinWarnings(warned)
	if err != nil {
		resp.Error = err.Error()
		resp.ValidationErrors = []string{err.Error()}
		if faults, ok := err.(model.FieldErrors); ok {
			resp.ValidationErrors = nil
			for _, f := range faults {
				resp.ValidationErrors = append(resp.ValidationErrors, f.Error())
			}
		}
	}
	return resp, nil
}
