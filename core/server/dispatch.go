package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/server/periodic"
)

// maxPayload bounds the payload of a dispatch, in bytes.
const maxPayload = 16 << 10

func (s *Server) jobDispatch(_ context.Context, req *rpc.JobDispatchRequest) (*rpc.JobDispatchResponse, error) {
	snap := s.store.Snapshot()
	parent := snap.Job(nil, model.JobKey{Namespace: namespaceOf(req.Namespace), ID: req.JobID})
	switch {
	case req.JobID == "":
		return nil, model.Errorf(model.ErrInvalid, "missing parameterized job ID")
	case parent == nil:
		return nil, model.Errorf(model.ErrInvalid, "parameterized job not found")
	case !parent.IsParameterized():
		return nil, model.Errorf(model.ErrInvalid, "Specified job %q is not a parameterized job", req.JobID)
	case parent.Stop:
		return nil, model.Errorf(model.ErrInvalid, "Specified job %q is stopped", req.JobID)
	}
	if err := checkDispatch(parent.ParameterizedJob, req); err != nil {
		return nil, err
	}
	if req.IdempotencyToken != "" {
		for c := range snap.Children(nil, parent.Key()) {
			if c.DispatchIdempotencyToken == req.IdempotencyToken {
				resp := &rpc.JobDispatchResponse{DispatchedJobID: c.ID, JobCreateIndex: c.CreateIndex}
				resp.Index = snap.Index()
				return resp, nil
			}
		}
	}
	now := time.Now()
	job := parent.Clone()
	job.ID = dispatchID(parent.ID, req.IDPrefixTemplate, now)
	job.Name = string(job.ID)
	job.ParentID, job.Dispatched = parent.ID, true
	job.Status, job.StatusDescription, job.Stable, job.VersionTag = "", "", false, nil
	job.DispatchIdempotencyToken = req.IdempotencyToken
	job.Payload = slices.Clone(req.Payload)
	job.SubmitTime = now.UnixNano()
	if len(req.Meta) > 0 {
		if job.Meta == nil {
			job.Meta = map[string]string{}
		}
		maps.Copy(job.Meta, req.Meta)
	}
	c := &fsm.RegisterJob{Job: job}
	if !job.IsPeriodic() {
		c.Eval = newEval(job, model.TriggerJobRegister, 0)
	}
	index, answer, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	resp := &rpc.JobDispatchResponse{DispatchedJobID: job.ID, JobCreateIndex: answer.(*fsm.JobResult).JobCreateIndex}
	resp.Index = index
	if c.Eval != nil {
		resp.EvalID, resp.EvalCreateIndex = c.Eval.ID, index
	}
	return resp, nil
}

// checkDispatch checks payload and meta against what the parent takes.
func checkDispatch(p *model.ParameterizedJobConfig, req *rpc.JobDispatchRequest) error {
	switch {
	case len(req.Payload) == 0 && p.Payload == "required":
		return model.Errorf(model.ErrInvalid, "Payload is not provided but required by parameterized job")
	case len(req.Payload) > 0 && p.Payload == "forbidden":
		return model.Errorf(model.ErrInvalid, "Payload provided but forbidden by parameterized job")
	case len(req.Payload) > maxPayload:
		return model.Errorf(model.ErrInvalid, "Payload exceeds maximum size; %d > %d", len(req.Payload), maxPayload)
	}
	var missing, unknown []string
	for _, k := range p.MetaRequired {
		if _, ok := req.Meta[k]; !ok {
			missing = append(missing, k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(req.Meta)) {
		if !slices.Contains(p.MetaRequired, k) && !slices.Contains(p.MetaOptional, k) {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) > 0 {
		return model.Errorf(model.ErrInvalid, "Dispatch request included unpermitted metadata keys: %v", unknown)
	}
	if len(missing) > 0 {
		return model.Errorf(model.ErrInvalid, "Dispatch did not provide required meta keys: %v", missing)
	}
	return nil
}

func dispatchID(parent model.JobID, prefix string, now time.Time) model.JobID {
	var b [4]byte
	rand.Read(b[:]) // never fails
	if prefix != "" {
		prefix += "-"
	}
	return model.JobID(fmt.Sprintf("%s/dispatch-%s%d-%s", parent, prefix, now.Unix(), hex.EncodeToString(b[:])))
}

func (s *Server) jobPeriodicForce(_ context.Context, req *rpc.JobSpecificRequest) (*rpc.JobRegisterResponse, error) {
	k := model.JobKey{Namespace: namespaceOf(req.Namespace), ID: req.JobID}
	job := s.store.Snapshot().Job(nil, k)
	switch {
	case req.JobID == "":
		return nil, model.Errorf(model.ErrInvalid, "missing job ID for evaluation")
	case job == nil:
		return nil, model.Errorf(model.ErrInvalid, "job not found")
	case !job.IsPeriodic():
		return nil, model.Errorf(model.ErrInvalid, "can't force launch non-periodic job")
	case !periodic.Tracked(job):
		return nil, model.Errorf(model.ErrInvalid, "can't force run non-tracked job %q (%s)", job.ID, job.Namespace)
	}
	l, err := s.leading()
	if err != nil {
		return nil, err
	}
	eval, err := l.launch(job, time.Now())
	if err != nil {
		return nil, err
	}
	resp := &rpc.JobRegisterResponse{EvalID: eval.ID, EvalCreateIndex: eval.CreateIndex}
	resp.Index = eval.CreateIndex
	return resp, nil
}

// launch registers the child of a periodic job for a time. It returns the
// child's evaluation; only its ID and CreateIndex are told.
func (l *leadership) launch(parent *model.Job, at time.Time) (*model.Evaluation, error) {
	child := parent.Clone()
	child.ID = periodic.ChildID(parent.ID, at)
	child.Name = string(child.ID)
	child.ParentID, child.Periodic = parent.ID, nil
	child.Status, child.StatusDescription, child.Stable, child.VersionTag = "", "", false, nil
	child.SubmitTime = time.Now().UnixNano()
	c := &fsm.RegisterJob{Job: child, Launch: at.Unix()}
	if !child.IsParameterized() {
		c.Eval = newEval(child, model.TriggerPeriodicJob, 0)
	}
	index, _, err := l.s.apply(c)
	if err != nil {
		return nil, err
	}
	told := &model.Evaluation{CreateIndex: index}
	if c.Eval != nil {
		told.ID = c.Eval.ID
	}
	return told, nil
}
