package reconcile

import (
	"time"

	"github.com/seraiproject/serai/core/model"
)

func (r *reconciler) stopLost(s *sorted, a *model.Allocation, d *model.DesiredUpdates) {
	stop := Stop{Alloc: a, Text: TextLost, ClientStatus: model.AllocClientLost}
	if wait := stopOnClientDelay(a); wait > 0 {
		stop.FollowUp = r.followUp(r.Now.Add(wait), model.TriggerRetryFailedAlloc)
	} else if !r.replaced[a.ID] {
		s.lost = append(s.lost, a)
	}
	r.Stops = append(r.Stops, stop)
	d.Stop++
}

// held reports whether placements of the group wait until a lost allocation
// must have been stopped by its node.
func (r *reconciler) held(allocs []*model.Allocation) bool {
	for _, a := range allocs {
		wait := stopOnClientDelay(a)
		if wait <= 0 {
			continue
		}
		if !a.Terminal() && classify(a, r.Node(a.NodeID), r.Batch, r.Now) == lost {
			return true
		}
		if n := len(a.StateChanges); n > 0 && a.StateChanges[n-1].ClientStatus == model.AllocClientLost &&
			a.StateChanges[n-1].Time.Add(wait-nearEnough).After(r.Now) {
			return true
		}
	}
	return false
}

// disconnect notes that an allocation's node is away.
func (r *reconciler) disconnect(tg *model.TaskGroup, s *sorted, a *model.Allocation, d *model.DesiredUpdates) {
	c := WithState(a, model.AllocClientUnknown, r.Now)
	c.ClientDescription = TextUnknown
	strategy := disconnectOf(a)
	if strategy.LostAfter > 0 {
		c.FollowupEvalID = r.followUp(r.Now.Add(strategy.LostAfter), model.TriggerMaxDisconnect)
	}
	if strategy.Replace && !r.replaced[a.ID] {
		// The policy's delay runs from now; attempts count as if it failed.
		if now, later, due := r.when(withoutFollowUp(a), tg, r.Now); now {
			s.now = append(s.now, c)
			r.Changed = append(r.Changed, c)
			d.Disconnect++
			return
		} else if later {
			c.FollowupEvalID = r.followUp(due, triggerReschedule)
			d.RescheduleLater++
		}
	}
	r.Changed = append(r.Changed, c)
	d.Disconnect++
	s.aside = append(s.aside, a)
}

func withoutFollowUp(a *model.Allocation) *model.Allocation {
	c := *a
	c.FollowupEvalID = ""
	return &c
}

// sortUnknown deals with an allocation whose node has been away for a while:
// it holds its place until it is replaced.
func (r *reconciler) sortUnknown(tg *model.TaskGroup, s *sorted, a *model.Allocation, d *model.DesiredUpdates) {
	strategy := disconnectOf(a)
	if r.replaced[a.ID] {
		d.Ignore++
		return
	}
	if strategy != nil && strategy.Replace {
		since, _ := wasUnknown(a)
		if now, _, _ := r.when(a, tg, since); now {
			s.now = append(s.now, a)
			return
		}
	}
	s.waiting = append(s.waiting, a)
}

// reconnect decides between an allocation whose node came back and what was
// placed instead of it.
func (r *reconciler) reconnect(s *sorted, a *model.Allocation, all []*model.Allocation, d *model.DesiredUpdates) {
	var rivals []*model.Allocation
	for _, b := range all {
		if b.ID != a.ID && !b.Terminal() && follows(b, a, all) {
			rivals = append(rivals, b)
		}
	}
	reschedule := a.DesiredTransition.Reschedule != nil && *a.DesiredTransition.Reschedule
	original := a.ClientStatus != model.AllocClientFailed && !a.ServerTerminal() && r.current(a) &&
		!a.DesiredTransition.ShouldMigrate() && !a.DesiredTransition.ShouldForceReschedule() && !reschedule
	if original {
		for _, b := range rivals {
			if !prefersOriginal(a, b) {
				original = false
			}
		}
	}
	if !original {
		r.Stops = append(r.Stops, Stop{Alloc: a, Text: TextNotNeeded})
		d.Stop++
		return
	}
	c := WithState(a, a.ClientStatus, r.Now)
	c.FollowupEvalID = ""
	if a.ClientStatus == model.AllocClientUnknown {
		c.ClientStatus = model.AllocClientRunning
		c.StateChanges[len(c.StateChanges)-1].ClientStatus = model.AllocClientRunning
	}
	c.ClientDescription = ""
	r.Changed = append(r.Changed, c)
	d.Reconnect++
	s.aside = append(s.aside, a)
	for _, b := range rivals {
		r.Stops = append(r.Stops, Stop{Alloc: b, Text: TextReconnected})
		d.Stop++
		s.keep = without(s.keep, b)
		s.now = without(s.now, b)
		s.migrate = without(s.migrate, b)
		s.waiting = without(s.waiting, b)
	}
}

func without(list []*model.Allocation, a *model.Allocation) []*model.Allocation {
	kept := list[:0]
	for _, x := range list {
		if x.ID != a.ID {
			kept = append(kept, x)
		}
	}
	return kept
}

// follows reports whether b was placed in the chain of replacements of a.
func follows(b, a *model.Allocation, all []*model.Allocation) bool {
	byID := map[model.AllocID]*model.Allocation{}
	for _, x := range all {
		byID[x.ID] = x
	}
	for range all {
		if b == nil || b.PreviousAllocation == "" {
			return false
		}
		if b.PreviousAllocation == a.ID {
			return true
		}
		b = byID[b.PreviousAllocation]
	}
	return false
}

// Ways to choose between an allocation that came back and its replacement.
const (
	keepOriginal    = "keep_original"
	keepReplacement = "keep_replacement"
	longestRunning  = "longest_running"
)

func prefersOriginal(a, b *model.Allocation) bool {
	if b.Job != nil && a.Job != nil && b.Job.Version > a.Job.Version {
		return false
	}
	how := ""
	if d := disconnectOf(a); d != nil {
		how = d.Reconcile
	}
	switch how {
	case keepOriginal:
		return true
	case keepReplacement:
		return false
	case longestRunning:
		x, y := startOf(a), startOf(b)
		if !x.IsZero() || !y.IsZero() {
			return !x.IsZero() && (y.IsZero() || !x.After(y))
		}
	}
	if a.ClientStatus != model.AllocClientRunning && a.ClientStatus != model.AllocClientUnknown {
		return false
	}
	return b.ClientStatus != model.AllocClientRunning || finalScore(b) <= finalScore(a)
}

// startOf is when the leader task started, or else the first task that did.
func startOf(a *model.Allocation) time.Time {
	var first time.Time
	tg := a.Group()
	for name, s := range a.TaskStates {
		if s.StartedAt.IsZero() {
			continue
		}
		if tg != nil {
			if t := tg.Task(name); t != nil && t.Leader {
				return s.StartedAt
			}
		}
		if first.IsZero() || s.StartedAt.Before(first) {
			first = s.StartedAt
		}
	}
	return first
}

func finalScore(a *model.Allocation) float64 {
	if a.Metrics != nil && len(a.Metrics.ScoreMetaData) > 0 {
		return a.Metrics.ScoreMetaData[0].NormScore
	}
	return 0
}
