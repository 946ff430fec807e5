// Package worker runs the scheduler: it takes evaluations from the broker, has
// the scheduler work out a plan from a snapshot, has the planner commit it, and
// writes what became of the evaluation.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler"
	"github.com/seraiproject/serai/core/server/evalbroker"
	"github.com/seraiproject/serai/core/state"
)

// perCPU is how many evaluations are under way for each that may use a
// processor: the others wait for Raft.
const perCPU = 16

// catchUp is how long a worker waits for the state that an evaluation needs.
const catchUp = 5 * time.Second

// Config is what workers work with.
type Config struct {
	// Count bounds how many schedulers compute at the same time.
	Count  int
	Broker *evalbroker.Broker
	Store  *state.Store
	// Submit commits a plan.
	Submit func(context.Context, *model.Plan) (*model.PlanResult, error)
	// Apply writes a command and waits until it is applied.
	Apply func(fsm.Command) error
	// Process is the scheduler; nil: scheduler.Process.
	Process func(scheduler.Snapshot, *model.Evaluation, scheduler.Input) (*scheduler.Result, error)
	Log     *slog.Logger
}

// Pool is a set of workers.
type Pool struct {
	cfg Config
	cpu chan struct{}
}

// New returns workers that start with Run.
func New(cfg Config) *Pool {
	if cfg.Process == nil {
		cfg.Process = scheduler.Process
	}
	return &Pool{cfg: cfg, cpu: make(chan struct{}, cfg.Count)}
}

// Run works until ctx ends, and returns when every worker has stopped.
func (p *Pool) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for range p.cfg.Count * perCPU {
		all.Go(func() { p.work(ctx) })
	}
	all.Wait()
	return ctx.Err()
}

func (p *Pool) work(ctx context.Context) {
	for {
		eval, token, err := p.cfg.Broker.Dequeue(ctx)
		if err != nil {
			return
		}
		err = p.evaluate(ctx, eval, token)
		if err == nil {
			p.cfg.Broker.Ack(eval.ID, token)
			continue
		}
		p.cfg.Broker.Nack(eval.ID, token)
		switch {
		case ctx.Err() != nil, errors.Is(err, model.ErrNoLeader), errors.Is(err, model.ErrStale):
		default:
			p.cfg.Log.Warn("evaluation is put back", "eval", eval.ID, "job", eval.JobID, "error", err)
		}
	}
}

// evaluate processes an evaluation until nothing more can be done about it now.
func (p *Pool) evaluate(ctx context.Context, eval *model.Evaluation, token string) error {
	snap, err := p.snapshot(ctx, eval.ModifyIndex)
	if err != nil {
		return err
	}
	stored := snap.Eval(nil, eval.ID)
	if stored == nil || stored.Terminal() {
		return nil // it was deleted or canceled meanwhile
	}
	eval = stored
	for attempts := scheduler.MaxAttempts(eval.Type); attempts > 0; attempts-- {
		res, err := p.schedule(ctx, snap, eval)
		if err != nil {
			return p.fail(eval, err)
		}
		if res.Plan.Empty() {
			return p.finish(res, res.FollowUps)
		}
		// The plan's allocations name the follow-ups, so these come first.
		if len(res.FollowUps) > 0 {
			if err := p.write(res.FollowUps); err != nil {
				return err
			}
		}
		committed, err := p.submit(ctx, eval, token, res.Plan)
		if err != nil {
			return err
		}
		if committed.RefreshIndex == 0 {
			return p.finish(res, nil)
		}
		if progress(committed) {
			attempts = scheduler.MaxAttempts(eval.Type) + 1
		}
		if snap, err = p.snapshot(ctx, committed.RefreshIndex); err != nil {
			return err
		}
	}
	return p.giveUp(eval, snap.Index())
}

func (p *Pool) snapshot(ctx context.Context, index uint64) (*state.Snapshot, error) {
	limited, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	snap, err := p.cfg.Store.WaitIndex(limited, index)
	if err != nil {
		return nil, fmt.Errorf("wait for state %d: %w", index, err)
	}
	return snap, nil
}

func (p *Pool) schedule(ctx context.Context, snap *state.Snapshot, eval *model.Evaluation) (*scheduler.Result, error) {
	select {
	case p.cpu <- struct{}{}:
		defer func() { <-p.cpu }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return p.cfg.Process(snap.Scheduling(), eval, scheduler.Input{Now: time.Now(), Seed: rand.Uint64(), Annotate: eval.AnnotatePlan})
}

func (p *Pool) submit(ctx context.Context, eval *model.Evaluation, token string, plan *model.Plan) (*model.PlanResult, error) {
	plan.EvalID, plan.EvalToken = eval.ID, token
	p.cfg.Broker.Suspend(eval.ID, token)
	defer p.cfg.Broker.Resume(eval.ID, token)
	return p.cfg.Submit(ctx, plan)
}

// progress reports whether anything of a plan was committed.
func progress(r *model.PlanResult) bool {
	return len(r.NodeAllocation)+len(r.NodeUpdate)+len(r.NodePreemptions)+len(r.DeploymentUpdates) > 0 || r.Deployment != nil
}

// finish writes the evaluation as processed, and what waits.
func (p *Pool) finish(res *scheduler.Result, followUps []*model.Evaluation) error {
	evals := append(followUps[:len(followUps):len(followUps)], res.Eval)
	if res.Blocked != nil {
		evals = append(evals, res.Blocked)
	}
	return p.write(evals)
}

func (p *Pool) write(evals []*model.Evaluation) error {
	now := time.Now().UnixNano()
	out := make([]*model.Evaluation, len(evals))
	for i, e := range evals {
		c := *e
		c.ModifyTime = now
		if c.CreateTime == 0 {
			c.CreateTime = now
		}
		out[i] = &c
	}
	return p.cfg.Apply(&fsm.UpdateEvals{Evals: out})
}

// fail ends an evaluation that cannot be processed at all. Errors that may
// pass have it delivered again.
func (p *Pool) fail(eval *model.Evaluation, cause error) error {
	if !errors.Is(cause, model.ErrUnsupported) && !errors.Is(cause, model.ErrInvalid) {
		return cause
	}
	failed := *eval
	failed.Status, failed.StatusDescription = model.EvalStatusFailed, cause.Error()
	return p.write([]*model.Evaluation{&failed})
}

// giveUp ends an evaluation whose plans kept conflicting with others.
func (p *Pool) giveUp(eval *model.Evaluation, index uint64) error {
	failed := *eval
	failed.Status = model.EvalStatusFailed
	failed.StatusDescription = fmt.Sprintf("maximum attempts reached (%d)", scheduler.MaxAttempts(eval.Type))
	evals := []*model.Evaluation{&failed}
	if eval.Type == model.JobTypeService || eval.Type == model.JobTypeBatch {
		blocked := &model.Evaluation{
			ID: model.EvalID(model.NewUUID()), Namespace: eval.Namespace, Priority: eval.Priority, Type: eval.Type,
			TriggeredBy: model.TriggerMaxPlans, JobID: eval.JobID, JobModifyIndex: eval.JobModifyIndex,
			Status: model.EvalStatusBlocked, StatusDescription: scheduler.BlockedForConflicts,
			PreviousEval: eval.ID, SnapshotIndex: index, EscapedComputedClass: true,
		}
		failed.BlockedEval = blocked.ID
		evals = append(evals, blocked)
	}
	return p.write(evals)
}
