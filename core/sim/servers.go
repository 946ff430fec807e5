package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/server/deployment"
	"github.com/seraiproject/serai/core/server/drain"
	"github.com/seraiproject/serai/core/server/planner"
	"github.com/seraiproject/serai/core/state"
)

// observe hands what was applied to the leader's services.
func (c *Cluster) observe(ch *state.Changes) {
	for _, a := range ch.Allocs {
		if a.Before != nil && !a.Before.Terminal() && (a.After == nil || a.After.Terminal()) {
			if n := c.State().Node(nil, a.Before.NodeID); n != nil && n.Ready() {
				c.blocked.Room(n.ComputedClass, n.ID, ch.Index)
			}
		}
	}
	for _, n := range ch.Nodes {
		if n.After != nil && n.After.Ready() &&
			(n.Before == nil || !n.Before.Ready() || n.Before.ComputedClass != n.After.ComputedClass) {
			c.blocked.Room(n.After.ComputedClass, n.After.ID, ch.Index)
		}
	}
	for _, e := range ch.EvalsGone {
		c.blocked.Forget(e.ID)
		c.queue.forget(e.ID)
	}
	for _, j := range ch.Jobs {
		if j.After.Stopped() && !j.Before.Stopped() {
			c.blocked.Untrack(j.Before.Key())
		}
	}
	for _, e := range ch.Evals {
		c.evalChanged(e)
	}
	c.deploymentsChanged(ch)
	c.watchHistory(ch)
}

func (c *Cluster) evalChanged(e *model.Evaluation) {
	switch e.Status {
	case model.EvalStatusPending:
		c.queue.enqueue(c.now, e)
	case model.EvalStatusBlocked:
		c.blocked.Block(e)
	default:
		c.blocked.Forget(e.ID)
		c.queue.forget(e.ID)
	}
}

func (c *Cluster) cancelPending(evals []*model.Evaluation) {
	c.cancel(evals, "canceled after more recent eval was processed")
}

func (c *Cluster) cancelBlocked(evals []*model.Evaluation) {
	c.cancel(evals, "a newer blocked evaluation exists for the job")
}

func (c *Cluster) cancel(evals []*model.Evaluation, text string) {
	out := make([]*model.Evaluation, len(evals))
	for i, e := range evals {
		canceled := *e
		canceled.Status, canceled.StatusDescription, canceled.ModifyTime = model.EvalStatusCanceled, text, c.now.UnixNano()
		out[i] = &canceled
	}
	c.later = append(c.later, &fsm.UpdateEvals{Evals: out})
}

// attempt is an evaluation that a worker has in hand.
type attempt struct {
	eval *model.Evaluation
	snap *state.Snapshot
	res  *scheduler.Result
}

// schedule processes evaluations: as many as there are workers from one
// snapshot, whose plans then are committed one after the other.
func (c *Cluster) schedule() (bool, error) {
	evals := c.queue.take(c.cfg.Workers)
	if len(evals) == 0 {
		return false, nil
	}
	snap := c.State()
	attempts := make([]*attempt, len(evals))
	for i, e := range evals {
		a := &attempt{eval: snap.Eval(nil, e.ID), snap: snap}
		attempts[i] = a
		if a.eval == nil || a.eval.Terminal() {
			continue
		}
		if err := c.process(a); err != nil {
			return true, err
		}
	}
	for i, a := range attempts {
		if a.res != nil {
			if err := c.commit(a); err != nil {
				return true, err
			}
		}
		c.queue.done(c.now, evals[i])
	}
	return true, nil
}

// process runs the scheduler.
func (c *Cluster) process(a *attempt) error {
	res, err := scheduler.Process(a.snap.Scheduling(), a.eval, scheduler.Input{Now: c.now, Seed: c.random.Uint64()})
	if err != nil {
		return fmt.Errorf("process evaluation of job %s: %w", a.eval.JobID, err)
	}
	a.res = res
	return nil
}

