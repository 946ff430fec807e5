package rpc

import "github.com/seraiproject/serai/core/model"

// Calls about the servers themselves and the region's settings.
var (
	StatusLeader    = method[*StatusRequest, *StatusLeaderResponse]("Status.Leader", Local)
	StatusPeers     = method[*StatusRequest, *StatusPeersResponse]("Status.Peers", Local)
	StatusPing      = method[*StatusRequest, *StatusPingResponse]("Status.Ping", Local)
	StatusMembers   = method[*StatusRequest, *StatusMembersResponse]("Status.Members", Local)
	StatusRegions   = method[*StatusRequest, *StatusRegionsResponse]("Status.Regions", Local)
	SystemGC        = method[*SystemRequest, *WriteResponse]("System.GC", Write)
	SystemReconcile = method[*SystemRequest, *WriteResponse]("System.ReconcileSummaries", Write)

	OperatorRaftConfiguration  = method[*StatusRequest, *RaftConfigurationResponse]("Operator.RaftConfiguration", Read)
	OperatorSchedulerConfig    = method[*StatusRequest, *SchedulerConfigResponse]("Operator.SchedulerConfig", Read)
	OperatorSetSchedulerConfig = method[*SetSchedulerConfigRequest, *SetSchedulerConfigResponse]("Operator.SetSchedulerConfig", Write)
	OperatorRaftRemovePeer     = method[*RaftRemovePeerRequest, *WriteResponse]("Operator.RaftRemovePeer", Write)
	OperatorTransferLeadership = method[*RaftRemovePeerRequest, *WriteResponse]("Operator.TransferLeadership", Write)
	NamespaceList              = method[*NamedQuery, *NamespaceListResponse]("Namespace.List", Read)
	NodePoolList               = method[*NamedQuery, *NodePoolListResponse]("NodePool.List", Read)
)

// StatusRequest asks a server about itself.
type StatusRequest struct {
	QueryOptions
}

// StatusLeaderResponse is the leader's RPC address; empty when there is none.
type StatusLeaderResponse struct {
	QueryMeta
	Leader string
}

// StatusPeersResponse lists the Raft peers' RPC addresses.
type StatusPeersResponse struct {
	QueryMeta
	Peers []string `msg:",allownil"`
}

// StatusPingResponse says that the server is there.
type StatusPingResponse struct {
	QueryMeta
	Name    string
	Region  string
	Version string
}

// StatusRegionsResponse lists the regions that are known, sorted.
type StatusRegionsResponse struct {
	QueryMeta
	Regions []string `msg:",allownil"`
}

// Member is a server as gossip knows it.
type Member struct {
	Name        string
	Addr        string // IP
	Port        uint16
	Tags        map[string]string `msg:",allownil"`
	Status      string            // alive, leaving, left, failed
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
}

// StatusMembersResponse lists the servers of all known regions.
type StatusMembersResponse struct {
	QueryMeta
	Members []*Member `msg:",allownil"`
}

// SystemRequest starts housekeeping.
type SystemRequest struct {
	WriteRequest
}

// RaftServer is a member of the Raft group.
type RaftServer struct {
	ID           string
	Node         string // name
	Address      string
	Leader       bool
	Voter        bool
	RaftProtocol string
}

// RaftConfigurationResponse lists the Raft group.
type RaftConfigurationResponse struct {
	QueryMeta
	Servers []*RaftServer `msg:",allownil"`
}

// RaftRemovePeerRequest removes or promotes a peer by ID or address.
type RaftRemovePeerRequest struct {
	WriteRequest
	ID      string
	Address string
}

// SchedulerConfigResponse answers with the scheduler's configuration.
type SchedulerConfigResponse struct {
	QueryMeta
	SchedulerConfig *model.SchedulerConfiguration
}

// SetSchedulerConfigRequest replaces the scheduler's configuration.
type SetSchedulerConfigRequest struct {
	WriteRequest
	Config *model.SchedulerConfiguration
	CAS    bool // only if Config.ModifyIndex is still the stored one
}

// SetSchedulerConfigResponse says if it was replaced.
type SetSchedulerConfigResponse struct {
	WriteMeta
	Updated bool
}

// NamedQuery reads objects by name; an empty name lists all.
type NamedQuery struct {
	QueryOptions
	Name string
}

// NamespaceListResponse lists namespaces.
type NamespaceListResponse struct {
	QueryMeta
	Namespaces []*model.Namespace `msg:",allownil"`
}

// NodePoolListResponse lists node pools.
type NodePoolListResponse struct {
	QueryMeta
	Pools []*model.NodePool `msg:",allownil"`
}
