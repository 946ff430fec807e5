package server

import (
	"context"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/state"
)

func (s *Server) handleNodes() {
	rpc.NodeRegister.Handle(s.mux, s.nodeRegister)
	rpc.NodeHeartbeat.Handle(s.mux, s.nodeHeartbeat)
	rpc.NodeEmitEvents.Handle(s.mux, s.nodeEmitEvents)
	rpc.NodeEvaluate.Handle(s.mux, s.nodeEvaluate)
	rpc.NodePurge.Handle(s.mux, s.nodePurge)
	rpc.NodeDrain.Handle(s.mux, s.nodeDrain)
	rpc.NodeEligibility.Handle(s.mux, s.nodeEligibility)
}

// nodeEvent makes an event of the cluster's.
func nodeEvent(subsystem, message string) *model.NodeEvent {
	return &model.NodeEvent{Subsystem: subsystem, Message: message, Timestamp: time.Now().UTC()}
}

// nodeEvals makes an evaluation for each job that a change of a node concerns:
// those with an allocation on it, and system jobs that may run on it.
func nodeEvals(snap *state.Snapshot, n *model.Node, trigger string) []*model.Evaluation {
	jobs := map[model.JobKey]bool{}
	var evals []*model.Evaluation
	add := func(job *model.Job) {
		if job == nil || jobs[job.Key()] {
			return
		}
		jobs[job.Key()] = true
		e := newEval(job, trigger, 0)
		e.NodeID, e.NodeModifyIndex = n.ID, n.ModifyIndex
		evals = append(evals, e)
	}
	for a := range snap.AllocsByNode(nil, n.ID) {
		job := snap.Job(nil, a.JobKey())
		if job == nil {
			job = a.Job // it was purged; its allocations are still to be stopped
		}
		switch {
		case job == nil, job.Type == model.JobTypeSysBatch:
		case job.Type == model.JobTypeBatch && a.ClientTerminal():
		case a.ServerTerminal() && a.ClientTerminal():
		default:
			add(job)
		}
	}
	for job := range snap.Jobs(nil, model.AllNamespaces, "") {
		if job.Type == model.JobTypeSystem && !job.Stop && cluster.InPool(n, job.NodePool) && cluster.InDatacenters(n, job.Datacenters) {
			add(job)
		}
	}
	return evals
}

func evalIDs(evals []*model.Evaluation) []model.EvalID {
	ids := make([]model.EvalID, len(evals))
	for i, e := range evals {
		ids[i] = e.ID
	}
	return ids
}

// nodeAnswer fills what every answer to a node tells.
func (s *Server) nodeAnswer(index uint64, evals []*model.Evaluation) *rpc.NodeUpdateResponse {
	resp := &rpc.NodeUpdateResponse{NodeModifyIndex: index, EvalIDs: evalIDs(evals)}
	resp.Index = index
	if len(evals) > 0 {
		resp.EvalCreateIndex = index
	}
	resp.LeaderRPCAddr, _ = (*topology)(s).Leader()
	resp.Servers = (*topology)(s).Servers(s.cfg.Region)
	return resp
}

func (s *Server) nodeRegister(_ context.Context, req *rpc.NodeRegisterRequest) (*rpc.NodeUpdateResponse, error) {
	l, err := s.leading()
	if err != nil {
		return nil, err
	}
	if req.Node == nil || req.Node.ID == "" || req.Node.SecretID == "" || req.Node.Name == "" || req.Node.Datacenter == "" {
		return nil, model.Errorf(model.ErrInvalid, "register node: ID, secret ID, name and datacenter must be set")
	}
	n := *req.Node
	n.ComputedClass = cluster.ComputeClass(&n)
	snap := s.store.Snapshot()
	old := snap.Node(nil, n.ID)
	c := &fsm.RegisterNode{Node: &n, Event: nodeEvent("Cluster", "Node registered")}
	if old != nil {
		if old.SecretID != n.SecretID {
			return nil, model.Errorf(model.ErrDenied, "node secret ID does not match")
		}
		c.Event = nodeEvent("Cluster", "Node re-registered")
		if old.Status == model.NodeStatusReady && (old.ComputedClass != n.ComputedClass || old.Datacenter != n.Datacenter || old.NodePool != n.NodePool) {
			c.Evals = nodeEvals(snap, &n, model.TriggerNodeUpdate)
		}
	}
	index, _, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	resp := s.nodeAnswer(index, c.Evals)
	resp.HeartbeatTTL = l.heartbeats.Beat(n.ID)
	return resp, nil
}

