package scheduler

import (
	"math/bits"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/feasible"
	"github.com/seraiproject/serai/core/scheduler/rank"
)

// minRanked is how many nodes are at least looked at per placement when a
// group prefers some nodes to others.
const minRanked = 100

// minLooked is how many nodes are at least looked at per placement. Two would
// do to balance load; a few more pack better and cost next to nothing, as
// nodes are remembered.
const minLooked = 8

// stack is all that places allocations of one group of one version of a job.
type stack struct {
	run   *run
	job   *model.Job
	tg    *model.TaskGroup
	group *feasible.Group
	shape *shape

	candidates *cluster.Candidates
	frontier   *rank.Frontier // made for the first placement
	describe   rank.Describer
	spread     *rank.Spread
	same       []int32                       // the group's live allocations by ordinal
	properties []map[string]int              // by group.Properties, then value
	deviceOf   func(n *cluster.Node) float64 // nil: no device affinities
	metric     *model.AllocMetric            // of the first failure
	allocs     []model.Allocation            // made ahead, to be handed out
	metrics    []model.AllocMetric           // likewise
}

// stack returns the stack of a group of a job, made at its first use.
func (r *run) stack(job *model.Job, tg *model.TaskGroup) *stack {
	for _, s := range r.stacks {
		if s.tg == tg {
			return s
		}
	}
	s := &stack{
		run: r, job: job, tg: tg,
		group: feasible.New(job, tg, r.draft.Kinds()),
		shape: newShape(tg, r.config.MemoryOversubscriptionEnabled),
	}
	r.stacks = append(r.stacks, s)
	return s
}

// open prepares the stack for placing.
func (s *stack) open() *rank.Frontier {
	if s.frontier != nil {
		return s.frontier
	}
	r := s.run
	s.candidates = r.draft.Ready(s.job.NodePool, s.job.Datacenters)
	s.spread = rank.NewSpread(r.draft.View, s.job, s.tg)
	s.same = make([]int32, r.draft.Len())
	if onEveryNode(s.job) { // where there is nothing to choose
		s.group.DistinctHosts, s.group.GroupHosts, s.group.Properties = false, false, nil
	}
	if s.group.DistinctHosts && r.jobOn == nil {
		r.jobOn = make([]int32, r.draft.Len())
		for _, a := range r.allocs {
			if o, ok := r.draft.Ordinal(a.NodeID); ok && r.live(a) {
				r.jobOn[o]++
			}
		}
	}
	s.properties = make([]map[string]int, len(s.group.Properties))
	for i := range s.properties {
		s.properties[i] = map[string]int{}
	}
	for _, a := range r.allocs {
		if o, ok := r.draft.Ordinal(a.NodeID); ok && r.live(a) {
			s.count(a.TaskGroup, o, 1)
		}
	}
	var veto func(int32, *cluster.Node) string
	if s.group.DistinctHosts || s.group.GroupHosts || len(s.group.Properties) > 0 {
		veto = s.veto
	}
	var shortage func(*cluster.Node) string
	if s.shape.devices {
		shortage = s.shortage
		if feasible.HasDeviceAffinities(s.tg) {
			s.deviceOf = s.deviceScore
		}
	}
	s.describe.HasSpread = s.spread != nil
	s.describe.HasDevices = s.deviceOf != nil
	s.frontier = rank.NewFrontier(rank.Config{
		Draft:           r.draft,
		Candidates:      s.candidates,
		Group:           s.group,
		Ask:             &s.shape.ask,
		Spread:          s.spread,
		Same:            s.same,
		Count:           s.tg.Count,
		Step:            s.step(),
		SpreadAlgorithm: r.config.SchedulerAlgorithm == "spread",
		Veto:            veto,
		Shortage:        shortage,
		DeviceScore:     s.deviceOf,
		Random:          r.random,
	})
	return s.frontier
}

// onEveryNode reports whether the job runs on all nodes that can run it.
func onEveryNode(j *model.Job) bool {
	return j.Type == model.JobTypeSystem || j.Type == model.JobTypeSysBatch
}

// step is how many nodes each placement looks at besides those that earlier
// ones looked at.
func (s *stack) step() int {
	if s.spread != nil || s.deviceOf != nil || s.group.HasAffinities() {
		limit := int(s.run.config.NodeLimitForFeasibilityChecks)
		if limit <= 0 {
			limit = minRanked
		}
		return max(s.tg.Count, limit)
	}
	if s.job.Type == model.JobTypeBatch {
		return minLooked
	}
	return max(minLooked, bits.Len(uint(len(s.candidates.Ordinals)))) // about log2
}

func (s *stack) veto(o int32, n *cluster.Node) string {
	if s.group.DistinctHosts && s.run.jobOn[o] > 0 || s.group.GroupHosts && s.same[o] > 0 {
		return model.OpDistinctHosts
	}
	for i := range s.group.Properties {
		p := &s.group.Properties[i]
		v, ok := p.Value(n.Node)
		if !ok || s.properties[i][v] >= p.Limit {
			return p.Key
		}
	}
	return ""
}

func (s *stack) shortage(n *cluster.Node) string {
	if _, ok := feasible.Devices(s.tg, n); !ok {
		return "devices"
	}
	return ""
}

func (s *stack) deviceScore(n *cluster.Node) float64 {
	chosen, ok := feasible.Devices(s.tg, n)
	if !ok {
		return 0
	}
	score, _ := feasible.DeviceScore(s.tg, n.Node, chosen)
	return score
}

// count keeps the stack's counts of the job's allocations.
func (s *stack) count(group string, o, delta int32) {
	own := group == s.tg.Name
	for i := range s.group.Properties {
		p := &s.group.Properties[i]
		if p.OfGroup && !own {
			continue
		}
		if v, ok := p.Value(s.run.draft.View.At(o).Node); ok {
			s.properties[i][v] += int(delta)
		}
	}
	if !own {
		return
	}
	s.same[o] += delta
	if s.spread != nil {
		s.spread.Count(o, int(delta))
	}
}

// moved notes that an allocation of the job came to a node, or left it.
func (s *stack) moved(group string, o, delta int32) {
	if s.frontier == nil {
		return
	}
	s.count(group, o, delta)
	if delta < 0 && len(s.group.Properties) > 0 {
		s.frontier.Refresh() // other nodes of that property may be free again
	}
	s.frontier.Touch(o)
}
