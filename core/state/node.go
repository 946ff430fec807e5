package state

import (
	"iter"

	"github.com/seraiproject/serai/core/model"
)

// Node returns a node, or nil.
func (s *Snapshot) Node(ws WatchSet, id model.NodeID) *model.Node {
	n, _ := first[*model.Node](s, ws, TableNodes, byID, key1(string(id)))
	return n
}

// Nodes returns the nodes whose ID starts with prefix, by ID.
func (s *Snapshot) Nodes(ws WatchSet, prefix string) iter.Seq[*model.Node] {
	return rows[*model.Node](s, ws, TableNodes, byID, prefix1(prefix))
}

// UpsertNode registers a node. A new node is initializing and eligible; a known
// one keeps what the servers decide: status, drain, eligibility and events. It
// returns the stored node. A pool that does not exist is made.
func (t *Txn) UpsertNode(n *model.Node, event *model.NodeEvent) *model.Node {
	old := t.Node(nil, n.ID)
	next := *n
	next.ModifyIndex = t.now
	if old == nil {
		next.CreateIndex = t.now
		next.Status = model.NodeStatusInit
		if next.SchedulingEligibility == "" {
			next.SchedulingEligibility = model.NodeEligible
		}
		next.Events = nil
		t.addEvent(&next, event)
	} else {
		next.CreateIndex = old.CreateIndex
		next.Status, next.StatusDescription, next.StatusUpdatedAt = old.Status, old.StatusDescription, old.StatusUpdatedAt
		next.Drain, next.DrainStrategy, next.LastDrain = old.Drain, old.DrainStrategy, old.LastDrain
		next.SchedulingEligibility = old.SchedulingEligibility
		next.Events = old.Events
		next.LastAllocUpdateIndex, next.LastMissedHeartbeatIndex = old.LastAllocUpdateIndex, old.LastMissedHeartbeatIndex
		if old.Status == model.NodeStatusDown {
			t.addEvent(&next, event)
		}
	}
	if next.NodePool == "" {
		next.NodePool = model.DefaultNodePool
	}
	if t.NodePool(nil, next.NodePool) == nil {
		t.put(TableNodePools, &model.NodePool{Name: next.NodePool, CreateIndex: t.now, ModifyIndex: t.now})
	}
	t.putNode(old, &next)
	return &next
}

// SetNodeStatus changes the status of a node, if it is there. at is in Unix
// seconds.
func (t *Txn) SetNodeStatus(id model.NodeID, status, description string, at int64, event *model.NodeEvent) {
	old := t.Node(nil, id)
	if old == nil {
		return
	}
	next := *old
	if status == model.NodeStatusDown || status == model.NodeStatusDisconnected {
		next.LastMissedHeartbeatIndex = t.now
	}
	next.Status, next.StatusDescription, next.StatusUpdatedAt = status, description, at
	t.addEvent(&next, event)
	t.putNode(old, &next)
}

// SetNodeDrain sets or (with nil) ends the drain of a node, if it is there. The
// node becomes ineligible; ending a drain makes it eligible if asked.
func (t *Txn) SetNodeDrain(id model.NodeID, drain *model.DrainStrategy, markEligible bool, last *model.DrainMetadata, event *model.NodeEvent) {
	old := t.Node(nil, id)
	if old == nil {
		return
	}
	next := *old
	next.DrainStrategy, next.Drain = drain, drain != nil
	if drain != nil {
		next.SchedulingEligibility = model.NodeIneligible
	} else if markEligible {
		next.SchedulingEligibility = model.NodeEligible
	}
	if last != nil {
		next.LastDrain = last
	}
	t.addEvent(&next, event)
	t.putNode(old, &next)
}

// SetNodeEligibility lets new allocations come to a node, or not.
func (t *Txn) SetNodeEligibility(id model.NodeID, eligibility string, event *model.NodeEvent) {
	old := t.Node(nil, id)
	if old == nil {
		return
	}
	next := *old
	next.SchedulingEligibility = eligibility
	t.addEvent(&next, event)
	t.putNode(old, &next)
}

// AddNodeEvents appends events to a node, if it is there.
func (t *Txn) AddNodeEvents(id model.NodeID, events []*model.NodeEvent) {
	old := t.Node(nil, id)
	if old == nil {
		return
	}
	next := *old
	for _, e := range events {
		t.addEvent(&next, e)
	}
	t.putNode(old, &next)
}

// NodeReported notes that a node told of its allocations after it was away.
func (t *Txn) NodeReported(id model.NodeID) {
	old := t.Node(nil, id)
	if old == nil || old.LastAllocUpdateIndex > old.LastMissedHeartbeatIndex || old.LastMissedHeartbeatIndex == 0 {
		return
	}
	next := *old
	next.LastAllocUpdateIndex = t.now
	t.putNode(old, &next)
}

// DeleteNode forgets a node, if it is there.
func (t *Txn) DeleteNode(id model.NodeID) {
	old := t.Node(nil, id)
	if old == nil {
		return
	}
	t.remove(TableNodes, old)
	t.changeNode(old, nil)
	t.changes.Nodes = append(t.changes.Nodes, Change[model.Node]{old, nil})
}

func (t *Txn) putNode(old, next *model.Node) {
	next.ModifyIndex = t.now
	t.put(TableNodes, next)
	t.changeNode(old, next)
	t.changes.Nodes = append(t.changes.Nodes, Change[model.Node]{old, next})
}

// addEvent appends an event to a node that is being changed; the oldest go.
func (t *Txn) addEvent(n *model.Node, e *model.NodeEvent) {
	if e == nil {
		return
	}
	event := *e
	event.CreateIndex = t.now
	events := append(n.Events[:len(n.Events):len(n.Events)], &event)
	if extra := len(events) - model.MaxNodeEvents; extra > 0 {
		events = events[extra:]
	}
	n.Events = events
}