func (s *Server) nodeHeartbeat(_ context.Context, req *rpc.NodeHeartbeatRequest) (*rpc.NodeUpdateResponse, error) {
	l, err := s.leading()
	if err != nil {
		return nil, err
	}
	snap := s.store.Snapshot()
	n := snap.Node(nil, req.NodeID)
	if err := checkNode(n, req.NodeID, req.SecretID); err != nil {
		return nil, err
	}
	want := req.Status
	switch want {
	case model.NodeStatusInit, model.NodeStatusReady, model.NodeStatusDown:
	default:
		return nil, model.Errorf(model.ErrInvalid, "invalid status %q for node", req.Status)
	}
	held := want == model.NodeStatusReady && owesReport(snap, n, time.Now())
	if held {
		want = model.NodeStatusInit
	}
	var index uint64
	var evals []*model.Evaluation
	if want != n.Status {
		c := &fsm.NodeStatus{NodeID: n.ID, Status: want, UpdatedAt: time.Now().Unix()}
		if n.Status == model.NodeStatusDown {
			c.Event = nodeEvent("Cluster", "Node reregistered by heartbeat")
		}
		if want != model.NodeStatusInit || n.Status == model.NodeStatusDisconnected {
			c.Evals = nodeEvals(snap, n, model.TriggerNodeUpdate)
		}
		if index, _, err = s.apply(c); err != nil {
			return nil, err
		}
		evals = c.Evals
	}
	resp := s.nodeAnswer(index, evals)
	if want == model.NodeStatusDown {
		l.heartbeats.Forget(n.ID)
	} else {
		resp.HeartbeatTTL = l.heartbeats.Beat(n.ID)
	}
	if held {
		resp.HeartbeatTTL = min(resp.HeartbeatTTL, heldTTL)
	}
	return resp, nil
}

// A node that was away is held back from new allocations until it has told of
// those it had, but no longer than holdAtMost: it may have lost them. It is
// asked to come back within heldTTL.
const (
	holdAtMost = 5 * time.Second
	heldTTL    = time.Second
)

// owesReport reports whether a node that was away is still to tell what became
// of its allocations.
func owesReport(snap *state.Snapshot, n *model.Node, now time.Time) bool {
	if n.LastMissedHeartbeatIndex <= n.LastAllocUpdateIndex || n.Status == model.NodeStatusReady ||
		n.Status == model.NodeStatusInit && now.Sub(time.Unix(n.StatusUpdatedAt, 0)) > holdAtMost {
		return false
	}
	for a := range snap.AllocsByNode(nil, n.ID) {
		if a.ClientStatus == model.AllocClientLost || a.ClientStatus == model.AllocClientUnknown {
			return true
		}
	}
	return false
}

// nodeMissed has a node that went silent taken for lost, or for cut off while
// some of its allocations may stay so.
func (l *leadership) nodeMissed(ctx context.Context, id model.NodeID) {
	s := l.s
	snap := s.store.Snapshot()
	n := snap.Node(nil, id)
	if n == nil || n.Status == model.NodeStatusDown {
		return
	}
	now := time.Now()
	status, until := model.NodeStatusDown, time.Duration(0)
	if n.Status != model.NodeStatusDisconnected {
		for a := range snap.AllocsByNode(nil, id) {
			if g := a.Group(); !a.Terminal() && g != nil && g.Disconnect != nil && g.Disconnect.LostAfter > 0 {
				status, until = model.NodeStatusDisconnected, max(until, g.Disconnect.LostAfter)
			}
		}
	}
	s.log.Warn("node missed its heartbeat", "node", id, "status", status)
	_, _, err := s.apply(&fsm.NodeStatus{
		NodeID: id, Status: status, UpdatedAt: now.Unix(), Event: nodeEvent("Cluster", "Node heartbeat missed"),
		Evals: nodeEvals(snap, n, model.TriggerNodeUpdate),
	})
	switch {
	case err != nil && ctx.Err() == nil:
		s.log.Warn("status of a silent node is not changed", "node", id, "error", err)
		l.heartbeats.Expect(id, time.Second)
	case status == model.NodeStatusDisconnected:
		l.heartbeats.Expect(id, until)
	}
}

func (s *Server) nodeEmitEvents(_ context.Context, req *rpc.NodeEventsRequest) (*rpc.WriteResponse, error) {
	if err := checkNode(s.store.Snapshot().Node(nil, req.NodeID), req.NodeID, req.SecretID); err != nil {
		return nil, err
	}
	index, _, err := s.apply(&fsm.NodeEvents{NodeID: req.NodeID, Events: req.Events})
	if err != nil {
		return nil, err
	}
	return &rpc.WriteResponse{WriteMeta: rpc.WriteMeta{Index: index}}, nil
}

