// Package planner commits plans: one at a time against the latest state, node
// by node, and without waiting for one to be replicated before the next is
// checked.
//
// Workers make plans from snapshots that may be old, and in parallel. Only here
// is decided what of them still fits. A plan is checked against the latest
// state plus what the plans that are still on their way through Raft will do,
// so commits are pipelined and share writes to disk.
package planner

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"sync"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/state"
)

// maxInFlight bounds the plans on their way through Raft.
const maxInFlight = 32

// A Pending is a command on its way through Raft.
type Pending interface {
	Wait() (index uint64, answer any, err error)
}

// Config is what a planner works with.
type Config struct {
	Store *state.Store
	// Begin starts to write a command.
	Begin func(fsm.Command) (Pending, error)
	// Owned reports whether the worker still owns the plan's evaluation.
	Owned func(id model.EvalID, token string) bool
	// Now is the clock, in Unix nanoseconds.
	Now func() int64
}

// A Planner commits plans while Run runs. It is safe for use by many
// goroutines.
type Planner struct {
	cfg Config

	mu     sync.Mutex
	queue  planQueue
	closed bool
	seq    uint64
	wake   chan struct{}

	inFlight []*commit // of Run only
	slots    chan struct{}
	work     sync.WaitGroup
}

// submission is a plan that waits.
type submission struct {
	plan *model.Plan
	seq  uint64
	done chan outcome
}

type outcome struct {
	result *model.PlanResult
	err    error
}

// commit is a plan on its way through Raft.
type commit struct {
	result *model.PlanResult
	done   chan struct{}
}

// New returns a planner without plans.
func New(cfg Config) *Planner {
	return &Planner{cfg: cfg, wake: make(chan struct{}, 1), slots: make(chan struct{}, maxInFlight)}
}

