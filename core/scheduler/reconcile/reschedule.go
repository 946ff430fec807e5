package reconcile

import (
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Delay functions of a reschedule policy.
const (
	delayExponential = "exponential"
	delayFibonacci   = "fibonacci"
)

// NextDelay is how long after failing an allocation is placed anew, by the
// policy and the history of what it replaced.
func NextDelay(p *model.ReschedulePolicy, t *model.RescheduleTracker, failed time.Time) time.Duration {
	var events []*model.RescheduleEvent
	if t != nil {
		events = t.Events
	}
	n := len(events)
	delay := p.Delay
	switch {
	case n == 0:
		return delay
	case p.DelayFunction == delayExponential:
		delay = 2 * events[n-1].Delay
	case p.DelayFunction == delayFibonacci && n > 1:
		delay = events[n-1].Delay + events[n-2].Delay
	default:
		return delay
	}
	if p.MaxDelay > 0 && delay > p.MaxDelay {
		delay = p.MaxDelay
		// It ran well for longer than it would now have to wait.
		if failed.Sub(time.Unix(0, events[n-1].RescheduleTime)) > p.MaxDelay && events[n-1].Delay >= p.MaxDelay {
			delay = p.Delay
		}
	}
	return delay
}

// mayReschedule reports whether the policy has an attempt left.
func mayReschedule(p *model.ReschedulePolicy, t *model.RescheduleTracker, failed time.Time) bool {
	if p == nil {
		return false
	}
	if p.Unlimited {
		return true
	}
	if p.Attempts <= 0 || p.Interval <= 0 {
		return false
	}
	return len(inside(t, failed.Add(-p.Interval))) < p.Attempts && NextDelay(p, t, failed) < p.Interval
}

func inside(t *model.RescheduleTracker, since time.Time) []*model.RescheduleEvent {
	var in []*model.RescheduleEvent
	if t != nil {
		for _, e := range t.Events {
			if e.RescheduleTime > since.UnixNano() {
				in = append(in, e)
			}
		}
	}
	return in
}

// Track is the history that the replacement of a failed allocation starts
// with.
func Track(p *model.ReschedulePolicy, prev *model.Allocation, now time.Time) *model.RescheduleTracker {
	failed := FailedAt(prev)
	delay := time.Duration(0)
	if p != nil {
		delay = NextDelay(p, prev.RescheduleTracker, failed)
	}
	var kept []*model.RescheduleEvent
	if t := prev.RescheduleTracker; t != nil {
		switch {
		case p != nil && !p.Unlimited && p.Attempts > 0:
			kept = inside(t, now.Add(-p.Interval))
		case len(t.Events) > keptRescheduling:
			kept = t.Events[len(t.Events)-keptRescheduling:]
		default:
			kept = t.Events
		}
	}
	return &model.RescheduleTracker{
		Events: append(kept[:len(kept):len(kept)], &model.RescheduleEvent{
			RescheduleTime: now.UnixNano(), PrevAllocID: prev.ID, PrevNodeID: prev.NodeID, Delay: delay,
		}),
		LastReschedule: "ok",
	}
}

// FailedAt is when the last task of an allocation ended, or else when that was
// written down.
func FailedAt(a *model.Allocation) time.Time {
	var last time.Time
	for _, s := range a.TaskStates {
		if s.FinishedAt.After(last) {
			last = s.FinishedAt
		}
	}
	if last.IsZero() {
		last = time.Unix(0, a.ModifyTime)
	}
	return last
}

// policyOf is the policy that the allocation was placed under.
func policyOf(a *model.Allocation, tg *model.TaskGroup) *model.ReschedulePolicy {
	if own := a.Group(); own != nil {
		return own.ReschedulePolicy
	}
	return tg.ReschedulePolicy
}

// when says whether a failed (or unknown) allocation is replaced: now, at due,
// or not for the time being.
func (r *reconciler) when(a *model.Allocation, tg *model.TaskGroup, failed time.Time) (now, later bool, due time.Time) {
	if a.DesiredTransition.ShouldForceReschedule() {
		return true, false, r.Now
	}
	if r.ofDeployment(a) && a.ClientStatus == model.AllocClientFailed {
		// While a deployment runs its watcher decides; once it failed,
		// what it placed is left to lie.
		allowed := a.DesiredTransition.Reschedule != nil && *a.DesiredTransition.Reschedule
		if r.failed || r.Active.Active() && !allowed {
			return false, false, due
		}
	}
	p := policyOf(a, tg)
	if !mayReschedule(p, a.RescheduleTracker, failed) {
		return false, false, due
	}
	due = failed.Add(NextDelay(p, a.RescheduleTracker, failed))
	switch {
	case a.FollowupEvalID != "" && a.FollowupEvalID == r.Eval.ID, due.Sub(r.Now) <= nearEnough:
		return true, false, due
	case a.FollowupEvalID == "":
		return false, true, due
	}
	return false, false, due
}

// followUp returns an evaluation that waits until due. Close due times of one
// kind share an evaluation.
func (r *reconciler) followUp(due time.Time, trigger string) model.EvalID {
	for _, e := range r.FollowUps {
		if e.TriggeredBy == trigger && due.Sub(e.WaitUntil) <= followUpWindow && !due.Before(e.WaitUntil) {
			return e.ID
		}
	}
	e := &model.Evaluation{
		ID:             model.EvalID(r.NewID()),
		Namespace:      r.Eval.Namespace,
		Priority:       r.Eval.Priority,
		Type:           r.Eval.Type,
		TriggeredBy:    trigger,
		JobID:          r.Eval.JobID,
		JobModifyIndex: r.Eval.JobModifyIndex,
		Status:         model.EvalStatusPending,
		WaitUntil:      due,
		PreviousEval:   r.Eval.ID,
		CreateTime:     r.Now.UnixNano(),
		ModifyTime:     r.Now.UnixNano(),
	}
	if r.Job != nil {
		e.JobModifyIndex = r.Job.ModifyIndex
	}
	r.FollowUps = append(r.FollowUps, e)
	return e.ID
}