// findNode finds the node that a user's request names.
func (s *Server) findNode(id model.NodeID) (*state.Snapshot, *model.Node, error) {
	snap := s.store.Snapshot()
	n := snap.Node(nil, id)
	if n == nil {
		return nil, nil, model.Errorf(model.ErrInvalid, "node not found")
	}
	return snap, n, nil
}

func (s *Server) nodeEvaluate(_ context.Context, req *rpc.NodeRequest) (*rpc.NodeUpdateResponse, error) {
	snap, n, err := s.findNode(req.NodeID)
	if err != nil {
		return nil, err
	}
	evals := nodeEvals(snap, n, model.TriggerNodeUpdate)
	if len(evals) == 0 {
		return s.nodeAnswer(n.ModifyIndex, nil), nil
	}
	index, _, err := s.apply(&fsm.UpdateEvals{Evals: evals})
	if err != nil {
		return nil, err
	}
	resp := s.nodeAnswer(index, evals)
	resp.NodeModifyIndex = n.ModifyIndex
	return resp, nil
}

func (s *Server) nodePurge(_ context.Context, req *rpc.NodeRequest) (*rpc.NodeUpdateResponse, error) {
	snap, n, err := s.findNode(req.NodeID)
	if err != nil {
		return nil, err
	}
	c := &fsm.DeleteNodes{NodeIDs: []model.NodeID{n.ID}, Evals: nodeEvals(snap, n, model.TriggerNodeUpdate)}
	index, _, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	return s.nodeAnswer(index, c.Evals), nil
}

func (s *Server) nodeDrain(_ context.Context, req *rpc.NodeDrainRequest) (*rpc.NodeUpdateResponse, error) {
	snap, n, err := s.findNode(req.NodeID)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	c := &fsm.NodeDrain{NodeID: n.ID, MarkEligible: req.MarkEligible}
	switch {
	case req.Spec != nil:
		d := *req.Spec
		d.StartedAt, d.ForceDeadline = now, time.Time{}
		c.Event = nodeEvent("Drain", "Node drain strategy set")
		if n.DrainStrategy != nil {
			d.StartedAt = n.DrainStrategy.StartedAt
			c.Event = nodeEvent("Drain", "Node drain strategy updated")
		}
		if d.Deadline > 0 {
			d.ForceDeadline = now.Add(d.Deadline)
		}
		c.Drain = &d
		c.LastDrain = &model.DrainMetadata{StartedAt: d.StartedAt, UpdatedAt: now, Status: "draining", Meta: req.Meta}
	case n.DrainStrategy != nil:
		c.Event = nodeEvent("Drain", "Node drain disabled")
		c.LastDrain = &model.DrainMetadata{StartedAt: n.DrainStrategy.StartedAt, UpdatedAt: now, Status: "canceled", Meta: req.Meta}
		if req.MarkEligible {
			c.Evals = nodeEvals(snap, n, model.TriggerNodeUpdate)
		}
	case req.MarkEligible && n.SchedulingEligibility != model.NodeEligible:
		c.Event = nodeEvent("Cluster", "Node marked as eligible for scheduling")
		c.Evals = nodeEvals(snap, n, model.TriggerNodeUpdate)
	}
	index, _, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	return s.nodeAnswer(index, c.Evals), nil
}

func (s *Server) nodeEligibility(_ context.Context, req *rpc.NodeEligibilityRequest) (*rpc.NodeUpdateResponse, error) {
	snap, n, err := s.findNode(req.NodeID)
	if err != nil {
		return nil, err
	}
	c := &fsm.NodeEligibility{NodeID: n.ID, Eligibility: req.Eligibility}
	switch req.Eligibility {
	case n.SchedulingEligibility:
		return s.nodeAnswer(n.ModifyIndex, nil), nil
	case model.NodeEligible:
		c.Event = nodeEvent("Cluster", "Node marked as eligible for scheduling")
		c.Evals = nodeEvals(snap, n, model.TriggerNodeUpdate)
	case model.NodeIneligible:
		c.Event = nodeEvent("Cluster", "Node marked as ineligible for scheduling")
	default:
		return nil, model.Errorf(model.ErrInvalid, "invalid scheduling eligibility %q", req.Eligibility)
	}
	index, _, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	return s.nodeAnswer(index, c.Evals), nil
}
