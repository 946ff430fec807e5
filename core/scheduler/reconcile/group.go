package reconcile

import (
	"time"

	"github.com/seraiproject/serai/core/model"
)

// sorted is a group's allocations by what happens to them.
type sorted struct {
	keep     []*model.Allocation // hold their place
	canaries []*model.Allocation // not promoted yet, alive
	migrate  []*model.Allocation
	lost     []*model.Allocation // to be replaced up to the count
	now      []*model.Allocation // failed or away, to be replaced at once
	waiting  []*model.Allocation // failed or away, to be replaced later if at all
	due      map[model.AllocID]time.Time

	aside []*model.Allocation // fill their slots for good
}

// group decides about one group. It reports whether the group has arrived: it
// has what it wants, and its rollout is over.
func (r *reconciler) group(tg *model.TaskGroup, allocs []*model.Allocation) bool {
	d := &model.DesiredUpdates{}
	r.Desired[tg.Name] = d

	state, exists := r.rollout(tg)
	held := r.held(allocs)
	s := r.sort(tg, allocs, d)
	byIndex(s.keep)
	byIndex(s.migrate)
	byIndex(s.lost)
	byIndex(s.now)
	byIndex(s.waiting)

	r.stopSurplus(tg, s, d)
	for _, a := range s.waiting {
		if due, ok := s.due[a.ID]; ok {
			r.waitFor(a, due, d)
		}
	}
	d.Ignore += uint64(len(s.waiting))

	inUse := newNames(r.Job, tg.Name, tg.Count)
	inUse.take(s.keep...)
	inUse.take(s.migrate...)
	inUse.take(s.now...)
	inUse.take(s.lost...)
	inUse.take(s.waiting...)
	inUse.take(s.aside...) // a finished index does not run again

	inPlace, destructive, same := r.diff(tg, s.keep)
	rolling := state != nil

	// Canaries come first: nothing else of the rollout happens before they
	// are promoted.
	wanted := 0
	if rolling && !r.Batch && tg.Update.Canary > 0 && len(destructive) > 0 && !state.Promoted &&
		(!exists || state.DesiredCanaries > 0) {
		wanted = tg.Update.Canary
		if !exists {
			state.DesiredCanaries = wanted
		}
	}
	canarying := rolling && state.DesiredCanaries > 0 && !state.Promoted
	if canarying && !r.paused && !r.failed {
		r.placeCanaries(tg, s, inUse, destructive, max(wanted, state.DesiredCanaries), d)
	}
	ready := !r.paused && !r.failed && !canarying

	before := len(r.Place)
	missing := r.replace(tg, s, canarying, d)
	if ready && !held {
		for range missing {
			r.Place = append(r.Place, Placement{Name: inUse.of(inUse.free()), Job: r.Job, Group: tg, Joins: rolling})
			d.Place++
		}
	}
	placed := len(r.Place) - before

	for _, a := range inPlace {
		r.InPlace = append(r.InPlace, Update{Alloc: a, Group: tg})
	}
	d.InPlaceUpdate += uint64(len(inPlace))

	step := 0
	if ready {
		step = r.step(tg, s.keep, rolling, len(destructive), placed)
	}
	for _, a := range destructive[:step] {
		r.Destructive = append(r.Destructive, Placement{
			Name: a.Name, Job: r.Job, Group: tg, Previous: a, Joins: rolling,
			Stop: &Stop{Alloc: a, Text: TextUpdating},
		})
	}
	d.DestructiveUpdate += uint64(step)
	d.Ignore += uint64(same + len(destructive) - step + len(s.aside))

	changes := placed + len(inPlace) + len(destructive)
	if rolling && !exists && changes > 0 && !r.ranBefore(allocs, len(inPlace)+len(destructive)) {
		r.propose(tg, state)
	}
	if changes > 0 || missing > 0 || len(s.migrate)+len(s.now)+len(s.due) > 0 {
		return false
	}
	return !exists || arrived(state)
}

// ranBefore reports whether the wanted version was rolled out already, so that
// replacing an allocation of it does not begin another deployment.
func (r *reconciler) ranBefore(allocs []*model.Allocation, updates int) bool {
	if r.Active != nil && r.Deployment == nil {
		return true
	}
	if updates > 0 {
		return false
	}
	for _, a := range allocs {
		if r.current(a) {
			return true
		}
	}
	return false
}

