package reconcile

import (
	"sort"

	"github.com/seraiproject/serai/core/model"
)

// Nodes are the nodes that a system or sysbatch job runs on.
type Nodes struct {
	// Ready are the nodes of the job's pool and datacenters that may take new
	// allocations.
	Ready []*model.Node
	// Feasible reports whether a node may run a group, room aside.
	Feasible func(*model.Node, *model.TaskGroup) bool
	// Member reports whether a node is in the job's pool and datacenters.
	Member func(*model.Node) bool
}

// slot is a place on a node that a group's allocation should fill.
type slot struct {
	node  model.NodeID
	index int
}

// perNode is a group's allocations by what happens to them.
type perNode struct {
	filled      map[slot]bool // nothing is placed there now
	keep        []*model.Allocation
	inPlace     []*model.Allocation
	destructive []*model.Allocation
	canaries    int
}

// System compares for a job that runs on every node. Batch in the input tells
// sysbatch: what ended is done. Placements carry the node in OnNode.
func System(in Input, nodes Nodes) *Result {
	r := &reconciler{Input: in, replaced: map[model.AllocID]bool{}}
	r.Desired = map[string]*model.DesiredUpdates{}
	r.adoptDeployment()
	groups := map[string][]*model.Allocation{}
	for _, a := range in.Allocs {
		groups[a.TaskGroup] = append(groups[a.TaskGroup], a)
	}
	complete := true
	if !in.Job.Stopped() {
		for _, tg := range in.Job.TaskGroups {
			if !r.systemGroup(tg, groups[tg.Name], nodes) {
				complete = false
			}
			delete(groups, tg.Name)
		}
	}
	gone := make([]string, 0, len(groups))
	for name := range groups {
		gone = append(gone, name)
	}
	sort.Strings(gone)
	for _, name := range gone {
		r.stopGroup(name, groups[name])
	}
	r.finishDeployment(complete)
	return &r.Result
}

func (r *reconciler) systemGroup(tg *model.TaskGroup, allocs []*model.Allocation, nodes Nodes) bool {
	d := &model.DesiredUpdates{}
	r.Desired[tg.Name] = d
	var feasible []*model.Node
	ready := map[model.NodeID]bool{}
	for _, n := range nodes.Ready {
		ready[n.ID] = true
		if nodes.Feasible(n, tg) {
			feasible = append(feasible, n)
		}
	}
	sort.Slice(feasible, func(i, j int) bool { return feasible[i].ID < feasible[j].ID })

	state, exists := r.rollout(tg)
	rolling := state != nil
	if rolling && !exists {
		state.DesiredTotal = len(feasible) * tg.Count
	}
	s := &perNode{filled: map[slot]bool{}}
	byIndex(allocs)
	for _, a := range allocs {
		r.systemAlloc(tg, s, a, ready, nodes, d)
	}
	sort.SliceStable(s.destructive, func(i, j int) bool { return s.destructive[i].NodeID < s.destructive[j].NodeID })

	if rolling && !exists && tg.Update.Canary > 0 && len(s.destructive) > 0 {
		want := (tg.Update.Canary*len(s.destructive) + 99) / 100
		state.DesiredCanaries = min(want, len(s.destructive), tg.Update.MaxParallel)
	}
	canarying := rolling && state.DesiredCanaries > 0 && !state.Promoted
	open := !r.paused && !r.failed
	before := len(r.Place)
	if open && !canarying {
		for _, n := range feasible {
			for i := range tg.Count {
				if !s.filled[slot{n.ID, i}] {
					r.Place = append(r.Place, Placement{
						Name: newNames(r.Job, tg.Name, tg.Count).of(i), Job: r.Job, Group: tg, OnNode: n.ID, Joins: rolling,
					})
					d.Place++
				}
			}
		}
	}
	placed := len(r.Place) - before
	for _, a := range s.inPlace {
		r.InPlace = append(r.InPlace, Update{Alloc: a, Group: tg})
	}
	d.InPlaceUpdate += uint64(len(s.inPlace))

	step := 0
	switch {
	case canarying && open:
		step = max(0, min(state.DesiredCanaries-s.canaries, len(s.destructive)))
	case open:
		step = r.step(tg, s.keep, rolling, len(s.destructive), placed)
	}
	for _, a := range s.destructive[:step] {
		r.Destructive = append(r.Destructive, Placement{
			Name: a.Name, Job: r.Job, Group: tg, Previous: a, OnNode: a.NodeID, Joins: rolling, Canary: canarying,
			Stop: &Stop{Alloc: a, Text: TextUpdating},
		})
	}
	if canarying {
		d.Canary += uint64(step)
	} else {
		d.DestructiveUpdate += uint64(step)
	}
	d.Ignore += uint64(len(s.keep) + len(s.destructive) - step)

	changes := placed + len(s.inPlace) + len(s.destructive)
	if rolling && !exists && changes > 0 && !r.ranBefore(allocs, len(s.inPlace)+len(s.destructive)) {
		r.propose(tg, state)
	}
	return changes == 0 && (!exists || arrived(state))
}

