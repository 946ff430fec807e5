package rpc

import (
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Calls about nodes, and the calls of nodes.
var (
	// NodeRegister tells the servers of a node, at start and whenever its
	// fingerprint changes. Status is set by NodeHeartbeat.
	NodeRegister  = method[*NodeRegisterRequest, *NodeUpdateResponse]("Node.Register", Write)
	NodeHeartbeat = method[*NodeHeartbeatRequest, *NodeUpdateResponse]("Node.Heartbeat", Write)
	// NodeWatch streams to a node what it has to run. The first message is
	// complete; later ones hold what changed.
	NodeWatch = streamMethod[*NodeWatchRequest, *NodeWatchUpdate]("Node.Watch", Read)

	NodeEmitEvents  = method[*NodeEventsRequest, *WriteResponse]("Node.EmitEvents", Write)
	NodeList        = method[*NodeListRequest, *NodeListResponse]("Node.List", Read)
	NodeGet         = method[*NodeQuery, *NodeResponse]("Node.Get", Read)
	NodeAllocations = method[*NodeQuery, *NodeAllocsResponse]("Node.Allocations", Read)
	NodeEvaluate    = method[*NodeRequest, *NodeUpdateResponse]("Node.Evaluate", Write)
	NodePurge       = method[*NodeRequest, *NodeUpdateResponse]("Node.Purge", Write)
	NodeDrain       = method[*NodeDrainRequest, *NodeUpdateResponse]("Node.Drain", Write)
	NodeEligibility = method[*NodeEligibilityRequest, *NodeUpdateResponse]("Node.Eligibility", Write)
)

// NodeRegisterRequest tells of a node. Node.SecretID must be the one it first
// registered with.
type NodeRegisterRequest struct {
	WriteRequest
	Node *model.Node
}

// NodeHeartbeatRequest keeps a node alive and sets its status.
type NodeHeartbeatRequest struct {
	WriteRequest
	NodeID   model.NodeID
	SecretID string
	Status   string // model.NodeStatusReady, …Init or …Down (on leaving)
}

// NodeUpdateResponse answers a node. The node must call NodeHeartbeat again
// within HeartbeatTTL, or it is taken for lost.
type NodeUpdateResponse struct {
	WriteMeta
	HeartbeatTTL    time.Duration
	EvalIDs         []model.EvalID `msg:",allownil"`
	EvalCreateIndex uint64
	NodeModifyIndex uint64
	LeaderRPCAddr   string
	Servers         []string `msg:",allownil"` // RPC addresses of all servers
}

// NodeWatchRequest opens the stream of a node.
type NodeWatchRequest struct {
	QueryOptions
	NodeID   model.NodeID
	SecretID string
}

// NodeWatchUpdate is what a node has to run. The Job of each allocation is
// left out; Jobs holds each version once (match Namespace, ID and Version with
// the allocation's Namespace, JobID and JobVersion). Only allocations whose
// AllocModifyIndex grew are sent, and those that the node can forget are in
// Removed.
type NodeWatchUpdate struct {
	Index    uint64
	Complete bool                // Allocs is all there is; what is not in it can be forgotten
	Allocs   []*model.Allocation `msg:",allownil"`
	Jobs     []*model.Job        `msg:",allownil"`
	Removed  []model.AllocID     `msg:",allownil"`
}

// NodeEventsRequest adds events to a node.
type NodeEventsRequest struct {
	WriteRequest
	NodeID   model.NodeID
	SecretID string
	Events   []*model.NodeEvent `msg:",allownil"`
}

// NodeListRequest lists nodes.
type NodeListRequest struct {
	QueryOptions
	Resources  bool // include NodeResources and ReservedResources
	Attributes bool // include Attributes ("os" in the API)
}

// NodeListResponse lists nodes.
type NodeListResponse struct {
	QueryMeta
	Nodes []*model.NodeListStub `msg:",allownil"`
}

// NodeQuery reads something about one node. The ID is complete.
type NodeQuery struct {
	QueryOptions
	NodeID model.NodeID
}

// NodeResponse answers with a node; nil when there is none.
type NodeResponse struct {
	QueryMeta
	Node *model.Node
}

// NodeAllocsResponse answers with a node's allocations.
type NodeAllocsResponse struct {
	QueryMeta
	Allocs []*model.Allocation `msg:",allownil"`
}

// NodeRequest is a write about one node.
type NodeRequest struct {
	WriteRequest
	NodeID model.NodeID
}

// NodeDrainRequest starts or (with a nil Spec) ends a drain.
type NodeDrainRequest struct {
	WriteRequest
	NodeID       model.NodeID
	Spec         *model.DrainStrategy
	MarkEligible bool
	Meta         map[string]string `msg:",allownil"`
}

// NodeEligibilityRequest lets new allocations come to a node, or not.
type NodeEligibilityRequest struct {
	WriteRequest
	NodeID      model.NodeID
	Eligibility string
}