// sort classifies the group's allocations, and writes down what follows from
// the class alone.
func (r *reconciler) sort(tg *model.TaskGroup, allocs []*model.Allocation, d *model.DesiredUpdates) *sorted {
	s := &sorted{due: map[model.AllocID]time.Time{}}
	var back []*model.Allocation
	for _, a := range allocs {
		if r.Batch && a.Terminal() && !r.current(a) {
			r.markLost(a)
			continue // every version of a batch job runs anew
		}
		node := r.Node(a.NodeID)
		c := classify(a, node, r.Batch, r.Now)
		if a.DeploymentStatus.IsCanary() && !a.ServerTerminal() {
			r.sortCanary(tg, s, a, c, d)
			continue
		}
		switch c {
		case ignore:
			r.markLost(a)
		case keep:
			r.sortKept(tg, s, a, d)
		case migrate:
			r.sortMigrating(s, a, d)
		case lost, expiring:
			r.stopLost(s, a, d)
		case disconnecting:
			r.disconnect(tg, s, a, d)
		case reconnecting:
			back = append(back, a)
		}
	}
	for _, a := range back {
		r.reconnect(s, a, allocs, d)
	}
	return s
}

// sortCanary deals with a canary that was not promoted: it lives as long as
// its deployment, and is made anew rather than replaced.
func (r *reconciler) sortCanary(tg *model.TaskGroup, s *sorted, a *model.Allocation, c class, d *model.DesiredUpdates) {
	switch {
	case c == ignore:
	case !r.ofDeployment(a) || r.failed:
		status := ""
		if c == lost {
			status = model.AllocClientLost
		}
		r.Stops = append(r.Stops, Stop{Alloc: a, Text: TextNotNeeded, ClientStatus: status})
		d.Stop++
	case c == lost || c == expiring || c == disconnecting:
		r.Stops = append(r.Stops, Stop{Alloc: a, Text: TextLost, ClientStatus: model.AllocClientLost})
		d.Stop++
	case c == migrate:
		r.Stops = append(r.Stops, Stop{Alloc: a, Text: TextMigrating})
		d.Stop++
	case a.ClientStatus == model.AllocClientFailed:
		now, later, due := r.when(a, tg, FailedAt(a))
		s.canaries = append(s.canaries, a)
		switch {
		case now:
			r.Place = append(r.Place, Placement{
				Name: a.Name, Job: r.Job, Group: tg, Previous: a, Joins: true, Canary: true, Rescheduled: true,
				Stop: &Stop{Alloc: a, Text: TextRescheduled}, Tracker: Track(policyOf(a, tg), a, r.Now),
			})
			d.Place++
			d.RescheduleNow++
		case later:
			r.waitFor(a, due, d)
			s.due[a.ID] = due
		}
	case a.ClientTerminal(): // it ended; another takes its place
	default:
		s.canaries = append(s.canaries, a)
		d.Ignore++
	}
}

// sortKept deals with an allocation that has its place, dead or alive.
func (r *reconciler) sortKept(tg *model.TaskGroup, s *sorted, a *model.Allocation, d *model.DesiredUpdates) {
	switch a.ClientStatus {
	case model.AllocClientFailed:
		if r.replaced[a.ID] {
			return
		}
		now, later, due := r.when(a, tg, FailedAt(a))
		switch {
		case now:
			s.now = append(s.now, a)
			return
		case later && (r.current(a) || !r.destructive(a, tg)):
			s.waiting = append(s.waiting, a)
			s.due[a.ID] = due
			return
		}
		if r.Batch {
			s.aside = append(s.aside, a)
			return
		}
	case model.AllocClientComplete:
		if r.Batch {
			s.aside = append(s.aside, a)
		}
		return // a service that ended is missing
	case model.AllocClientLost:
		return
	case model.AllocClientUnknown:
		r.sortUnknown(tg, s, a, d)
		return
	}
	if a.ServerTerminal() { // a batch allocation that a drain stopped for good
		r.markLost(a)
		s.aside = append(s.aside, a)
		return
	}
	s.keep = append(s.keep, a)
}

func (r *reconciler) waitFor(a *model.Allocation, due time.Time, d *model.DesiredUpdates) {
	c := *a
	c.FollowupEvalID = r.followUp(due, triggerReschedule)
	r.Changed = append(r.Changed, &c)
	d.RescheduleLater++
}

// triggerReschedule is what makes the evaluation that reschedules later.
const triggerReschedule = "alloc-reschedule"

// sortMigrating deals with an allocation that is to leave its node.
func (r *reconciler) sortMigrating(s *sorted, a *model.Allocation, d *model.DesiredUpdates) {
	if r.Batch && stoppedForGood(a) {
		r.Stops = append(r.Stops, Stop{Alloc: a, Text: TextMigrating})
		d.Stop++
		s.aside = append(s.aside, a)
		return
	}
	s.migrate = append(s.migrate, a)
}

