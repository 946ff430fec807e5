// Package scheduler decides where allocations run.
//
// Process is a pure function: a snapshot of the state, an evaluation, the time
// and a seed give a plan and an explanation. It reads no clock, does no I/O
// and keeps nothing; equal inputs give equal plans. The same code serves the
// servers' workers, dry runs (job plan) and simulations.
//
// The steps live in packages of their own: reconcile compares what a job wants
// with what exists, feasible says whether a node may run a group, rank finds
// the best node, cluster keeps what is used of every node.
//
// A worker uses it like this:
//
//	res, err := scheduler.Process(snap, eval, scheduler.Input{Now: now, Seed: rand.Uint64()})
//	// 1. write res.FollowUps (the plan's allocations name them)
//	// 2. if !res.Plan.Empty(): submit res.Plan; when it was committed only in
//	//    part, take a snapshot at PlanResult.RefreshIndex and Process again
//	//    with another seed; give up after MaxAttempts without any progress
//	// 3. write res.Blocked, if any, and res.Eval
package scheduler

import (
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// A Snapshot is the state at one index. Nothing it returns is changed by the
// scheduler; it must not change while Process runs.
type Snapshot interface {
	// Index is the index of the state.
	Index() uint64
	// Job returns the current version of a job; nil when it does not exist.
	Job(namespace string, id model.JobID) *model.Job
	// JobAllocs returns all allocations of a job, of every version and in
	// every status, with their Job filled in.
	JobAllocs(namespace string, id model.JobID) []*model.Allocation
	// LatestDeployment returns the job's newest deployment, or nil.
	LatestDeployment(namespace string, id model.JobID) *model.Deployment
	// NodePool returns a node pool, or nil.
	NodePool(name string) *model.NodePool
	// SchedulerConfig returns the operator's choices; nil means defaults.
	SchedulerConfig() *model.SchedulerConfiguration
	// Cluster returns all nodes with what is used of them.
	Cluster() *cluster.View
}

// Input is what a decision depends on besides the state.
type Input struct {
	Now time.Time
	// Seed decides between equal nodes, and makes the IDs of what is new
	// (together with the evaluation's ID). Use another seed for another
	// attempt at the same evaluation.
	Seed uint64
	// Annotate fills Result.Annotations and Plan.Annotations.
	Annotate bool
}

// A Result is what is to be done about an evaluation, and why.
type Result struct {
	// Plan is never nil; it may be Empty.
	//
	// NodeUpdate and NodeAllocation hold whole allocations (copies). Those in
	// NodeUpdate carry the new DesiredStatus; their ClientStatus is lost when
	// the scheduler declares them lost. Those in NodeAllocation are new, or
	// replace the stored one of the same ID: updated in place (new Job),
	// given a FollowupEvalID, or unknown or running again because their node
	// was cut off or came back (then ClientStatus and StateChanges are to be
	// taken from the plan, else the stored ClientStatus stays).
	//
	// A new allocation usually has Plan.Job; while canaries wait for
	// promotion, replacements of other allocations keep the older version.
	// Allocation.JobVersion tells.
	//
	// PlacedAllocs, PlacedCanaries and health counters of deployments are
	// kept by the state store from the allocations committed.
	Plan *model.Plan

	// FollowUps are evaluations that wait until an allocation may be
	// rescheduled or is given up. They exist also when the plan is empty.
	FollowUps []*model.Evaluation

	// Blocked is the evaluation that waits for room, to be created; nil when
	// everything was placed, or when the evaluation processed is itself the
	// blocked one and stays so (then Eval says blocked).
	Blocked *model.Evaluation

	// Eval is the processed evaluation as it is to be written once the plan
	// is committed whole: status, queued counts, failures, BlockedEval.
	Eval *model.Evaluation

	// Failed explains, by group, why allocations could not be placed.
	Failed map[string]*model.AllocMetric
	// Queued counts, by group, the allocations that could not be placed.
	Queued map[string]int
	// Annotations count what the plan does, by group.
	Annotations *model.PlanAnnotations
}

// MaxAttempts is how often a worker may run an evaluation of that type again
// without any part of a plan having been committed.
func MaxAttempts(jobType string) int {
	switch jobType {
	case model.JobTypeBatch, model.JobTypeSysBatch:
		return 2
	}
	return 5
}

// Texts of evaluations, as clients read them.
const (
	BlockedForRoom      = "created to place remaining allocations"
	BlockedForConflicts = "created due to placement conflicts"
)

// Process works out what is to be done about an evaluation. An error says that
// the evaluation cannot be processed at all (model.ErrUnsupported, for a type
// of job that no scheduler handles); that nodes are full is not an error.
func Process(snap Snapshot, eval *model.Evaluation, in Input) (*Result, error) {
	switch eval.Type {
	case model.JobTypeService, model.JobTypeBatch:
		return newRun(snap, eval, in).generic(), nil
	case model.JobTypeSystem, model.JobTypeSysBatch:
		return newRun(snap, eval, in).system(), nil
	}
	return nil, model.Errorf(model.ErrUnsupported, "schedule evaluation %s: no scheduler for jobs of type %q", model.Short(eval.ID), eval.Type)
}
