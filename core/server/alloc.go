package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/state"
)

func (s *Server) handleAllocs() {
	rpc.AllocList.Handle(s.mux, s.allocList)
	rpc.AllocGet.Handle(s.mux, s.allocGet)
	rpc.AllocStop.Handle(s.mux, s.allocStop)
	rpc.AllocUpdateStatus.Handle(s.mux, s.allocUpdateStatus)
}

// sortAllocs orders by create index, then ID.
func sortAllocs(all []*model.AllocListStub) {
	slices.SortFunc(all, func(a, b *model.AllocListStub) int {
		if c := compareIndex(a.CreateIndex, b.CreateIndex); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
}

func (s *Server) allocList(ctx context.Context, q *rpc.AllocListRequest) (*rpc.AllocListResponse, error) {
	prefix, err := uuidPrefix(q.Prefix)
	if err != nil {
		return nil, err
	}
	resp := &rpc.AllocListResponse{}
	err = s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Allocs = []*model.AllocListStub{}
		all := snap.Allocs(ws)
		token := func(a *model.Allocation) string { return createToken(a.CreateIndex, string(a.ID)) }
		switch {
		case prefix != "":
			all = snap.AllocsByPrefix(ws, prefix)
			token = func(a *model.Allocation) string { return string(a.ID) }
			if q.Reverse {
				all = reversed(all)
			}
		case q.Reverse:
			all = snap.AllocsReverse()
		}
		all = keep(all, func(a *model.Allocation) bool { return inNamespace(q.Namespace, a.Namespace) })
		err := page(&q.QueryOptions, &resp.QueryMeta, all, token, func(a *model.Allocation) {
			stub := a.Stub()
			if q.Resources {
				stub.AllocatedResources = a.AllocatedResources
			}
			if !q.TaskStates {
				stub.TaskStates = nil
			}
			resp.Allocs = append(resp.Allocs, stub)
		})
		return snap.TableIndex(state.TableAllocs), err
	})
	return resp, err
}

func (s *Server) allocGet(ctx context.Context, q *rpc.AllocQuery) (*rpc.AllocResponse, error) {
	resp := &rpc.AllocResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Alloc = snap.Alloc(ws, q.AllocID)
		if resp.Alloc == nil {
			return snap.TableIndex(state.TableAllocs), nil
		}
		return resp.Alloc.ModifyIndex, nil
	})
	return resp, err
}

func (s *Server) allocStop(_ context.Context, req *rpc.AllocStopRequest) (*rpc.AllocStopResponse, error) {
	snap := s.store.Snapshot()
	a := snap.Alloc(nil, req.AllocID)
	if a == nil {
		return nil, model.Errorf(model.ErrNotFound, "allocation not found")
	}
	job := a.Job
	if cur := snap.Job(nil, a.JobKey()); cur != nil {
		job = cur
	}
	eval := newEval(job, model.TriggerAllocStop, 0)
	yes := true
	c := &fsm.TransitionAllocs{Allocs: []model.AllocID{a.ID}, Evals: []*model.Evaluation{eval}, Time: eval.CreateTime}
	c.Transition.Migrate = &yes
	if req.Reschedule {
		c.Transition.Reschedule = &yes
	}
	if req.NoShutdownDelay {
		c.Transition.NoShutdownDelay = &yes
	}
	index, _, err := s.apply(c)
	if err != nil {
		return nil, err
	}
	return &rpc.AllocStopResponse{WriteMeta: rpc.WriteMeta{Index: index}, EvalID: eval.ID}, nil
}

// checkNode fails unless the secret is the node's.
func checkNode(n *model.Node, id model.NodeID, secret string) error {
	if n == nil {
		return model.Errorf(model.ErrNotFound, "node %s not found; it must register first", id)
	}
	if n.SecretID != secret {
		return model.Errorf(model.ErrDenied, "node secret ID does not match")
	}
	return nil
}

