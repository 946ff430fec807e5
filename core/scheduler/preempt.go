package scheduler

import (
	"math"
	"slices"
	"sort"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/reconcile"
)

const (
	// priorityGap is how much lower a victim's priority must be.
	priorityGap = 10
	// crowdPenalty makes allocations of a group that already lost as many as
	// it may migrate at a time the worse choice.
	crowdPenalty = 50.0
)

// preempts reports whether jobs of this type may evict others.
func (r *run) preempts() bool {
	if r.snap.SchedulerConfig() == nil {
		return r.eval.Type == model.JobTypeSystem // unless an operator says otherwise
	}
	p := r.config.PreemptionConfig
	switch r.eval.Type {
	case model.JobTypeSystem:
		return p.SystemSchedulerEnabled
	case model.JobTypeSysBatch:
		return p.SysBatchSchedulerEnabled
	case model.JobTypeBatch:
		return p.BatchSchedulerEnabled
	case model.JobTypeService:
		return p.ServiceSchedulerEnabled
	}
	return false
}

// preempt places an allocation on the node where evicting others costs least.
func (r *run) preempt(s *stack, p *reconcile.Placement) bool {
	best, found := int32(0), false
	var victims []*model.Allocation
	score := math.Inf(-1)
	for _, o := range s.candidates.Ordinals {
		n := r.draft.At(o)
		if s.group.Reason(o, n) != "" || s.frontier.Veto != nil && s.frontier.Veto(o, n) != "" {
			continue
		}
		v := s.victims(o)
		if len(v) == 0 {
			continue
		}
		// What is evicted still counts as used here.
		packing := s.shape.ask.Packing(n, s.frontier.SpreadAlgorithm)
		if x := (packing + preemptionScore(v)) / 2; x > score {
			best, victims, score, found = o, v, x, true
		}
	}
	return found && r.placeInstead(s, p, best, victims)
}

// placeInstead evicts victims and places the allocation where they were. When
// ports or devices are missing even then, nothing is changed.
func (r *run) placeInstead(s *stack, p *reconcile.Placement, o int32, victims []*model.Allocation) bool {
	n := r.draft.Own(o)
	for _, v := range victims {
		n.Remove(v.ID)
	}
	res, offer, short := s.shape.give(n, r.random)
	if short != "" || s.shape.ask.Fits(n) != "" {
		for _, v := range victims {
			n.Add(v)
		}
		return false
	}
	r.commit(s, p, s.frontier.Evicting(o, preemptionScore(victims)), res, offer, victims)
	return true
}

// evict writes victims into the plan.
func (r *run) evict(a *model.Allocation, victims []*model.Allocation) {
	for _, v := range victims {
		c := *v
		c.DesiredStatus = model.AllocDesiredEvict
		c.DesiredDescription = "Preempted by alloc ID " + string(a.ID)
		c.PreemptedByAllocation = a.ID
		c.ModifyTime = r.in.Now.UnixNano()
		r.plan.NodePreemptions[string(c.NodeID)] = append(r.plan.NodePreemptions[string(c.NodeID)], &c)
		a.PreemptedAllocations = append(a.PreemptedAllocations, v.ID)
		r.evicted[groupOf(v)]++
		r.preempted = append(r.preempted, c.Stub())
		r.evictions[a.TaskGroup]++
	}
}

type groupKey struct {
	job   model.JobKey
	group string
}

func groupOf(a *model.Allocation) groupKey { return groupKey{a.JobKey(), a.TaskGroup} }

// preemptionScore is the less, the more and the higher what is evicted.
func preemptionScore(victims []*model.Allocation) float64 {
	highest, sum := 0.0, 0.0
	for _, v := range victims {
		p := float64(v.Job.Priority)
		highest = max(highest, p)
		sum += p
	}
	if highest == 0 {
		return 1
	}
	return 1 / (1 + math.Exp(0.0048*(highest+sum/highest-2048)))
}

