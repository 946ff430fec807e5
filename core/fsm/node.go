package fsm

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// RegisterNode registers a node or updates what it says of itself. It answers
// the stored *model.Node.
type RegisterNode struct {
	Node  *model.Node
	Event *model.NodeEvent    `msg:",omitempty"`
	Evals []*model.Evaluation `msg:",omitempty"`
}

// Kind says which command it is.
func (*RegisterNode) Kind() Kind { return KindRegisterNode }

func (c *RegisterNode) apply(t *state.Txn, index uint64) (any, error) {
	if old := t.Node(nil, c.Node.ID); old != nil && old.SecretID != c.Node.SecretID {
		return nil, model.Errorf(model.ErrDenied, "register node %s: node secret ID does not match", c.Node.ID)
	}
	n := t.UpsertNode(c.Node, c.Event)
	upsertNodeEvals(t, index, c.Evals)
	return n, nil
}

func upsertNodeEvals(t *state.Txn, index uint64, evals []*model.Evaluation) {
	for _, e := range evals {
		e.NodeModifyIndex = index
	}
	upsertEvals(t, evals)
}

// NodeStatus changes the status of a node.
type NodeStatus struct {
	NodeID      model.NodeID
	Status      string
	Description string
	UpdatedAt   int64               // Unix seconds
	Event       *model.NodeEvent    `msg:",omitempty"`
	Evals       []*model.Evaluation `msg:",omitempty"`
}

// Kind says which command it is.
func (*NodeStatus) Kind() Kind { return KindNodeStatus }

func (c *NodeStatus) apply(t *state.Txn, index uint64) (any, error) {
	if err := nodeExists(t, c.NodeID); err != nil {
		return nil, err
	}
	t.SetNodeStatus(c.NodeID, c.Status, c.Description, c.UpdatedAt, c.Event)
	upsertNodeEvals(t, index, c.Evals)
	return nil, nil
}

func nodeExists(t *state.Txn, id model.NodeID) error {
	if t.Node(nil, id) == nil {
		return model.Errorf(model.ErrNotFound, "node not found")
	}
	return nil
}

// NodeDrain starts, changes or (with a nil Drain) ends the drain of a node.
type NodeDrain struct {
	NodeID       model.NodeID
	Drain        *model.DrainStrategy `msg:",omitempty"`
	MarkEligible bool
	LastDrain    *model.DrainMetadata `msg:",omitempty"`
	Event        *model.NodeEvent     `msg:",omitempty"`
	Evals        []*model.Evaluation  `msg:",omitempty"`
}

// Kind says which command it is.
func (*NodeDrain) Kind() Kind { return KindNodeDrain }

func (c *NodeDrain) apply(t *state.Txn, index uint64) (any, error) {
	if err := nodeExists(t, c.NodeID); err != nil {
		return nil, err
	}
	t.SetNodeDrain(c.NodeID, c.Drain, c.MarkEligible, c.LastDrain, c.Event)
	upsertNodeEvals(t, index, c.Evals)
	return nil, nil
}

// NodeEligibility lets new allocations come to a node, or not.
type NodeEligibility struct {
	NodeID      model.NodeID
	Eligibility string
	Event       *model.NodeEvent    `msg:",omitempty"`
	Evals       []*model.Evaluation `msg:",omitempty"`
}

// Kind says which command it is.
func (*NodeEligibility) Kind() Kind { return KindNodeEligibility }

func (c *NodeEligibility) apply(t *state.Txn, index uint64) (any, error) {
	n := t.Node(nil, c.NodeID)
	if n == nil {
		return nil, nodeExists(t, c.NodeID)
	}
	if n.DrainStrategy != nil && c.Eligibility == model.NodeEligible {
		return nil, model.Errorf(model.ErrInvalid, "can not set node's scheduling eligibility to eligible while it is draining")
	}
	t.SetNodeEligibility(c.NodeID, c.Eligibility, c.Event)
	upsertNodeEvals(t, index, c.Evals)
	return nil, nil
}

// NodeEvents adds events to a node.
type NodeEvents struct {
	NodeID model.NodeID
	Events []*model.NodeEvent
}

// Kind says which command it is.
func (*NodeEvents) Kind() Kind { return KindNodeEvents }

func (c *NodeEvents) apply(t *state.Txn, _ uint64) (any, error) {
	t.AddNodeEvents(c.NodeID, c.Events)
	return nil, nil
}

// DeleteNodes forgets nodes.
type DeleteNodes struct {
	NodeIDs []model.NodeID
	Evals   []*model.Evaluation `msg:",omitempty"`
}

// Kind says which command it is.
func (*DeleteNodes) Kind() Kind { return KindDeleteNodes }

func (c *DeleteNodes) apply(t *state.Txn, index uint64) (any, error) {
	for _, id := range c.NodeIDs {
		t.DeleteNode(id)
	}
	upsertNodeEvals(t, index, c.Evals)
	return nil, nil
}
