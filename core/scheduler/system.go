package scheduler

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/reconcile"
)

// system processes an evaluation of a system or sysbatch job.
func (r *run) system() *Result {
	nodes := reconcile.Nodes{
		Feasible: func(n *model.Node, tg *model.TaskGroup) bool {
			o, ok := r.draft.Ordinal(n.ID)
			return ok && r.stack(r.job, tg).group.Reason(o, r.draft.At(o)) == ""
		},
		Member: func(n *model.Node) bool {
			return cluster.InPool(n, r.job.NodePool) && cluster.InDatacenters(n, r.job.Datacenters)
		},
	}
	if !r.job.Stopped() {
		for _, o := range r.draft.Ready(r.job.NodePool, r.job.Datacenters).Ordinals {
			nodes.Ready = append(nodes.Ready, r.draft.At(o).Node)
		}
	}
	want := reconcile.System(reconcile.Input{
		Job:    r.job,
		Allocs: r.allocs,
		Latest: r.snap.LatestDeployment(r.eval.Namespace, r.eval.JobID),
		Eval:   r.eval,
		Now:    r.in.Now,
		Batch:  r.eval.Type == model.JobTypeSysBatch,
		Node:   r.node,
		NewID:  r.newID,
	}, nodes)
	r.adopt(want)
	for _, list := range [][]reconcile.Placement{want.Place, want.Destructive} {
		for i := range list {
			if !r.placeOn(&list[i]) {
				r.queued[list[i].Group.Name]++
			}
		}
	}
	if !r.job.Stopped() {
		for _, tg := range r.job.TaskGroups {
			r.explainNowhere(tg, want.Desired[tg.Name])
		}
	}
	return r.result(want.FollowUps, want.Desired)
}

// placeOn places an allocation on the one node that it is meant for.
func (r *run) placeOn(p *reconcile.Placement) bool {
	s := r.stack(p.Job, p.Group)
	s.open()
	o, ok := r.draft.Ordinal(p.OnNode)
	if !ok {
		return false
	}
	if p.Stop != nil {
		r.stop(*p.Stop)
	}
	dimension := s.shape.ask.Fits(r.draft.At(o))
	if dimension == "" && s.frontier.Try(o) {
		res, offer, short := s.shape.give(r.draft.At(o), r.random)
		if short == "" {
			r.commit(s, p, s.frontier.Alone(o), res, offer, nil)
			return true
		}
		dimension = short
	}
	if r.preempts() {
		if victims := s.victims(o); len(victims) > 0 && r.placeInstead(s, p, o, victims) {
			return true
		}
	}
	if p.Stop != nil {
		r.unstop(p.Stop.Alloc)
	}
	s.exhaustedOn(o, dimension)
	return false
}

// exhaustedOn counts a node that has no room for an allocation of the group.
func (s *stack) exhaustedOn(o int32, dimension string) {
	if s.metric == nil {
		s.metric = &model.AllocMetric{
			ClassExhausted: map[string]int{}, DimensionExhausted: map[string]int{},
		}
		s.pool(s.metric)
		s.run.failed[s.tg.Name] = s.metric
	}
	s.metric.NodesEvaluated++
	s.metric.NodesExhausted++
	if class := s.run.draft.At(o).Node.NodeClass; class != "" {
		s.metric.ClassExhausted[class]++
	}
	if dimension != "" {
		s.metric.DimensionExhausted[dimension]++
	}
	s.exhausted()
}

// explainNowhere reports a group that no node at all can run.
func (r *run) explainNowhere(tg *model.TaskGroup, d *model.DesiredUpdates) {
	if r.failed[tg.Name] != nil || d.Place+d.Stop+d.Ignore+d.InPlaceUpdate+d.DestructiveUpdate+d.Canary+d.Disconnect+d.Reconnect > 0 {
		return
	}
	s := r.stack(r.job, tg)
	s.open()
	for _, o := range s.candidates.Ordinals {
		if s.group.Reason(o, r.draft.At(o)) == "" {
			return // it may run there, only not now
		}
	}
	m := s.frontier.Explain()
	s.pool(&m)
	s.metric = &m
	r.failed[tg.Name] = s.metric
}