// victims chooses what to evict from a node so that the group fits: low
// priorities first, and among those what comes closest to what is missing. It
// returns nothing when evicting does not help.
func (s *stack) victims(o int32) []*model.Allocation {
	r := s.run
	n := r.draft.At(o)
	var free, held []*model.Allocation
	for _, a := range n.Allocs {
		if a.Job == nil || a.JobKey() == s.job.Key() || a.Job.Priority > s.job.Priority-priorityGap || a.AllocatedResources == nil {
			held = append(held, a)
		} else {
			free = append(free, a)
		}
	}
	if len(free) == 0 {
		return nil
	}
	chosen := s.portHolders(free, held)
	left := n.Clone()
	for _, a := range chosen {
		left.Remove(a.ID)
	}
	free = slices.DeleteFunc(free, func(a *model.Allocation) bool { return slices.Contains(chosen, a) })
	sort.SliceStable(free, func(i, j int) bool {
		if free[i].Job.Priority != free[j].Job.Priority {
			return free[i].Job.Priority < free[j].Job.Priority
		}
		return free[i].ID < free[j].ID
	})
	crowd := map[groupKey]int{}
	for len(free) > 0 && s.shape.ask.Fits(left) != "" {
		same := 1
		for same < len(free) && free[same].Job.Priority == free[0].Job.Priority {
			same++
		}
		best, distance := 0, math.Inf(1)
		for i, a := range free[:same] {
			if d := s.distance(left, a) + r.crowding(a, crowd); d < distance {
				best, distance = i, d
			}
		}
		a := free[best]
		free = slices.Delete(free, best, best+1)
		left.Remove(a.ID)
		crowd[groupOf(a)]++
		chosen = append(chosen, a)
	}
	if s.shape.ask.Fits(left) != "" {
		return nil
	}
	return s.needed(left, chosen)
}

// needed drops victims that larger ones made unnecessary.
func (s *stack) needed(left *cluster.Node, chosen []*model.Allocation) []*model.Allocation {
	bySize := slices.Clone(chosen)
	sort.SliceStable(bySize, func(i, j int) bool {
		a, b := bySize[i].AllocatedResources.Usage(), bySize[j].AllocatedResources.Usage()
		return a.CPU+a.MemoryMB < b.CPU+b.MemoryMB
	})
	var kept []*model.Allocation
	for _, a := range bySize {
		left.Add(a)
		if s.shape.ask.Fits(left) != "" {
			left.Remove(a.ID)
			kept = append(kept, a)
		}
	}
	return kept
}

// distance is how far an allocation's size is from what is still missing.
func (s *stack) distance(left *cluster.Node, a *model.Allocation) float64 {
	u := a.AllocatedResources.Usage()
	part := func(want, have, used, got int64) float64 {
		missing := want - (have - used)
		if missing <= 0 {
			return 0
		}
		return float64(missing-got) / float64(missing)
	}
	cpu := part(s.shape.ask.CPUOn(left), left.CPU, left.UsedCPU, u.CPU)
	memory := part(s.shape.ask.MemoryMB, left.MemoryMB, left.UsedMemoryMB, u.MemoryMB)
	disk := part(s.shape.ask.DiskMB, left.DiskMB, left.UsedDiskMB, u.DiskMB)
	return math.Sqrt(cpu*cpu + memory*memory + disk*disk)
}

func (r *run) crowding(a *model.Allocation, chosen map[groupKey]int) float64 {
	limit := 1
	if tg := a.Group(); tg != nil && tg.Migrate != nil {
		limit = tg.Migrate.MaxParallel
	}
	key := groupOf(a)
	return crowdPenalty * float64(max(0, r.evicted[key]+chosen[key]+1-limit))
}

// portHolders are the allocations that hold static ports that the group wants.
func (s *stack) portHolders(free, held []*model.Allocation) []*model.Allocation {
	var chosen []*model.Allocation
	for _, ask := range s.shape.ask.Ports {
		if ask.Static <= 0 || ask.IgnoreCollision {
			continue
		}
		holds := func(a *model.Allocation) bool {
			return a.AllocatedResources != nil && slices.ContainsFunc(a.AllocatedResources.Shared.Ports,
				func(p model.PortMapping) bool { return p.Value == ask.Static })
		}
		if slices.ContainsFunc(held, holds) {
			continue
		}
		for _, a := range free {
			if holds(a) && !slices.Contains(chosen, a) {
				chosen = append(chosen, a)
			}
		}
	}
	return chosen
}
