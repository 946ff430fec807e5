package scheduler

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/reconcile"
)

// generic processes an evaluation of a service or batch job.
func (r *run) generic() *Result {
	want := reconcile.Reconcile(reconcile.Input{
		Job:       r.job,
		Allocs:    r.allocs,
		Latest:    r.snap.LatestDeployment(r.eval.Namespace, r.eval.JobID),
		Eval:      r.eval,
		Now:       r.in.Now,
		Batch:     r.eval.Type == model.JobTypeBatch,
		Node:      r.node,
		Qualifies: r.qualifies,
		NewID:     r.newID,
	})
	r.adopt(want)
	for _, list := range [][]reconcile.Placement{want.Place, want.Destructive} {
		for i := range list {
			if !r.place(&list[i]) {
				r.queued[list[i].Group.Name]++
			}
		}
	}
	return r.result(want.FollowUps, want.Desired)
}

// adopt writes into the plan what needs no node to be found.
func (r *run) adopt(want *reconcile.Result) {
	r.plan.Deployment = want.Deployment
	r.plan.DeploymentUpdates = want.DeploymentUpdates
	if want.Active != nil && want.Active.Active() {
		r.active = want.Active
	}
	for _, s := range want.Stops {
		r.stop(s)
	}
	for _, a := range want.Changed {
		r.update(a)
	}
	for _, u := range want.InPlace {
		r.update(r.inPlace(u))
	}
	if !r.job.Stopped() {
		for _, tg := range r.job.TaskGroups {
			r.queued[tg.Name] = 0
		}
	}
}

// qualifies reports whether an allocation may stay on its node with the new
// version of its group.
func (r *run) qualifies(a *model.Allocation, tg *model.TaskGroup) bool {
	o, ok := r.draft.Ordinal(a.NodeID)
	if !ok {
		return false
	}
	n := r.draft.At(o)
	g := r.stack(r.job, tg).group
	if !cluster.InPool(n.Node, r.job.NodePool) || !cluster.InDatacenters(n.Node, r.job.Datacenters) || g.Reason(o, n) != "" {
		return false
	}
	// Of allocations that may no longer share a node the first one stays.
	for _, apart := range []struct {
		wanted bool
		on     seat
	}{{g.DistinctHosts, seat{o, ""}}, {g.GroupHosts, seat{o, tg.Name}}} {
		if apart.wanted && r.seats[apart.on] {
			return false
		}
		if apart.wanted {
			if r.seats == nil {
				r.seats = map[seat]bool{}
			}
			r.seats[apart.on] = true
		}
	}
	return true
}

// seat is a node that an allocation of the job (or of one group) keeps for
// itself.
type seat struct {
	node  int32
	group string
}

// inPlace is the allocation with the new version of its job.
func (r *run) inPlace(u reconcile.Update) *model.Allocation {
	c := *u.Alloc
	c.EvalID = r.eval.ID
	c.Job = r.job
	c.JobVersion = r.job.Version
	if r.active != nil && u.Group.Update.Rolling() && c.DeploymentID != r.active.ID {
		c.DeploymentID = r.active.ID
		c.DeploymentStatus = nil
	}
	return &c
}

// result sums up the run.
func (r *run) result(followUps []*model.Evaluation, desired map[string]*model.DesiredUpdates) *Result {
	res := &Result{Plan: r.plan, FollowUps: followUps, Failed: r.failed, Queued: r.queued}
	if r.in.Annotate || r.eval.AnnotatePlan {
		for group, n := range r.evictions {
			desired[group].Preemptions = uint64(n)
		}
		res.Annotations = &model.PlanAnnotations{DesiredTGUpdates: desired, PreemptedAllocs: r.preempted}
		r.plan.Annotations = res.Annotations
	}
	now := r.in.Now.UnixNano()
	e := *r.eval
	e.Status = model.EvalStatusComplete
	e.StatusDescription = ""
	e.SnapshotIndex = r.snap.Index()
	e.QueuedAllocations = r.queued
	e.FailedTGAllocs = nil
	e.PlanAnnotations = res.Annotations
	e.ModifyTime = now
	if r.active != nil {
		e.DeploymentID = r.active.ID
	}
	res.Eval = &e
	if len(r.failed) == 0 {
		return res
	}
	e.FailedTGAllocs = r.failed
	classes, escaped := r.eligibility()
	if wasBlocked(r.eval) {
		e.Status = model.EvalStatusBlocked
		e.ClassEligibility, e.EscapedComputedClass = classes, escaped
		e.StatusDescription = BlockedForRoom
		return res
	}
	if len(followUps) > 0 && r.eval.WaitUntil.IsZero() {
		return res // the follow-up comes back to it
	}
	if onEveryNode(r.job) && !r.anyExhausted() {
		return res // a node that changes makes an evaluation of its own
	}
	res.Blocked = &model.Evaluation{
		ID:                   model.EvalID(r.newID()),
		Namespace:            r.eval.Namespace,
		Priority:             r.eval.Priority,
		Type:                 r.eval.Type,
		TriggeredBy:          model.TriggerQueuedAllocs,
		JobID:                r.eval.JobID,
		JobModifyIndex:       r.job.ModifyIndex,
		Status:               model.EvalStatusBlocked,
		StatusDescription:    BlockedForRoom,
		PreviousEval:         r.eval.ID,
		ClassEligibility:     classes,
		EscapedComputedClass: escaped,
		FailedTGAllocs:       r.failed,
		SnapshotIndex:        r.snap.Index(),
		CreateTime:           now,
		ModifyTime:           now,
	}
	e.BlockedEval = res.Blocked.ID
	return res
}

// anyExhausted reports whether a node would do once it has room.
func (r *run) anyExhausted() bool {
	for _, m := range r.failed {
		if m.NodesExhausted > 0 {
			return true
		}
	}
	return false
}

// wasBlocked reports whether the evaluation is one that waited for room.
func wasBlocked(e *model.Evaluation) bool {
	return e.TriggeredBy == model.TriggerQueuedAllocs || e.TriggeredBy == model.TriggerMaxPlans
}

// eligibility says which classes of node the groups that failed may run on.
func (r *run) eligibility() (classes map[string]bool, escaped bool) {
	classes = map[string]bool{}
	for _, s := range r.stacks {
		if s.metric == nil {
			continue
		}
		escaped = escaped || s.group.Escaped
		s.group.Eligibility(r.draft.View, classes)
	}
	return classes, escaped
}
