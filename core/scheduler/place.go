package scheduler

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/rank"
	"github.com/seraiproject/serai/core/scheduler/reconcile"
)

// place finds a node for one allocation and writes it into the plan. It
// reports whether there was one; if not, what it would have stopped goes on.
func (r *run) place(p *reconcile.Placement) bool {
	s := r.stack(p.Job, p.Group)
	if s.metric != nil { // full already: only count
		s.coalesce()
		return false
	}
	s.open()
	if p.Stop != nil {
		r.stop(*p.Stop)
	}
	pick, res, offer, ok := s.choose(p)
	if !ok {
		if r.preempts() && r.preempt(s, p) {
			return true
		}
		if p.Stop != nil {
			r.unstop(p.Stop.Alloc)
		}
		s.fail()
		return false
	}
	r.commit(s, p, pick, res, offer, nil)
	return true
}

// commit writes a placement into the plan and counts it.
func (r *run) commit(s *stack, p *reconcile.Placement, pick rank.Pick, res *model.AllocatedResources, offer cluster.Offer, victims []*model.Allocation) {
	a := s.alloc(p, pick, res)
	r.evict(a, victims)
	n := r.draft.Own(pick.Ordinal)
	if s.shape.cores {
		n.Add(a) // the CPU of cores is the node's own matter
	} else {
		n.Take(a, s.shape.ask.Usage, offer)
	}
	r.plan.NodeAllocation[string(a.NodeID)] = append(r.plan.NodeAllocation[string(a.NodeID)], a)
	r.moved(a, pick.Ordinal, 1)
}

// choose finds a node that can give everything.
func (s *stack) choose(p *reconcile.Placement) (rank.Pick, *model.AllocatedResources, cluster.Offer, bool) {
	r := s.run
	if o, ok := s.sticky(p.Previous); ok {
		if res, offer, reason := s.shape.give(r.draft.At(o), r.random); reason == "" {
			return s.frontier.Alone(o), res, offer, true
		}
	}
	var penalised []int32
	if p.Rescheduled && p.Previous != nil {
		penalised = r.penalised(p)
	}
	var accept func(int32) bool
	if s.group.PerAlloc() {
		index := (&model.Allocation{Name: p.Name}).Index()
		accept = func(o int32) bool { return s.group.HasVolumesOf(r.draft.At(o).Node, index) }
	}
	for {
		pick, ok := s.frontier.Best(penalised, accept)
		if !ok {
			return pick, nil, cluster.Offer{}, false
		}
		res, offer, reason := s.shape.give(r.draft.At(pick.Ordinal), r.random)
		if reason == "" {
			return pick, res, offer, true
		}
		s.frontier.Exhaust(pick.Ordinal, reason)
	}
}

// sticky returns the node of the previous allocation when its disk is to be
// kept and the node can take it.
func (s *stack) sticky(prev *model.Allocation) (int32, bool) {
	d := s.tg.EphemeralDisk
	if prev == nil || d == nil || !d.Sticky && !d.Migrate {
		return 0, false
	}
	o, ok := s.run.draft.Ordinal(prev.NodeID)
	if !ok {
		return 0, false
	}
	n := s.run.draft.At(o)
	if !n.Node.Ready() || !cluster.InPool(n.Node, s.job.NodePool) || !cluster.InDatacenters(n.Node, s.job.Datacenters) {
		return 0, false
	}
	return o, s.frontier.Try(o)
}

// penalised are the nodes that an allocation failed on before.
func (r *run) penalised(p *reconcile.Placement) []int32 {
	var nodes []int32
	add := func(id model.NodeID) {
		if o, ok := r.draft.Ordinal(id); ok {
			nodes = append(nodes, o)
		}
	}
	add(p.Previous.NodeID)
	if t := p.Previous.RescheduleTracker; t != nil {
		for _, e := range t.Events {
			add(e.PrevNodeID)
		}
	}
	return nodes
}

// ahead is how many allocations are made at a time.
const ahead = 32

// alloc makes the allocation.
func (s *stack) alloc(p *reconcile.Placement, pick rank.Pick, res *model.AllocatedResources) *model.Allocation {
	r := s.run
	if len(s.allocs) == 0 {
		s.allocs = make([]model.Allocation, ahead)
		s.metrics = make([]model.AllocMetric, ahead)
	}
	a, m := &s.allocs[0], &s.metrics[0]
	s.allocs, s.metrics = s.allocs[1:], s.metrics[1:]

	*m = s.frontier.Tally.Metric()
	s.pool(m)
	m.ScoreMetaData = s.describe.Meta(r.draft.View, pick.Meta)

	n := r.draft.View.At(pick.Ordinal).Node
	now := r.in.Now.UnixNano()
	*a = model.Allocation{
		ID:                 model.AllocID(r.newID()),
		Namespace:          p.Job.Namespace,
		EvalID:             r.eval.ID,
		Name:               p.Name,
		NodeID:             n.ID,
		NodeName:           n.Name,
		JobID:              p.Job.ID,
		TaskGroup:          p.Group.Name,
		Job:                p.Job,
		JobVersion:         p.Job.Version,
		DesiredStatus:      model.AllocDesiredRun,
		ClientStatus:       model.AllocClientPending,
		AllocatedResources: res,
		Metrics:            m,
		RescheduleTracker:  p.Tracker,
		CreateTime:         now,
		ModifyTime:         now,
	}
	if p.Previous != nil {
		a.PreviousAllocation = p.Previous.ID
	}
	if p.Joins && r.active != nil {
		a.DeploymentID = r.active.ID
		if p.Canary {
			a.DeploymentStatus = &model.AllocDeploymentStatus{Canary: true}
		}
	}
	return a
}

// pool says which nodes were there to choose from.
func (s *stack) pool(m *model.AllocMetric) {
	m.NodePool = s.job.NodePool
	if m.NodePool == "" {
		m.NodePool = model.DefaultNodePool
	}
	m.NodesInPool = len(s.candidates.Ordinals)
	m.NodesAvailable = s.candidates.Available
}

// fail explains the first allocation of the group that found no node.
func (s *stack) fail() {
	m := s.frontier.Explain()
	s.pool(&m)
	s.metric = &m
	s.exhausted()
	s.run.failed[s.tg.Name] = s.metric
}

// coalesce counts a further allocation that found no node.
func (s *stack) coalesce() {
	s.metric.CoalescedFailures++
	s.exhausted()
}

// exhausted adds up what the allocations without a node would have needed.
func (s *stack) exhausted() {
	if s.metric.NodesExhausted == 0 {
		return
	}
	if s.metric.ResourcesExhausted == nil {
		s.metric.ResourcesExhausted = map[string]*model.Resources{}
	}
	for _, t := range s.tg.Tasks {
		if t.Resources == nil {
			continue
		}
		sum := s.metric.ResourcesExhausted[t.Name]
		if sum == nil {
			sum = &model.Resources{}
			s.metric.ResourcesExhausted[t.Name] = sum
		}
		sum.CPU += t.Resources.CPU
		sum.Cores += t.Resources.Cores
		sum.MemoryMB += t.Resources.MemoryMB
		sum.MemoryMaxMB += t.Resources.MemoryMaxMB
		sum.DiskMB += t.Resources.DiskMB
	}
}