// systemAlloc decides about one allocation of a system job.
func (r *reconciler) systemAlloc(tg *model.TaskGroup, s *perNode, a *model.Allocation, ready map[model.NodeID]bool, nodes Nodes, d *model.DesiredUpdates) {
	node := r.Node(a.NodeID)
	at := slot{a.NodeID, a.Index()}
	stop := func(text, status string) {
		r.Stops = append(r.Stops, Stop{Alloc: a, Text: text, ClientStatus: status})
		d.Stop++
	}
	if a.ServerTerminal() {
		r.markLost(a)
		return
	}
	if a.ClientTerminal() {
		if r.Batch && r.current(a) {
			s.filled[at] = true // done there, well or not
			d.Ignore++
		} else if r.Batch && ready[a.NodeID] {
			stop(TextNotNeeded, "")
		}
		return
	}
	switch c := classify(a, node, false, r.Now); {
	case c == lost || c == expiring:
		stop(TextLost, model.AllocClientLost)
		return
	case c == disconnecting:
		u := WithState(a, model.AllocClientUnknown, r.Now)
		u.ClientDescription = TextUnknown
		if after := disconnectOf(a).LostAfter; after > 0 {
			u.FollowupEvalID = r.followUp(r.Now.Add(after), model.TriggerMaxDisconnect)
		}
		r.Changed = append(r.Changed, u)
		d.Disconnect++
		s.filled[at] = true
		return
	case a.Index() >= tg.Count || s.filled[at]:
		stop(TextNotNeeded, "")
		return
	case c == migrate:
		s.filled[at] = true // not by this evaluation
		stop(TextNodeTainted, "")
		return
	case !nodes.Member(node):
		stop(TextNotNeeded, "")
		return
	case a.DeploymentStatus.IsCanary() && r.ofDeployment(a) && r.failed:
		stop(TextNotNeeded, "")
		return
	case c == reconnecting:
		u := WithState(a, model.AllocClientRunning, r.Now)
		u.ClientDescription = ""
		r.Changed = append(r.Changed, u)
		d.Reconnect++
		s.filled[at] = true
		return
	}
	s.filled[at] = true
	if a.DeploymentStatus.IsCanary() && r.ofDeployment(a) {
		s.canaries++
	}
	switch {
	case a.Job != nil && a.Job.JobModifyIndex == r.Job.JobModifyIndex && r.current(a), a.ClientStatus == model.AllocClientUnknown:
		s.keep = append(s.keep, a)
	case !ready[a.NodeID]:
		stop(TextNotNeeded, "")
	case r.destructive(a, tg):
		if !nodes.Feasible(node, tg) {
			stop(TextNotNeeded, "")
			return
		}
		s.destructive = append(s.destructive, a)
	case !nodes.Feasible(node, tg):
		stop(TextNotNeeded, "")
	default:
		s.inPlace = append(s.inPlace, a)
	}
}
