package scheduler

import (
	"hash/fnv"
	"math/rand/v2"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/reconcile"
)

// run is the processing of one evaluation.
type run struct {
	snap   Snapshot
	eval   *model.Evaluation
	in     Input
	job    *model.Job // nil when it was purged
	allocs []*model.Allocation
	config model.SchedulerConfiguration
	draft  *cluster.Draft
	random *rand.Rand

	plan   *model.Plan
	active *model.Deployment // that new allocations join, or nil

	// stopped are allocations that the plan ends.
	stopped map[model.AllocID]bool
	stacks  []*stack
	seats   map[seat]bool // kept by updates in place
	// jobOn counts the job's live allocations by ordinal, once a group cares.
	jobOn []int32

	failed map[string]*model.AllocMetric
	queued map[string]int

	evicted   map[groupKey]int // by group of the victims
	evictions map[string]int   // by group of the job
	preempted []*model.AllocListStub
}

func newRun(snap Snapshot, eval *model.Evaluation, in Input) *run {
	r := &run{
		snap: snap, eval: eval, in: in,
		job:     snap.Job(eval.Namespace, eval.JobID),
		allocs:  snap.JobAllocs(eval.Namespace, eval.JobID),
		draft:   cluster.NewDraft(snap.Cluster()),
		random:  newRandom(eval, in.Seed),
		stopped: map[model.AllocID]bool{},
		failed:  map[string]*model.AllocMetric{},
		queued:  map[string]int{},

		evicted:   map[groupKey]int{},
		evictions: map[string]int{},
	}
	if c := snap.SchedulerConfig(); c != nil {
		r.config = *c
	}
	if r.job != nil {
		if p := snap.NodePool(r.job.NodePool); p != nil && p.SchedulerConfiguration != nil {
			if a := p.SchedulerConfiguration.SchedulerAlgorithm; a != "" {
				r.config.SchedulerAlgorithm = a
			}
			if m := p.SchedulerConfiguration.MemoryOversubscriptionEnabled; m != nil {
				r.config.MemoryOversubscriptionEnabled = *m
			}
		}
	}
	r.plan = &model.Plan{
		EvalID:          eval.ID,
		Priority:        eval.Priority,
		SnapshotIndex:   snap.Index(),
		Job:             r.job,
		NodeUpdate:      map[string][]*model.Allocation{},
		NodeAllocation:  map[string][]*model.Allocation{},
		NodePreemptions: map[string][]*model.Allocation{},
	}
	if r.job != nil {
		r.plan.AllAtOnce = r.job.AllAtOnce
	}
	return r
}

// newRandom makes the source of all choices and IDs. The evaluation's ID is
// part of it, so that seeds that happen to be equal do not give equal IDs.
func newRandom(eval *model.Evaluation, seed uint64) *rand.Rand {
	h := fnv.New128a()
	h.Write([]byte(eval.ID))
	sum := h.Sum(nil)
	var words [2]uint64
	for i, b := range sum {
		words[i/8] = words[i/8]<<8 | uint64(b)
	}
	return rand.New(rand.NewPCG(words[0]^seed, words[1]+seed*0x9e3779b97f4a7c15))
}

// newID returns a random UUID.
func (r *run) newID() string {
	var b [16]byte
	x, y := r.random.Uint64(), r.random.Uint64()
	for i := range 8 {
		b[i], b[8+i] = byte(x>>(8*i)), byte(y>>(8*i))
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return model.FormatUUID(b)
}

func (r *run) node(id model.NodeID) *model.Node {
	if n := r.draft.View.Node(id); n != nil {
		return n.Node
	}
	return nil
}

// live reports whether an allocation of the job still counts.
func (r *run) live(a *model.Allocation) bool { return !a.Terminal() && !r.stopped[a.ID] }

// stop writes a stop into the plan and frees what the allocation used.
func (r *run) stop(s reconcile.Stop) {
	c := *s.Alloc
	c.DesiredStatus = model.AllocDesiredStop
	c.DesiredDescription = s.Text
	c.ModifyTime = r.in.Now.UnixNano()
	if s.ClientStatus != "" {
		c = *reconcile.WithState(&c, s.ClientStatus, r.in.Now)
	}
	if s.FollowUp != "" {
		c.FollowupEvalID = s.FollowUp
	}
	r.plan.NodeUpdate[string(c.NodeID)] = append(r.plan.NodeUpdate[string(c.NodeID)], &c)
	r.free(s.Alloc)
}

// unstop takes back the last stop of an allocation.
func (r *run) unstop(a *model.Allocation) {
	id := string(a.NodeID)
	stops := r.plan.NodeUpdate[id]
	for i := len(stops) - 1; i >= 0; i-- {
		if stops[i].ID == a.ID {
			stops = append(stops[:i:i], stops[i+1:]...)
			break
		}
	}
	r.plan.NodeUpdate[id] = stops
	if len(stops) == 0 {
		delete(r.plan.NodeUpdate, id)
	}
	delete(r.stopped, a.ID)
	if a.Terminal() {
		return
	}
	if o, ok := r.draft.Ordinal(a.NodeID); ok {
		r.draft.Own(o).Add(a)
		r.moved(a, o, 1)
	}
}

// free stops counting an allocation of the job.
func (r *run) free(a *model.Allocation) {
	r.stopped[a.ID] = true
	if a.Terminal() {
		return
	}
	if o, ok := r.draft.Ordinal(a.NodeID); ok {
		r.draft.Own(o).Remove(a.ID)
		r.moved(a, o, -1)
	}
}

// moved tells everyone who counts that the job has one allocation more or less
// on a node.
func (r *run) moved(a *model.Allocation, ordinal int32, delta int32) {
	if r.jobOn != nil {
		r.jobOn[ordinal] += delta
	}
	for _, s := range r.stacks {
		s.moved(a.TaskGroup, ordinal, delta)
	}
}

// update writes a new version of an existing allocation into the plan.
func (r *run) update(a *model.Allocation) {
	a.ModifyTime = r.in.Now.UnixNano()
	r.plan.NodeAllocation[string(a.NodeID)] = append(r.plan.NodeAllocation[string(a.NodeID)], a)
}