// commit has plans committed until nothing more can be done about the
// evaluation now.
func (c *Cluster) commit(a *attempt) error {
	tries := scheduler.MaxAttempts(a.eval.Type)
	for ; tries > 0; tries-- {
		res := a.res
		if res.Plan.Empty() {
			return c.finish(res, res.FollowUps)
		}
		if len(res.FollowUps) > 0 {
			if err := c.writeEvals(res.FollowUps); err != nil {
				return err
			}
		}
		snap := c.State()
		passed := planner.Check(snap.Cluster(), res.Plan)
		if !passed.Empty() {
			res.Plan.EvalID = a.eval.ID
			cmd := passed.Command(snap, res.Plan, c.now.UnixNano())
			slices.SortFunc(cmd.Evals, byJob)
			c.adopt(cmd.Evals...)
			if _, err := c.propose(cmd); err != nil {
				return err
			}
			tries = scheduler.MaxAttempts(a.eval.Type) + 1
		}
		if len(passed.RejectedNodes) == 0 {
			return c.finish(res, nil)
		}
		a.snap = c.State()
		if err := c.process(a); err != nil {
			return err
		}
	}
	failed := *a.eval
	failed.Status = model.EvalStatusFailed
	failed.StatusDescription = fmt.Sprintf("maximum attempts reached (%d)", scheduler.MaxAttempts(a.eval.Type))
	evals := []*model.Evaluation{&failed}
	if a.eval.Type == model.JobTypeService || a.eval.Type == model.JobTypeBatch {
		waits := &model.Evaluation{
			ID: model.EvalID(c.newID()), Namespace: a.eval.Namespace, Priority: a.eval.Priority, Type: a.eval.Type,
			TriggeredBy: model.TriggerMaxPlans, JobID: a.eval.JobID, JobModifyIndex: a.eval.JobModifyIndex,
			Status: model.EvalStatusBlocked, StatusDescription: scheduler.BlockedForConflicts,
			PreviousEval: a.eval.ID, SnapshotIndex: a.snap.Index(), EscapedComputedClass: true,
		}
		failed.BlockedEval = waits.ID
		evals = append(evals, waits)
	}
	return c.writeEvals(evals)
}

func (c *Cluster) finish(res *scheduler.Result, followUps []*model.Evaluation) error {
	evals := append(slices.Clone(followUps), res.Eval)
	if res.Blocked != nil {
		evals = append(evals, res.Blocked)
	}
	return c.writeEvals(evals)
}

func (c *Cluster) writeEvals(evals []*model.Evaluation) error {
	out := make([]*model.Evaluation, len(evals))
	for i, e := range evals {
		next := *e
		next.ModifyTime = c.now.UnixNano()
		if next.CreateTime == 0 {
			next.CreateTime = next.ModifyTime
		}
		out[i] = &next
	}
	_, err := c.propose(&fsm.UpdateEvals{Evals: out})
	return err
}

func (c *Cluster) rollout(id model.DeploymentID) *rollout {
	r := c.deployments[id]
	if r == nil {
		r = &rollout{}
		c.deployments[id] = r
	}
	return r
}

func (c *Cluster) deploymentsChanged(ch *state.Changes) {
	for _, d := range ch.Deployments {
		if d.After != nil && d.After.Active() {
			c.rollout(d.After.ID).dirty = true
		}
	}
	for _, a := range ch.Allocs {
		if a.After == nil || a.After.DeploymentID == "" || a.Before == nil {
			continue
		}
		was, is := a.Before.DeploymentStatus, a.After.DeploymentStatus
		if was.IsHealthy() != is.IsHealthy() || was.IsUnhealthy() != is.IsUnhealthy() {
			r := c.rollout(a.After.DeploymentID)
			r.dirty, r.step = true, true
		}
	}
}

// moveDeployments takes the next step of rollouts that changed or are late.
func (c *Cluster) moveDeployments() (bool, error) {
	for _, id := range sorted(c.deployments) {
		r := c.deployments[id]
		if !r.dirty && (r.deadline.IsZero() || c.now.Before(r.deadline)) {
			continue
		}
		cmd, deadline := deployment.Next(c.State(), id, r.step, c.now)
		*r = rollout{deadline: deadline}
		if cmd == nil {
			if deadline.IsZero() {
				delete(c.deployments, id)
			}
			continue
		}
		switch cmd := cmd.(type) {
		case *fsm.DeploymentStatus:
			c.adopt(cmd.Eval)
		case *fsm.PromoteDeployment:
			c.adopt(cmd.Eval)
		case *fsm.TransitionAllocs:
			slices.Sort(cmd.Allocs)
			c.adopt(cmd.Evals...)
		case *fsm.UpdateEvals:
			c.adopt(cmd.Evals...)
		}
		_, err := c.propose(cmd)
		return true, err
	}
	return false, nil
}

