package server

import (
	"context"
	"net"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/state"
)

func (s *Server) handleStatus() {
	rpc.StatusLeader.Handle(s.mux, func(context.Context, *rpc.StatusRequest) (*rpc.StatusLeaderResponse, error) {
		leader, _ := (*topology)(s).Leader()
		return &rpc.StatusLeaderResponse{QueryMeta: s.localMeta(), Leader: leader}, nil
	})
	rpc.StatusPeers.Handle(s.mux, s.statusPeers)
	rpc.StatusPing.Handle(s.mux, func(context.Context, *rpc.StatusRequest) (*rpc.StatusPingResponse, error) {
		return &rpc.StatusPingResponse{QueryMeta: s.localMeta(), Name: s.cfg.Name, Region: s.cfg.Region, Version: s.cfg.Version}, nil
	})
	rpc.StatusMembers.Handle(s.mux, s.statusMembers)
	rpc.StatusRegions.Handle(s.mux, func(context.Context, *rpc.StatusRequest) (*rpc.StatusRegionsResponse, error) {
		return &rpc.StatusRegionsResponse{QueryMeta: s.localMeta(), Regions: (*topology)(s).regions()}, nil
	})
	rpc.SystemGC.Handle(s.mux, s.systemGC)
	rpc.SystemReconcile.Handle(s.mux, s.systemReconcile)
}

// localMeta is about an answer that only this server gives.
func (s *Server) localMeta() rpc.QueryMeta {
	leader, _ := (*topology)(s).Leader()
	return rpc.QueryMeta{Index: max(s.store.Index(), 1), KnownLeader: leader != "", LastContact: s.group.LastContact()}
}

func (s *Server) statusPeers(context.Context, *rpc.StatusRequest) (*rpc.StatusPeersResponse, error) {
	peers, _, err := s.group.Peers()
	if err != nil {
		return nil, err
	}
	resp := &rpc.StatusPeersResponse{QueryMeta: s.localMeta()}
	for _, p := range peers {
		resp.Peers = append(resp.Peers, s.peerAddr(p.Address))
	}
	return resp, nil
}

// peerAddr is a peer's address as others know it; alone in memory, a server has
// another one in its own Raft group.
func (s *Server) peerAddr(addr string) string {
	if s.cfg.Dev {
		return s.rpcAddr
	}
	return addr
}

func (s *Server) statusMembers(context.Context, *rpc.StatusRequest) (*rpc.StatusMembersResponse, error) {
	resp := &rpc.StatusMembersResponse{QueryMeta: s.localMeta()}
	for _, m := range s.memberList() {
		resp.Members = append(resp.Members, &rpc.Member{
			Name: m.Name, Addr: ipText(m.Addr), Port: m.Port, Tags: m.Tags, Status: m.Status,
			ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 2, DelegateMin: 2, DelegateMax: 5, DelegateCur: 4,
		})
	}
	return resp, nil
}

func ipText(ip net.IP) string {
	if ip == nil {
		return ""
	}
	return ip.String()
}

func (s *Server) systemGC(context.Context, *rpc.SystemRequest) (*rpc.WriteResponse, error) {
	l, err := s.leading()
	if err != nil {
		return nil, err
	}
	if err := l.collector.Collect(time.Now(), true); err != nil {
		return nil, err
	}
	return &rpc.WriteResponse{WriteMeta: rpc.WriteMeta{Index: s.store.Index()}}, nil
}

func (s *Server) systemReconcile(context.Context, *rpc.SystemRequest) (*rpc.WriteResponse, error) {
	index, _, err := s.apply(&fsm.ReconcileSummaries{})
	if err != nil {
		return nil, err
	}
	return &rpc.WriteResponse{WriteMeta: rpc.WriteMeta{Index: index}}, nil
}

func (s *Server) handleOperator() {
	rpc.OperatorRaftConfiguration.Handle(s.mux, s.raftConfiguration)
	rpc.OperatorSchedulerConfig.Handle(s.mux, s.schedulerConfig)
	rpc.OperatorSetSchedulerConfig.Handle(s.mux, s.setSchedulerConfig)
	rpc.OperatorRaftRemovePeer.Handle(s.mux, s.raftRemovePeer)
	rpc.OperatorTransferLeadership.Handle(s.mux, s.transferLeadership)
	rpc.NamespaceList.Handle(s.mux, s.namespaceList)
	rpc.NodePoolList.Handle(s.mux, s.nodePoolList)
}

