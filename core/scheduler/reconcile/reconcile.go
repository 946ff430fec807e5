// Package reconcile compares what a service or batch job wants with the
// allocations that exist and says what is to be stopped, placed, replaced or
// left alone. It knows nothing of room on nodes: the scheduler places what is
// asked for here, as far as it can.
//
// Every allocation of a group is put into one class (classify.go); per class
// it is decided what follows (group.go). Groups are independent of each other;
// the job's deployment ties them together (deployment.go).
package reconcile

import (
	"sort"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Descriptions of allocations, as clients read them.
const (
	TextNotNeeded    = "alloc not needed due to job update"
	TextUpdating     = "alloc is being updated due to job update"
	TextInPlace      = "alloc updating in-place"
	TextMigrating    = "alloc is being migrated"
	TextLost         = "alloc is lost since its node is down"
	TextUnknown      = "alloc is unknown since its node is disconnected"
	TextReconnected  = "alloc not needed due to disconnected client reconnect"
	TextRescheduled  = "alloc was rescheduled because it failed"
	TextNodeTainted  = "alloc not needed as node is tainted"
	nearEnough       = time.Second     // a due time this close is now
	followUpWindow   = 5 * time.Second // due times this close share a follow-up
	minStopOnClient  = 5 * time.Second
	keptRescheduling = 5
)

// Input is what is compared. Nothing of it is changed.
type Input struct {
	Job    *model.Job // the version wanted; nil when it was purged
	Allocs []*model.Allocation
	Latest *model.Deployment // the job's latest, or nil
	Eval   *model.Evaluation
	Now    time.Time
	Batch  bool

	// Node returns a node, or nil when its record is gone.
	Node func(model.NodeID) *model.Node
	// Qualifies reports whether an allocation's node still meets the
	// constraints, datacenters and pool of the group of Job.
	Qualifies func(*model.Allocation, *model.TaskGroup) bool
	// NewID returns the ID of a new evaluation or deployment.
	NewID func() string
}

// A Placement is an allocation to be made.
type Placement struct {
	Name  string
	Job   *model.Job // an older version while canaries wait for promotion
	Group *model.TaskGroup
	// Previous is the allocation that this one follows, or nil.
	Previous *model.Allocation
	// Stop is to be stopped if and only if the placement succeeds.
	Stop *Stop
	// Tracker is the history of rescheduling that the allocation starts with.
	Tracker *model.RescheduleTracker
	// Rescheduled is set when Previous failed, so that its node is avoided.
	Rescheduled bool
	Canary      bool
	// OnNode is the only node that will do; empty: any.
	OnNode model.NodeID
	// Joins is set when the allocation belongs to the active deployment.
	Joins bool
}

// A Stop ends an allocation.
type Stop struct {
	Alloc        *model.Allocation
	Text         string
	ClientStatus string // lost, or empty to leave it
	FollowUp     model.EvalID
}

// An Update gives an allocation the new version of its job where it is.
type Update struct {
	Alloc *model.Allocation
	Group *model.TaskGroup
}

// Result is what is to be done.
type Result struct {
	Place       []Placement // new ones and replacements, in order of name
	Destructive []Placement // replacements of allocations that still run
	InPlace     []Update
	Stops       []Stop
	// Changed are copies of allocations of which only bookkeeping changed:
	// unknown, reconnected, or waiting for a follow-up.
	Changed []*model.Allocation

	Deployment        *model.Deployment // to be created, or nil
	Active            *model.Deployment // that new allocations join, or nil
	DeploymentUpdates []*model.DeploymentStatusUpdate
	FollowUps         []*model.Evaluation
	Desired           map[string]*model.DesiredUpdates
}

type reconciler struct {
	Input
	Result
	failed, paused bool // of the deployment of the wanted version
	// replaced says which allocations already have a successor.
	replaced map[model.AllocID]bool
	// differs remembers what Destructive said: allocations of one version of
	// a job share it.
	differs map[versionGroup]bool
}

type versionGroup struct {
	job   *model.Job
	group string
}

func (r *reconciler) destructive(a *model.Allocation, tg *model.TaskGroup) bool {
	key := versionGroup{a.Job, a.TaskGroup}
	d, known := r.differs[key]
	if !known {
		d = Destructive(a, r.Job, tg)
		if r.differs == nil {
			r.differs = map[versionGroup]bool{}
		}
		r.differs[key] = d
	}
	return d
}

// Reconcile compares. It is pure: the same input gives the same result.
func Reconcile(in Input) *Result {
	r := &reconciler{Input: in, replaced: map[model.AllocID]bool{}}
	r.Desired = map[string]*model.DesiredUpdates{}
	r.adoptDeployment()

	groups := map[string][]*model.Allocation{}
	for _, a := range in.Allocs {
		groups[a.TaskGroup] = append(groups[a.TaskGroup], a)
		if a.PreviousAllocation != "" && !a.Terminal() {
			r.replaced[a.PreviousAllocation] = true
		}
	}
	var names []string
	if !in.Job.Stopped() {
		for _, tg := range in.Job.TaskGroups {
			names = append(names, tg.Name)
		}
	}
	var gone []string
	for name := range groups {
		if in.Job.Stopped() || in.Job.Group(name) == nil {
			gone = append(gone, name)
		}
	}
	sort.Strings(gone)
	complete := true
	for _, name := range names {
		if !r.group(in.Job.Group(name), groups[name]) {
			complete = false
		}
	}
	for _, name := range gone {
		r.stopGroup(name, groups[name])
	}
	r.finishDeployment(complete)
	return &r.Result
}

// stopGroup stops what is left of a group that is no longer wanted.
func (r *reconciler) stopGroup(name string, allocs []*model.Allocation) {
	d := &model.DesiredUpdates{}
	for _, a := range allocs {
		switch {
		case a.ServerTerminal():
			r.markLost(a)
		case r.nodeLost(a) && !a.ClientTerminal():
			r.Stops = append(r.Stops, Stop{Alloc: a, Text: TextLost, ClientStatus: model.AllocClientLost})
			d.Stop++
		default:
			r.Stops = append(r.Stops, Stop{Alloc: a, Text: TextNotNeeded})
			d.Stop++
		}
	}
	if d.Stop > 0 {
		r.Desired[name] = d
	}
}

// markLost gives up an allocation that was told to stop and cannot say that it
// did, because its node is gone.
func (r *reconciler) markLost(a *model.Allocation) {
	if !a.ClientTerminal() && r.nodeLost(a) {
		r.Stops = append(r.Stops, Stop{Alloc: a, Text: a.DesiredDescription, ClientStatus: model.AllocClientLost})
	}
}

func (r *reconciler) nodeLost(a *model.Allocation) bool {
	n := r.Node(a.NodeID)
	return n == nil || n.Status == model.NodeStatusDown
}

// current reports whether the allocation is of the wanted version.
func (r *reconciler) current(a *model.Allocation) bool {
	return a.Job != nil && a.Job.Version == r.Job.Version && a.Job.CreateIndex == r.Job.CreateIndex
}