// moveDrains empties nodes.
func (c *Cluster) moveDrains() (bool, error) {
	snap := c.State()
	commands, _ := drain.Next(snap, c.draining(snap), c.now)
	for _, cmd := range commands {
		if t, ok := cmd.(*fsm.TransitionAllocs); ok {
			slices.Sort(t.Allocs)
			slices.SortFunc(t.Evals, byJob)
			c.adopt(t.Evals...)
		}
		if _, err := c.propose(cmd); err != nil {
			return true, err
		}
	}
	return len(commands) > 0, nil
}

func (c *Cluster) draining(snap *state.Snapshot) []model.NodeID {
	var ids []model.NodeID
	for n := range snap.Nodes(nil, "") {
		if n.DrainStrategy != nil {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

func (c *Cluster) drainDeadline() time.Time {
	snap := c.State()
	var next time.Time
	for _, id := range c.draining(snap) {
		at := snap.Node(nil, id).DrainStrategy.ForceDeadline
		if at.After(c.now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// newEval makes an evaluation of a job.
func (c *Cluster) newEval(job *model.Job, trigger string) *model.Evaluation {
	now := c.now.UnixNano()
	return &model.Evaluation{
		ID: model.EvalID(c.newID()), Namespace: job.Namespace, JobID: job.ID, Type: job.Type, Priority: job.Priority,
		TriggeredBy: trigger, JobModifyIndex: job.JobModifyIndex, Status: model.EvalStatusPending, CreateTime: now, ModifyTime: now,
	}
}

// nodeEvals makes an evaluation for each job that a change of a node concerns.
func (c *Cluster) nodeEvals(snap *state.Snapshot, n *model.Node) []*model.Evaluation {
	seen := map[model.JobKey]bool{}
	var evals []*model.Evaluation
	add := func(job *model.Job) {
		if job == nil || seen[job.Key()] {
			return
		}
		seen[job.Key()] = true
		e := c.newEval(job, model.TriggerNodeUpdate)
		e.NodeID, e.NodeModifyIndex = n.ID, n.ModifyIndex
		evals = append(evals, e)
	}
	for a := range snap.AllocsByNode(nil, n.ID) {
		job := snap.Job(nil, a.JobKey())
		if job == nil {
			job = a.Job
		}
		switch {
		case job == nil, job.Type == model.JobTypeSysBatch:
		case job.Type == model.JobTypeBatch && a.ClientTerminal():
		case a.ServerTerminal() && a.ClientTerminal():
		default:
			add(job)
		}
	}
	for job := range snap.Jobs(nil, model.AllNamespaces, "") {
		if job.Type == model.JobTypeSystem && !job.Stop && cluster.InPool(n, job.NodePool) && cluster.InDatacenters(n, job.Datacenters) {
			add(job)
		}
	}
	return evals
}

// updateAllocs writes what a node observed, and the evaluations that follow.
func (c *Cluster) updateAllocs(allocs []*model.Allocation) error {
	snap := c.State()
	cmd := &fsm.UpdateAllocs{Allocs: allocs, Time: c.now.UnixNano()}
	seen := map[model.JobKey]bool{}
	for _, a := range allocs {
		old := snap.Alloc(nil, a.ID)
		if old == nil || seen[old.JobKey()] {
			continue
		}
		if e := c.followUp(old, a, snap.Job(nil, old.JobKey())); e != nil {
			seen[old.JobKey()] = true
			cmd.Evals = append(cmd.Evals, e)
		}
	}
	_, err := c.propose(cmd)
	return err
}

// followUp makes the evaluation that an update asks for; nil when none.
func (c *Cluster) followUp(old, update *model.Allocation, job *model.Job) *model.Evaluation {
	switch {
	case old.ClientStatus == model.AllocClientUnknown && update.ClientStatus != model.AllocClientUnknown:
		if job != nil {
			return c.newEval(job, model.TriggerReconnect)
		}
	case job == nil:
		if update.ClientStatus == model.AllocClientRunning && !old.ServerTerminal() && old.Job != nil {
			return c.newEval(old.Job, model.TriggerJobDeregister)
		}
	case update.ClientStatus == model.AllocClientFailed && old.ClientStatus != model.AllocClientFailed &&
		!old.ServerTerminal() && !job.Stop:
		g := old.Group()
		if job.Type == model.JobTypeSystem || job.Type == model.JobTypeSysBatch ||
			g != nil && g.ReschedulePolicy != nil && (g.ReschedulePolicy.Unlimited || g.ReschedulePolicy.Attempts > 0) {
			return c.newEval(job, model.TriggerRetryFailedAlloc)
		}
	}
	return nil
}

// Register registers a job. What its tasks do once they run is in its meta: see
// MetaRuns and its like.
func (c *Cluster) Register(in *model.Job) error {
	job := in.Clone()
	job.Canonicalize()
	if _, err := job.Validate(); err != nil {
		return err
	}
	job.SubmitTime = c.now.UnixNano()
	if _, err := c.propose(&fsm.RegisterJob{Job: job, Eval: c.newEval(job, model.TriggerJobRegister)}); err != nil {
		return err
	}
	return c.settle()
}

// Deregister stops a job, or with purge forgets it.
func (c *Cluster) Deregister(id model.JobID, purge bool) error {
	k := model.JobKey{Namespace: model.DefaultNamespace, ID: id}
	job := c.State().Job(nil, k)
	if job == nil {
		return model.Errorf(model.ErrNotFound, "deregister job %s: there is no such job", id)
	}
	cmd := &fsm.DeregisterJob{
		Namespace: k.Namespace, JobID: id, Purge: purge, Time: c.now.UnixNano(), Eval: c.newEval(job, model.TriggerJobDeregister),
	}
	if _, err := c.propose(cmd); err != nil {
		return err
	}
	return c.settle()
}

// Promote promotes all canaries of a job's deployment.
func (c *Cluster) Promote(id model.JobID) error {
	k := model.JobKey{Namespace: model.DefaultNamespace, ID: id}
	snap := c.State()
	d, job := snap.LatestDeployment(nil, k), snap.Job(nil, k)
	if d == nil || job == nil {
		return model.Errorf(model.ErrNotFound, "promote job %s: it has no deployment", id)
	}
	eval := deployment.NewEval(d, job, c.now)
	c.adopt(eval)
	if _, err := c.propose(&fsm.PromoteDeployment{DeploymentID: d.ID, All: true, Eval: eval, Time: c.now.UnixNano()}); err != nil {
		return err
	}
	return c.settle()
}

// StopAlloc asks for an allocation to be moved.
func (c *Cluster) StopAlloc(id model.AllocID) error {
	a := c.State().Alloc(nil, id)
	if a == nil {
		return model.Errorf(model.ErrNotFound, "stop allocation %s: there is no such allocation", id)
	}
	job := a.Job
	if cur := c.State().Job(nil, a.JobKey()); cur != nil {
		job = cur
	}
	yes := true
	cmd := &fsm.TransitionAllocs{
		Allocs: []model.AllocID{id}, Transition: model.DesiredTransition{Migrate: &yes},
		Evals: []*model.Evaluation{c.newEval(job, model.TriggerAllocStop)}, Time: c.now.UnixNano(),
	}
	if _, err := c.propose(cmd); err != nil {
		return err
	}
	return c.settle()
}

// refused reports whether a command was refused for what it asks, rather than
// for a fault of the simulation.
func refused(err error) bool {
	var faults model.FieldErrors
	return errors.As(err, &faults) || errors.Is(err, model.ErrInvalid) || errors.Is(err, model.ErrConflict) || errors.Is(err, model.ErrNotFound)
}