func (s *Server) allocUpdateStatus(ctx context.Context, req *rpc.AllocUpdateRequest) (*rpc.WriteResponse, error) {
	n := s.store.Snapshot().Node(nil, req.NodeID)
	if err := checkNode(n, req.NodeID, req.SecretID); err != nil {
		return nil, err
	}
	if n.Status == model.NodeStatusDown || n.Status == model.NodeStatusDisconnected {
		return nil, model.Errorf(model.ErrConflict, "node %s is %s: it must send a heartbeat first", n.ID, n.Status)
	}
	l, err := s.leading()
	if err != nil {
		return nil, err
	}
	index, err := l.updates.write(ctx, req.Allocs)
	if err != nil {
		return nil, err
	}
	return &rpc.WriteResponse{WriteMeta: rpc.WriteMeta{Index: index}}, nil
}

// allocUpdates writes what nodes observed. What arrives while an earlier write
// is on its way goes with the next one, so nothing ever waits for a timer.
type allocUpdates struct {
	l  *leadership
	in chan updateRequest
}

type updateRequest struct {
	allocs []*model.Allocation
	done   chan updateAnswer
}

type updateAnswer struct {
	index uint64
	err   error
}

func newAllocUpdates(l *leadership) *allocUpdates {
	return &allocUpdates{l: l, in: make(chan updateRequest, 1024)}
}

// write waits until the update is applied.
func (u *allocUpdates) write(ctx context.Context, allocs []*model.Allocation) (uint64, error) {
	r := updateRequest{allocs, make(chan updateAnswer, 1)}
	select {
	case u.in <- r:
	case <-u.l.ctx.Done():
		return 0, model.ErrNoLeader
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case a := <-r.done:
		return a.index, a.err
	case <-u.l.ctx.Done():
		return 0, model.ErrNoLeader
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (u *allocUpdates) run(ctx context.Context) error {
	for {
		var batch []updateRequest
		select {
		case r := <-u.in:
			batch = append(batch, r)
		case <-ctx.Done():
			return ctx.Err()
		}
		for more := true; more && len(batch) < 512; {
			select {
			case r := <-u.in:
				batch = append(batch, r)
			default:
				more = false
			}
		}
		var allocs []*model.Allocation
		for _, r := range batch {
			allocs = append(allocs, r.allocs...)
		}
		index, err := u.commit(allocs)
		for _, r := range batch {
			r.done <- updateAnswer{index, err}
		}
	}
}

// commit writes updates and the evaluations that follow from them.
func (u *allocUpdates) commit(allocs []*model.Allocation) (uint64, error) {
	s := u.l.s
	snap := s.store.Snapshot()
	now := time.Now()
	c := &fsm.UpdateAllocs{Allocs: allocs, Time: now.UnixNano()}
	evals := map[model.JobKey]*model.Evaluation{}
	for _, a := range allocs {
		old := snap.Alloc(nil, a.ID)
		if old == nil {
			continue
		}
		job := snap.Job(nil, old.JobKey())
		if e := followUp(snap, old, a, job); e != nil && evals[old.JobKey()] == nil {
			evals[old.JobKey()] = e
			c.Evals = append(c.Evals, e)
		}
	}
	index, _, err := s.apply(c)
	return index, err
}

// followUp makes the evaluation that an update asks for; nil when none.
func followUp(snap *state.Snapshot, old, update *model.Allocation, job *model.Job) *model.Evaluation {
	switch {
	case old.ClientStatus == model.AllocClientUnknown && update.ClientStatus != model.AllocClientUnknown:
		if job != nil {
			return newEval(job, model.TriggerReconnect, 0)
		}
	case job == nil:
		if update.ClientStatus == model.AllocClientRunning && !old.ServerTerminal() && old.Job != nil {
			return newEval(old.Job, model.TriggerJobDeregister, 0)
		}
	case update.ClientStatus == model.AllocClientFailed && old.ClientStatus != model.AllocClientFailed &&
		!old.ServerTerminal() && !job.Stop:
		g := old.Group()
		if job.Type == model.JobTypeSystem || job.Type == model.JobTypeSysBatch ||
			g != nil && g.ReschedulePolicy != nil && (g.ReschedulePolicy.Unlimited || g.ReschedulePolicy.Attempts > 0) {
			return newEval(job, model.TriggerRetryFailedAlloc, 0)
		}
	}
	return nil
}
