package server

import (
	"context"
	"slices"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/state"
)

func (s *Server) handleNodeReads() {
	rpc.NodeList.Handle(s.mux, s.nodeList)
	rpc.NodeGet.Handle(s.mux, s.nodeGet)
	rpc.NodeAllocations.Handle(s.mux, s.nodeAllocations)
	rpc.NodeWatch.Handle(s.mux, s.nodeWatch)
}

// shown is a node without its secret.
func shown(n *model.Node) *model.Node {
	c := *n
	c.SecretID = ""
	return &c
}

func (s *Server) nodeList(ctx context.Context, q *rpc.NodeListRequest) (*rpc.NodeListResponse, error) {
	prefix, err := uuidPrefix(q.Prefix)
	if err != nil {
		return nil, err
	}
	resp := &rpc.NodeListResponse{}
	err = s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Nodes = []*model.NodeListStub{}
		all := snap.Nodes(ws, prefix)
		if q.Reverse {
			all = reversed(all)
		}
		token := func(n *model.Node) string { return string(n.ID) }
		err := page(&q.QueryOptions, &resp.QueryMeta, all, token, func(n *model.Node) {
			resp.Nodes = append(resp.Nodes, nodeStub(n, q))
		})
		return snap.TableIndex(state.TableNodes), err
	})
	return resp, err
}

func nodeStub(n *model.Node, q *rpc.NodeListRequest) *model.NodeListStub {
	stub := &model.NodeListStub{
		ID: n.ID, Address: n.Attributes["unique.network.ip-address"], Datacenter: n.Datacenter, Name: n.Name,
		NodeClass: n.NodeClass, NodePool: n.NodePool, Version: n.Attributes["nomad.version"], Drain: n.DrainStrategy != nil,
		SchedulingEligibility: n.SchedulingEligibility, Status: n.Status, StatusDescription: n.StatusDescription,
		Drivers: n.Drivers, HostVolumes: n.HostVolumes, LastDrain: n.LastDrain,
		CreateIndex: n.CreateIndex, ModifyIndex: n.ModifyIndex,
	}
	if q.Resources {
		stub.NodeResources, stub.ReservedResources = n.NodeResources, n.ReservedResources
	}
	if q.Attributes {
		stub.Attributes = map[string]string{"os.name": n.Attributes["os.name"]}
	}
	return stub
}

func (s *Server) nodeGet(ctx context.Context, q *rpc.NodeQuery) (*rpc.NodeResponse, error) {
	resp := &rpc.NodeResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		n := snap.Node(ws, q.NodeID)
		if n == nil {
			resp.Node = nil
			return snap.TableIndex(state.TableNodes), nil
		}
		resp.Node = shown(n)
		return n.ModifyIndex, nil
	})
	return resp, err
}

func (s *Server) nodeAllocations(ctx context.Context, q *rpc.NodeQuery) (*rpc.NodeAllocsResponse, error) {
	resp := &rpc.NodeAllocsResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Allocs = []*model.Allocation{}
		index := uint64(0)
		for a := range snap.AllocsByNode(ws, q.NodeID) {
			resp.Allocs = append(resp.Allocs, a)
			index = max(index, a.ModifyIndex)
		}
		slices.SortFunc(resp.Allocs, func(a, b *model.Allocation) int { return compareIndex(a.CreateIndex, b.CreateIndex) })
		return objectIndex(snap, index, index > 0, state.TableAllocs), nil
	})
	return resp, err
}

// jobVersion identifies a version of a job; an ID may be of one job after
// another.
type jobVersion struct {
	key     model.JobKey
	version uint64
	created uint64
	changed uint64
}

// nodeWatch sends a node what it has to run: all of it, and then what changes.
// It wakes when something of the node changes, and never looks otherwise.
func (s *Server) nodeWatch(ctx context.Context, req *rpc.NodeWatchRequest, send func(*rpc.NodeWatchUpdate) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()

	if err := s.awaitNode(ctx, req.NodeID); err != nil {
		return err
	}
	known := map[model.AllocID]uint64{} // AllocModifyIndex as sent
	for first := true; ; first = false {
		ws := state.NewWatchSet()
		snap := s.store.Watch(ws)
		n := snap.Node(nil, req.NodeID)
		if n == nil && !first {
			return model.Errorf(model.ErrNotFound, "node %s not found; it must register again", req.NodeID)
		}
		if err := checkNode(n, req.NodeID, req.SecretID); err != nil {
			return err
		}
		update := watchUpdate(ws, snap, req.NodeID, known)
		update.Complete = first
		if first || len(update.Allocs)+len(update.Removed) > 0 {
			if err := send(update); err != nil {
				return err
			}
		}
		snap.Node(ws, req.NodeID) // gone: the node must know
		if err := ws.WatchCtx(ctx); err != nil {
			if s.ctx.Err() != nil {
				return model.Errorf(model.ErrUnavailable, "the server is stopping")
			}
			return err
		}
	}
}

// replicationWait is how long a follower waits for what the leader has told
// a node that it wrote.
const replicationWait = 5 * time.Second

// awaitNode waits until a node that registered with the leader just now is
// known here as well. A node that does not come is for the caller to find.
func (s *Server) awaitNode(ctx context.Context, id model.NodeID) error {
	return s.store.Block(ctx, 1, replicationWait, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		if snap.Node(ws, id) == nil {
			return 0, nil
		}
		return 2, nil
	})
}

// watchUpdate gathers what changed for a node since it was told of known, and
// notes that it is told now.
func watchUpdate(ws state.WatchSet, snap *state.Snapshot, id model.NodeID, known map[model.AllocID]uint64) *rpc.NodeWatchUpdate {
	update := &rpc.NodeWatchUpdate{Index: snap.Index()}
	jobs := map[jobVersion]bool{}
	there := 0
	for a := range snap.AllocsByNode(ws, id) {
		told, ok := known[a.ID]
		if ok {
			there++
		}
		if ok && told >= a.AllocModifyIndex {
			continue
		}
		known[a.ID] = a.AllocModifyIndex
		if !ok {
			there++
		}
		bare := *a
		bare.Job = nil
		update.Allocs = append(update.Allocs, &bare)
		if j := a.Job; j != nil {
			v := jobVersion{j.Key(), j.Version, j.CreateIndex, j.JobModifyIndex}
			if !jobs[v] {
				jobs[v] = true
				update.Jobs = append(update.Jobs, j)
			}
		}
	}
	if there == len(known) {
		return update
	}
	for alloc := range known {
		if a := snap.Alloc(nil, alloc); a == nil || a.NodeID != id {
			delete(known, alloc)
			update.Removed = append(update.Removed, alloc)
		}
	}
	return update
}
