package httpapi

import (
	"net/http"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

func (r *request) agent() Agent { return r.s.cfg.Agent }

func agentSelf(r *request) (any, error) { return r.agent().Self(), nil }

func (r *request) status() *rpc.StatusRequest { return &rpc.StatusRequest{QueryOptions: r.read} }

func agentMembers(r *request) (any, error) {
	resp, err := rpc.StatusMembers.Call(r.ctx(), r.caller(), r.status())
	if err != nil {
		return nil, err
	}
	members := resp.Members
	if members == nil {
		members = []*rpc.Member{}
	}
	return struct {
		ServerName   string
		ServerRegion string
		ServerDC     string
		Members      []*rpc.Member
	}{r.agent().Name(), r.agent().Region(), r.agent().Datacenter(), members}, nil
}

// serverOnly refuses what only a server can do.
func (r *request) serverOnly() error {
	if !r.agent().IsServer() {
		return &statusError{http.StatusNotImplemented, "Invalid method"}
	}
	return nil
}

func agentJoin(r *request) (any, error) {
	if err := r.serverOnly(); err != nil {
		return nil, err
	}
	addrs := r.query["address"]
	if len(addrs) == 0 {
		return nil, badRequest("missing address to join")
	}
	n, err := r.agent().Join(addrs)
	out := struct {
		Error     string `json:"error"`
		NumJoined int    `json:"num_joined"`
		Warning   string `json:"warning"`
	}{NumJoined: n}
	if err != nil {
		out.Error = err.Error()
	}
	return out, nil
}

func agentForceLeave(r *request) (any, error) {
	if err := r.serverOnly(); err != nil {
		return nil, err
	}
	name := r.query.Get("node")
	if name == "" {
		return nil, badRequest("missing node to force leave")
	}
	prune, err := r.flag("prune")
	if err != nil {
		return nil, err
	}
	return nil, r.agent().ForceLeave(name, prune)
}

func agentServers(r *request) (any, error) {
	if r.s.cfg.Node == nil {
		return nil, &statusError{http.StatusNotImplemented, "Invalid method"}
	}
	return r.agent().Servers(), nil
}

func agentSetServers(r *request) (any, error) {
	if r.s.cfg.Node == nil {
		return nil, &statusError{http.StatusNotImplemented, "Invalid method"}
	}
	addrs := r.query["address"]
	if len(addrs) == 0 {
		return nil, badRequest("missing server address")
	}
	return nil, r.agent().SetServers(addrs)
}

// health is the state of one side of an agent.
type health struct {
	Ok      bool   `json:"ok"` //nolint:revive // the key of the API
	Message string `json:"message"`
}

func agentHealth(r *request) (any, error) {
	which := r.query.Get("type")
	out := map[string]health{}
	ok := true
	if r.agent().IsServer() && which != "client" {
		h := health{true, "ok"}
		resp, err := rpc.StatusLeader.Call(r.ctx(), r.caller(), r.status())
		if err != nil || resp.Leader == "" {
			h, ok = health{false, "No cluster leader"}, false
		}
		out["server"] = h
	}
	if r.s.cfg.Node != nil && which != "server" {
		h := health{true, "ok"}
		if !r.agent().IsServer() && len(r.agent().Servers()) == 0 {
			h, ok = health{false, "no known servers"}, false
		}
		out["client"] = h
	}
	if !ok {
		body, err := encode(out, false)
		if err != nil {
			return nil, err
		}
		return nil, &statusError{http.StatusInternalServerError, string(body)}
	}
	return out, nil
}

func agentReload(r *request) (any, error) { return nil, r.agent().Reload() }

// agentPlugins is Serai's own: the plugins of a node.
func agentPlugins(r *request) (any, error) {
	if r.s.cfg.Node == nil && r.query.Get("node_id") == "" {
		return []*model.PluginInfo{}, nil
	}
	n, done, err := r.nodeFor("")
	if done || err != nil {
		return nil, err
	}
	return n.Plugins(r.ctx())
}

func statusLeader(r *request) (any, error) {
	resp, err := rpc.StatusLeader.Call(r.ctx(), r.caller(), r.status())
	if err != nil {
		return nil, err
	}
	if resp.Leader == "" {
		return nil, model.ErrNoLeader
	}
	return resp.Leader, nil
}

func statusPeers(r *request) (any, error) {
	resp, err := rpc.StatusPeers.Call(r.ctx(), r.caller(), r.status())
	if err != nil {
		return nil, err
	}
	return resp.Peers, nil
}

func regionList(r *request) (any, error) {
	resp, err := rpc.StatusRegions.Call(r.ctx(), r.caller(), r.status())
	if err != nil {
		return nil, err
	}
	return resp.Regions, nil
}

func systemGC(r *request) (any, error) {
	_, err := rpc.SystemGC.Call(r.ctx(), r.caller(), &rpc.SystemRequest{WriteRequest: r.write()})
	return nil, err
}

func systemReconcile(r *request) (any, error) {
	_, err := rpc.SystemReconcile.Call(r.ctx(), r.caller(), &rpc.SystemRequest{WriteRequest: r.write()})
	return nil, err
}

func raftConfiguration(r *request) (any, error) {
	resp, err := rpc.OperatorRaftConfiguration.Call(r.ctx(), r.caller(), r.status())
	if err != nil {
		return nil, err
	}
	return struct {
		Index   uint64
		Servers []*rpc.RaftServer
	}{resp.Index, resp.Servers}, nil
}

func raftRemovePeer(r *request) (any, error) {
	if r.query.Has("address") {
		return nil, badRequest("removing a peer by address is not supported, use its id")
	}
	id := r.query.Get("id")
	if id == "" {
		return nil, badRequest("Must specify the peer's ID to remove")
	}
	_, err := rpc.OperatorRaftRemovePeer.Call(r.ctx(), r.caller(), &rpc.RaftRemovePeerRequest{WriteRequest: r.write(), ID: id})
	return nil, err
}

func schedulerConfig(r *request) (any, error) {
	resp, err := rpc.OperatorSchedulerConfig.Call(r.ctx(), r.caller(), r.status())
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	return struct {
		SchedulerConfig *model.SchedulerConfiguration
		Index           uint64
		LastContact     int64
		KnownLeader     bool
		NextToken       string
	}{resp.SchedulerConfig, resp.Index, int64(resp.LastContact), resp.KnownLeader, ""}, nil
}

func setSchedulerConfig(r *request) (any, error) {
	in := &rpc.SetSchedulerConfigRequest{WriteRequest: r.write(), Config: &model.SchedulerConfiguration{}}
	if err := r.decode(in.Config, false); err != nil {
		return nil, err
	}
	switch in.Config.SchedulerAlgorithm {
	case "", "binpack", "spread":
	default:
		return nil, badRequest("invalid scheduler algorithm: " + in.Config.SchedulerAlgorithm)
	}
	if cas := r.query.Get("cas"); cas != "" {
		var err error
		if in.Config.ModifyIndex, err = parseUint("cas", cas); err != nil {
			return nil, err
		}
		in.CAS = true
	}
	resp, err := rpc.OperatorSetSchedulerConfig.Call(r.ctx(), r.caller(), in)
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	return struct {
		Updated bool
		Index   uint64
	}{resp.Updated, resp.Index}, nil
}