// stopSurplus stops what is more than the count, in the order in which it is
// missed least.
func (r *reconciler) stopSurplus(tg *model.TaskGroup, s *sorted, d *model.DesiredUpdates) {
	surplus := len(s.keep) + len(s.migrate) + len(s.now) + len(s.waiting) + len(s.aside) - tg.Count
	stop := func(list *[]*model.Allocation, i int) {
		r.Stops = append(r.Stops, Stop{Alloc: (*list)[i], Text: TextNotNeeded})
		d.Stop++
		surplus--
		*list = append((*list)[:i:i], (*list)[i+1:]...)
	}
	// An older version beside the current one of the same name: a promoted
	// canary took its place.
	for i := 0; i < len(s.keep) && surplus > 0; i++ {
		if r.current(s.keep[i]) {
			continue
		}
		for _, b := range s.keep {
			if b.Name == s.keep[i].Name && r.current(b) {
				stop(&s.keep, i)
				i--
				break
			}
		}
	}
	for len(s.migrate) > 0 && surplus > 0 {
		stop(&s.migrate, len(s.migrate)-1)
	}
	for _, list := range []*[]*model.Allocation{&s.now, &s.waiting, &s.keep} {
		for i := len(*list) - 1; i >= 0 && surplus > 0 && (*list)[i].Index() >= tg.Count; i-- {
			stop(list, i)
		}
	}
	for i := len(s.keep) - 1; i > 0 && surplus > 0; i-- {
		if s.keep[i].Index() == s.keep[i-1].Index() {
			stop(&s.keep, i)
		}
	}
	for _, list := range []*[]*model.Allocation{&s.now, &s.waiting, &s.keep} {
		for len(*list) > 0 && surplus > 0 {
			stop(list, len(*list)-1)
		}
	}
}

// diff divides what keeps its place by what the new version means for it.
func (r *reconciler) diff(tg *model.TaskGroup, kept []*model.Allocation) (inPlace, destructive []*model.Allocation, same int) {
	for _, a := range kept {
		switch {
		case a.Job != nil && a.Job.JobModifyIndex == r.Job.JobModifyIndex && r.current(a):
			same++
		case r.destructive(a, tg):
			destructive = append(destructive, a)
		case a.ClientTerminal():
			destructive = append(destructive, a)
		case r.Qualifies != nil && !r.Qualifies(a, tg):
			destructive = append(destructive, a)
		default:
			inPlace = append(inPlace, a)
		}
	}
	return inPlace, destructive, same
}

// placeCanaries asks for canaries that are missing.
func (r *reconciler) placeCanaries(tg *model.TaskGroup, s *sorted, n *names, destructive []*model.Allocation, want int, d *model.DesiredUpdates) {
	missing := want - len(s.canaries)
	if missing <= 0 {
		return
	}
	for _, i := range n.canaries(missing, s.canaries, destructive) {
		r.Place = append(r.Place, Placement{Name: n.of(i), Job: r.Job, Group: tg, Joins: true, Canary: true})
		d.Canary++
	}
}

// replace asks for replacements of what migrates, was lost or failed. It
// returns how many allocations are still missing.
func (r *reconciler) replace(tg *model.TaskGroup, s *sorted, canarying bool, d *model.DesiredUpdates) int {
	follow := func(a *model.Allocation) Placement {
		p := Placement{Name: a.Name, Job: r.Job, Group: tg, Previous: a, Tracker: a.RescheduleTracker}
		if own := a.Group(); canarying && own != nil && !r.current(a) {
			p.Job, p.Group = a.Job, own // the version that was promoted last
		}
		p.Joins = p.Job == r.Job && tg.Update.Rolling() && !r.Batch
		return p
	}
	missing := tg.Count - len(s.keep) - len(s.migrate) - len(s.now) - len(s.waiting) - len(s.aside)
	for _, a := range s.lost {
		if missing <= 0 {
			break
		}
		missing--
		r.Place = append(r.Place, follow(a))
		d.Place++
	}
	for _, a := range s.now {
		p := follow(a)
		p.Rescheduled = true
		p.Tracker = Track(policyOf(a, tg), a, r.Now)
		if a.ClientStatus != model.AllocClientUnknown {
			p.Stop = &Stop{Alloc: a, Text: TextRescheduled}
		}
		r.Place = append(r.Place, p)
		d.Place++
		d.RescheduleNow++
	}
	for _, a := range s.migrate {
		r.Stops = append(r.Stops, Stop{Alloc: a, Text: TextMigrating})
		r.Place = append(r.Place, follow(a))
		d.Migrate++
	}
	return max(missing, 0)
}

// step is how many allocations may be replaced at this point of a rollout.
func (r *reconciler) step(tg *model.TaskGroup, kept []*model.Allocation, rolling bool, want, placed int) int {
	if !rolling {
		return want
	}
	step := tg.Update.MaxParallel - placed
	for _, a := range kept {
		if !r.ofDeployment(a) {
			continue
		}
		if a.DeploymentStatus.IsUnhealthy() {
			return 0
		}
		if !a.DeploymentStatus.IsHealthy() {
			step--
		}
	}
	return max(0, min(step, want))
}