// Submit commits what of a plan passes and waits until that is applied. A
// result with a RefreshIndex was committed in part, or not at all.
func (p *Planner) Submit(ctx context.Context, plan *model.Plan) (*model.PlanResult, error) {
	s := &submission{plan: plan, done: make(chan outcome, 1)}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, model.ErrNoLeader
	}
	p.seq++
	s.seq = p.seq
	heap.Push(&p.queue, s)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	select {
	case o := <-s.done:
		return o.result, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Len is how many plans wait to be checked.
func (p *Planner) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

func (p *Planner) pop() *submission {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	return heap.Pop(&p.queue).(*submission)
}

// Run checks and commits plans until ctx ends. It may run only once.
func (p *Planner) Run(ctx context.Context) error {
	defer p.close()
	for {
		s := p.pop()
		if s == nil {
			select {
			case <-p.wake:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			s.done <- outcome{err: ctx.Err()}
			return ctx.Err()
		}
		if !p.start(ctx, s) {
			<-p.slots
		}
	}
}

func (p *Planner) close() {
	p.mu.Lock()
	p.closed = true
	left := p.queue
	p.queue = nil
	p.mu.Unlock()
	for _, s := range left {
		s.done <- outcome{err: model.ErrNoLeader}
	}
	p.work.Wait()
}

// start checks a plan and sends it on its way. It reports whether it is.
func (p *Planner) start(ctx context.Context, s *submission) bool {
	plan := s.plan
	if !p.cfg.Owned(plan.EvalID, plan.EvalToken) {
		s.done <- outcome{err: model.Errorf(model.ErrStale, "commit plan of evaluation %s: it was given to another worker", model.Short(plan.EvalID))}
		return false
	}
	snap, err := p.cfg.Store.WaitIndex(ctx, plan.SnapshotIndex)
	if err != nil {
		s.done <- outcome{err: err}
		return false
	}
	view := p.predict(&snap)
	result := Check(view, plan)
	if len(result.RejectedNodes) > 0 {
		result.RefreshIndex = snap.Index()
	}
	if result.Empty() {
		result.RefreshIndex = max(result.RefreshIndex, snap.Index())
		s.done <- outcome{result: &result.PlanResult}
		return false
	}
	pending, err := p.cfg.Begin(result.Command(snap, plan, p.cfg.Now()))
	if err != nil {
		s.done <- outcome{err: err}
		return false
	}
	c := &commit{result: &result.PlanResult, done: make(chan struct{})}
	p.inFlight = append(p.inFlight, c)
	p.work.Go(func() {
		index, _, err := pending.Wait()
		close(c.done)
		<-p.slots
		if err != nil {
			s.done <- outcome{err: err}
			return
		}
		result.AllocIndex = index
		if result.RefreshIndex > 0 {
			// What was committed belongs to what must be seen.
			result.RefreshIndex = max(result.RefreshIndex, index)
		}
		s.done <- outcome{result: &result.PlanResult}
	})
	return true
}

// predict returns the nodes as they will be once the plans in flight are
// applied. It moves snap on to a newer state.
func (p *Planner) predict(snap **state.Snapshot) *cluster.View {
	p.inFlight = slices.DeleteFunc(p.inFlight, func(c *commit) bool {
		select {
		case <-c.done:
			return true
		default:
			return false
		}
	})
	// Taken after: what is not in flight any more is part of it.
	*snap = p.cfg.Store.Snapshot()
	view := (*snap).Cluster()
	if len(p.inFlight) == 0 {
		return view
	}
	edit := view.Edit()
	for _, c := range p.inFlight {
		apply(edit, view, c.result)
	}
	return edit.View()
}

// apply does to a view what a plan does. A plan that is part of the view
// already changes nothing.
func apply(edit *cluster.Editor, view *cluster.View, r *model.PlanResult) {
	for _, byNode := range []map[string][]*model.Allocation{r.NodeUpdate, r.NodePreemptions} {
		for node, allocs := range byNode {
			for _, a := range allocs {
				if old := find(view, model.NodeID(node), a.ID); old != nil {
					edit.ChangeAlloc(old, nil)
				}
			}
		}
	}
	for node, allocs := range r.NodeAllocation {
		for _, a := range allocs {
			old := find(view, model.NodeID(node), a.ID)
			if old != nil && old.AllocModifyIndex > a.AllocModifyIndex {
				continue // it has been applied
			}
			edit.ChangeAlloc(old, a)
		}
	}
}

func find(view *cluster.View, node model.NodeID, id model.AllocID) *model.Allocation {
	n := view.Node(node)
	if n == nil {
		return nil
	}
	for _, a := range n.Allocs {
		if a.ID == id {
			return a
		}
	}
	return nil
}

// Result is what passed of a plan.
type Result struct {
	model.PlanResult
}

// Empty reports whether nothing is left to commit.
func (r *Result) Empty() bool {
	return len(r.NodeUpdate) == 0 && len(r.NodeAllocation) == 0 && len(r.NodePreemptions) == 0 &&
		r.Deployment == nil && len(r.DeploymentUpdates) == 0
}

// Command makes the Raft command that commits what passed of plan. snap is a
// state no older than the view it was checked against; now is in Unix
// nanoseconds.
func (r *Result) Command(snap *state.Snapshot, plan *model.Plan, now int64) *fsm.ApplyPlan {
	return command(snap, plan, r, now)
}

// Check returns what of a plan fits the nodes as view has them. The plan itself
// stays as it is.
func Check(view *cluster.View, plan *model.Plan) *Result {
	r := &Result{model.PlanResult{
		Job: plan.Job, NodeUpdate: plan.NodeUpdate, NodeAllocation: plan.NodeAllocation,
		NodePreemptions: plan.NodePreemptions, Deployment: plan.Deployment, DeploymentUpdates: plan.DeploymentUpdates,
	}}
	rejected := cluster.CheckPlan(view, plan)
	if len(rejected) == 0 {
		return r
	}
	for id := range rejected {
		r.RejectedNodes = append(r.RejectedNodes, id)
	}
	slices.Sort(r.RejectedNodes)
	if plan.AllAtOnce {
		r.NodeUpdate, r.NodeAllocation, r.NodePreemptions, r.Deployment, r.DeploymentUpdates = nil, nil, nil, nil, nil
		return r
	}
	passing := func(byNode map[string][]*model.Allocation) map[string][]*model.Allocation {
		out := make(map[string][]*model.Allocation, len(byNode))
		for id, allocs := range byNode {
			if _, no := rejected[model.NodeID(id)]; !no {
				out[id] = allocs
			}
		}
		return out
	}
	r.NodeUpdate, r.NodeAllocation, r.NodePreemptions = passing(plan.NodeUpdate), passing(plan.NodeAllocation), passing(plan.NodePreemptions)
	return r
}

// command makes the Raft command of what passed.
func command(snap *state.Snapshot, plan *model.Plan, r *Result, now int64) *fsm.ApplyPlan {
	c := &fsm.ApplyPlan{EvalID: plan.EvalID, DeploymentUpdates: r.DeploymentUpdates, Time: now}
	if r.Deployment != nil {
		d := r.Deployment.Clone()
		// Counted when allocations are committed.
		for _, g := range d.TaskGroups {
			g.PlacedAllocs, g.HealthyAllocs, g.UnhealthyAllocs, g.PlacedCanaries = 0, 0, 0, nil
		}
		if old := snap.Deployment(nil, d.ID); old != nil {
			keepCounts(d, old)
		}
		c.Deployment = d
	}
	carried := map[uint64]bool{}
	carry := func(j *model.Job) {
		if j != nil && !carried[j.Version] {
			carried[j.Version] = true
			c.Jobs = append(c.Jobs, j)
		}
	}
	for _, id := range sortedKeys(r.NodeAllocation) {
		for _, a := range r.NodeAllocation[id] {
			bare := *a
			bare.Job = nil
			c.Allocs = append(c.Allocs, &bare)
			// The servers have the versions of existing jobs; a job is
			// carried only when the stored one may be another.
			if a.Job != nil && needsJob(snap, a) {
				carry(a.Job)
			} else if a.Job == nil && plan.Job != nil && a.JobVersion == plan.Job.Version && needsJob(snap, a) {
				carry(plan.Job)
			}
		}
	}
	for _, id := range sortedKeys(r.NodeUpdate) {
		for _, a := range r.NodeUpdate[id] {
			c.Stops = append(c.Stops, stop(snap, a, ""))
		}
	}
	preempted := map[model.JobKey]*model.Allocation{}
	for _, id := range sortedKeys(r.NodePreemptions) {
		for _, a := range r.NodePreemptions[id] {
			c.Stops = append(c.Stops, stop(snap, a, a.PreemptedByAllocation))
			preempted[a.JobKey()] = a
		}
	}
	for k := range preempted {
		if job := snap.Job(nil, k); job != nil && !job.Stop {
			c.Evals = append(c.Evals, &model.Evaluation{
				ID: model.EvalID(model.NewUUID()), Namespace: k.Namespace, JobID: k.ID, Type: job.Type, Priority: job.Priority,
				TriggeredBy: model.TriggerPreemption, Status: model.EvalStatusPending, CreateTime: now, ModifyTime: now,
			})
		}
	}
	return c
}

// needsJob reports whether the job of a placed allocation has to be carried:
// the state may not have that very version.
func needsJob(snap *state.Snapshot, a *model.Allocation) bool {
	if old := snap.Alloc(nil, a.ID); old != nil && old.Job == a.Job && a.Job != nil {
		return false
	}
	v := snap.JobVersion(nil, a.JobKey(), a.JobVersion)
	return v == nil || a.Job == nil || v.CreateIndex != a.Job.CreateIndex || v.JobModifyIndex != a.Job.JobModifyIndex
}

// keepCounts makes a changed deployment keep what was counted so far.
func keepCounts(d, old *model.Deployment) {
	for name, g := range d.TaskGroups {
		if was := old.TaskGroups[name]; was != nil {
			g.PlacedAllocs, g.HealthyAllocs, g.UnhealthyAllocs = was.PlacedAllocs, was.HealthyAllocs, was.UnhealthyAllocs
			g.PlacedCanaries, g.RequireProgressBy = slices.Clone(was.PlacedCanaries), was.RequireProgressBy
			g.Promoted = g.Promoted || was.Promoted
		}
	}
}

// stop makes the record of a stopped allocation: what differs from the state.
func stop(snap *state.Snapshot, a *model.Allocation, by model.AllocID) *state.AllocStop {
	s := &state.AllocStop{
		ID: a.ID, DesiredStatus: a.DesiredStatus, DesiredDescription: a.DesiredDescription,
		FollowupEvalID: a.FollowupEvalID, PreemptedBy: by,
	}
	old := snap.Alloc(nil, a.ID)
	if a.ClientStatus == model.AllocClientLost || a.ClientStatus == model.AllocClientUnknown {
		s.ClientStatus = a.ClientStatus
	}
	if old != nil && old.ClientDescription != a.ClientDescription {
		s.ClientDescription = a.ClientDescription
	}
	return s
}

func sortedKeys(m map[string][]*model.Allocation) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// planQueue orders plans by priority, then arrival.
type planQueue []*submission

func (q planQueue) Len() int { return len(q) }

func (q planQueue) Less(i, j int) bool {
	if c := cmp.Compare(q[j].plan.Priority, q[i].plan.Priority); c != 0 {
		return c < 0
	}
	return q[i].seq < q[j].seq
}

func (q planQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *planQueue) Push(x any)   { *q = append(*q, x.(*submission)) }

func (q *planQueue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	*q = (*q)[:last]
	return s
}