func (s *Server) raftConfiguration(context.Context, *rpc.StatusRequest) (*rpc.RaftConfigurationResponse, error) {
	peers, index, err := s.group.Peers()
	if err != nil {
		return nil, err
	}
	resp := &rpc.RaftConfigurationResponse{}
	resp.Index = index
	for _, p := range peers {
		r := &rpc.RaftServer{
			ID: p.ID, Node: "(unknown)", Address: s.peerAddr(p.Address), Leader: p.Leader, Voter: p.Voter, RaftProtocol: "3",
		}
		for _, m := range s.memberList() {
			if m.Tag(tagID) == p.ID {
				r.Node = m.Name
			}
		}
		resp.Servers = append(resp.Servers, r)
	}
	return resp, nil
}

func (s *Server) schedulerConfig(context.Context, *rpc.StatusRequest) (*rpc.SchedulerConfigResponse, error) {
	c := s.store.Snapshot().SchedulerConfig(nil)
	resp := &rpc.SchedulerConfigResponse{SchedulerConfig: c}
	resp.Index = c.ModifyIndex
	return resp, nil
}

func (s *Server) setSchedulerConfig(_ context.Context, req *rpc.SetSchedulerConfigRequest) (*rpc.SetSchedulerConfigResponse, error) {
	if req.Config == nil {
		return nil, model.Errorf(model.ErrInvalid, "scheduler configuration is missing")
	}
	c := *req.Config
	switch c.SchedulerAlgorithm {
	case "":
		c.SchedulerAlgorithm = "binpack"
	case "binpack", "spread":
	default:
		return nil, model.Errorf(model.ErrInvalid, "invalid scheduler algorithm: %s", c.SchedulerAlgorithm)
	}
	index, answer, err := s.apply(&fsm.SchedulerConfig{Config: &c, CAS: req.CAS})
	if err != nil {
		return nil, err
	}
	return &rpc.SetSchedulerConfigResponse{WriteMeta: rpc.WriteMeta{Index: index}, Updated: answer.(bool)}, nil
}

func (s *Server) raftRemovePeer(_ context.Context, req *rpc.RaftRemovePeerRequest) (*rpc.WriteResponse, error) {
	if req.ID == "" {
		return nil, model.Errorf(model.ErrInvalid, "Must specify the peer's ID to remove")
	}
	peers, _, err := s.group.Peers()
	if err != nil {
		return nil, err
	}
	for _, p := range peers {
		if p.ID == req.ID {
			return &rpc.WriteResponse{}, s.group.Remove(req.ID)
		}
	}
	return nil, model.Errorf(model.ErrInvalid, "id %q was not found in the Raft configuration", req.ID)
}

func (s *Server) transferLeadership(_ context.Context, req *rpc.RaftRemovePeerRequest) (*rpc.WriteResponse, error) {
	if (req.ID == "") == (req.Address == "") {
		return nil, model.Errorf(model.ErrInvalid, "must specify id or address")
	}
	peers, _, err := s.group.Peers()
	if err != nil {
		return nil, err
	}
	for _, p := range peers {
		if p.ID == req.ID || p.Address == req.Address {
			if p.Leader {
				return &rpc.WriteResponse{}, nil
			}
			return &rpc.WriteResponse{}, s.group.Transfer(p.ID, p.Address)
		}
	}
	return nil, model.Errorf(model.ErrInvalid, "id %q, address %q was not found in the Raft configuration", req.ID, req.Address)
}

func (s *Server) namespaceList(ctx context.Context, q *rpc.NamedQuery) (*rpc.NamespaceListResponse, error) {
	resp := &rpc.NamespaceListResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Namespaces = []*model.Namespace{}
		if q.Name != "" {
			if n := snap.Namespace(ws, q.Name); n != nil {
				resp.Namespaces = append(resp.Namespaces, n)
				return n.ModifyIndex, nil
			}
			return snap.TableIndex(state.TableNamespaces), nil
		}
		for n := range snap.Namespaces(ws, q.Prefix) {
			resp.Namespaces = append(resp.Namespaces, n)
		}
		return snap.TableIndex(state.TableNamespaces), nil
	})
	return resp, err
}

func (s *Server) nodePoolList(ctx context.Context, q *rpc.NamedQuery) (*rpc.NodePoolListResponse, error) {
	resp := &rpc.NodePoolListResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Pools = []*model.NodePool{}
		if q.Name != "" {
			if p := snap.NodePool(ws, q.Name); p != nil {
				resp.Pools = append(resp.Pools, p)
				return p.ModifyIndex, nil
			}
			return snap.TableIndex(state.TableNodePools), nil
		}
		all := snap.NodePools(ws, q.Prefix)
		if q.Reverse {
			all = reversed(all)
		}
		token := func(p *model.NodePool) string { return p.Name }
		err := page(&q.QueryOptions, &resp.QueryMeta, all, token, func(p *model.NodePool) { resp.Pools = append(resp.Pools, p) })
		return snap.TableIndex(state.TableNodePools), err
	})
	return resp, err
}
