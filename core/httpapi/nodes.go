package httpapi

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

func nodeList(r *request) (any, error) {
	in := &rpc.NodeListRequest{QueryOptions: r.read}
	var err error
	if in.Resources, err = r.flag("resources"); err != nil {
		return nil, err
	}
	if in.Attributes, err = r.flag("os"); err != nil {
		return nil, err
	}
	resp, err := rpc.NodeList.Call(r.ctx(), r.caller(), in)
	if err != nil {
		return nil, filterErr(err)
	}
	r.meta(&resp.QueryMeta)
	return r.list(resp.Index, resp.Nodes)
}

func (r *request) nodeQuery() *rpc.NodeQuery {
	return &rpc.NodeQuery{QueryOptions: r.read, NodeID: model.NodeID(r.id)}
}

func nodeRead(r *request) (any, error) {
	if err := r.uuid("node"); err != nil {
		return nil, err
	}
	resp, err := rpc.NodeGet.Call(r.ctx(), r.caller(), r.nodeQuery())
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if resp.Node == nil {
		return nil, notFound("node not found")
	}
	shown := *resp.Node
	shown.SecretID = ""
	return &shown, nil
}

func nodeAllocations(r *request) (any, error) {
	if err := r.uuid("node"); err != nil {
		return nil, err
	}
	resp, err := rpc.NodeAllocations.Call(r.ctx(), r.caller(), r.nodeQuery())
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	views := make([]*allocView, len(resp.Allocs))
	for i, a := range resp.Allocs {
		views[i] = viewAlloc(a)
	}
	return views, nil
}

// nodeAnswer is the body of answers to node evaluate and purge.
type nodeAnswer struct {
	EvalIDs               []model.EvalID
	EvalCreateIndex       uint64
	NodeModifyIndex       uint64
	HeartbeatTTL          int64
	LeaderRPCAddr         string
	NumNodes              int32
	Servers               []nodeServer
	SchedulingEligibility string
	Features              uint64
	Index                 uint64
	LastContact           int64
	KnownLeader           bool
	NextToken             string
}

// nodeServer is a server as nodes are told of it.
type nodeServer struct {
	RPCAdvertiseAddr string
	RPCMajorVersion  int32
	RPCMinorVersion  int32
	Datacenter       string
}

func (r *request) nodeAnswer(resp *rpc.NodeUpdateResponse, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	a := nodeAnswer{
		EvalIDs: resp.EvalIDs, EvalCreateIndex: resp.EvalCreateIndex, NodeModifyIndex: resp.NodeModifyIndex,
		HeartbeatTTL: int64(resp.HeartbeatTTL), LeaderRPCAddr: resp.LeaderRPCAddr, Index: resp.Index,
	}
	for _, s := range resp.Servers {
		a.Servers = append(a.Servers, nodeServer{RPCAdvertiseAddr: s})
	}
	return a, nil
}

func (r *request) nodeWrite() *rpc.NodeRequest {
	return &rpc.NodeRequest{WriteRequest: r.write(), NodeID: model.NodeID(r.id)}
}

func nodeEvaluate(r *request) (any, error) {
	return r.nodeAnswer(rpc.NodeEvaluate.Call(r.ctx(), r.caller(), r.nodeWrite()))
}

func nodePurge(r *request) (any, error) {
	return r.nodeAnswer(rpc.NodePurge.Call(r.ctx(), r.caller(), r.nodeWrite()))
}

func (r *request) nodeChange(resp *rpc.NodeUpdateResponse, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	return struct {
		NodeModifyIndex uint64
		EvalIDs         []model.EvalID
		EvalCreateIndex uint64
		Index           uint64
	}{resp.NodeModifyIndex, resp.EvalIDs, resp.EvalCreateIndex, resp.Index}, nil
}

func nodeDrain(r *request) (any, error) {
	var in struct {
		DrainSpec    *model.DrainStrategy
		MarkEligible bool
		Meta         map[string]string
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	return r.nodeChange(rpc.NodeDrain.Call(r.ctx(), r.caller(), &rpc.NodeDrainRequest{
		WriteRequest: r.write(), NodeID: model.NodeID(r.id), Spec: in.DrainSpec, MarkEligible: in.MarkEligible, Meta: in.Meta,
	}))
}

func nodeEligibility(r *request) (any, error) {
	var in struct{ Eligibility string }
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	return r.nodeChange(rpc.NodeEligibility.Call(r.ctx(), r.caller(), &rpc.NodeEligibilityRequest{
		WriteRequest: r.write(), NodeID: model.NodeID(r.id), Eligibility: in.Eligibility,
	}))
}

func nodePoolList(r *request) (any, error) {
	resp, err := rpc.NodePoolList.Call(r.ctx(), r.caller(), &rpc.NamedQuery{QueryOptions: r.read})
	if err != nil {
		return nil, filterErr(err)
	}
	r.meta(&resp.QueryMeta)
	return resp.Pools, nil
}

func nodePoolRead(r *request) (any, error) {
	resp, err := rpc.NodePoolList.Call(r.ctx(), r.caller(), &rpc.NamedQuery{QueryOptions: r.read, Name: r.id})
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if len(resp.Pools) == 0 {
		return nil, notFound("node pool not found")
	}
	return resp.Pools[0], nil
}

func namespaceList(r *request) (any, error) {
	resp, err := rpc.NamespaceList.Call(r.ctx(), r.caller(), &rpc.NamedQuery{QueryOptions: r.read})
	if err != nil {
		return nil, filterErr(err)
	}
	r.meta(&resp.QueryMeta)
	return resp.Namespaces, nil
}

func namespaceRead(r *request) (any, error) {
	resp, err := rpc.NamespaceList.Call(r.ctx(), r.caller(), &rpc.NamedQuery{QueryOptions: r.read, Name: r.id})
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if len(resp.Namespaces) == 0 {
		return nil, notFound("Namespace not found")
	}
	return resp.Namespaces[0], nil
}
