package server

import (
	"context"
	"iter"
	"slices"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/state"
)

func (s *Server) handleEvals() {
	rpc.EvalList.Handle(s.mux, s.evalList)
	rpc.EvalGet.Handle(s.mux, s.evalGet)
	rpc.EvalAllocations.Handle(s.mux, s.evalAllocations)
}

func keep[T any](in iter.Seq[T], want func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range in {
			if want(v) && !yield(v) {
				return
			}
		}
	}
}

func reversed[T any](in iter.Seq[T]) iter.Seq[T] {
	all := slices.Collect(in)
	slices.Reverse(all)
	return slices.Values(all)
}

func (s *Server) evalList(ctx context.Context, q *rpc.EvalListRequest) (*rpc.EvalListResponse, error) {
	prefix, err := uuidPrefix(q.Prefix)
	if err != nil {
		return nil, err
	}
	if q.Filter != "" && (q.FilterJobID != "" || q.FilterStatus != "") {
		return nil, model.Errorf(model.ErrInvalid, "Filter expression cannot be used with other filter parameters")
	}
	resp := &rpc.EvalListResponse{}
	err = s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Evals = []*model.Evaluation{}
		all := snap.Evals(ws)
		token := func(e *model.Evaluation) string { return createToken(e.CreateIndex, string(e.ID)) }
		switch {
		case prefix != "":
			all = snap.EvalsByPrefix(ws, prefix)
			token = func(e *model.Evaluation) string { return string(e.ID) }
			if q.Reverse {
				all = reversed(all)
			}
		case q.Reverse:
			all = snap.EvalsReverse()
		}
		all = keep(all, func(e *model.Evaluation) bool {
			return inNamespace(q.Namespace, e.Namespace) && (q.FilterJobID == "" || e.JobID == q.FilterJobID) &&
				(q.FilterStatus == "" || e.Status == q.FilterStatus)
		})
		err := page(&q.QueryOptions, &resp.QueryMeta, all, token, func(e *model.Evaluation) { resp.Evals = append(resp.Evals, e) })
		return snap.TableIndex(state.TableEvals), err
	})
	return resp, err
}

func (s *Server) evalGet(ctx context.Context, q *rpc.EvalQuery) (*rpc.EvalResponse, error) {
	resp := &rpc.EvalResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Eval = snap.Eval(ws, q.EvalID)
		if resp.Eval == nil {
			return snap.TableIndex(state.TableEvals), nil
		}
		if q.Related {
			e := *resp.Eval
			e.RelatedEvals = related(ws, snap, &e)
			resp.Eval = &e
		}
		return resp.Eval.ModifyIndex, nil
	})
	return resp, err
}

// related lists the evaluations that an evaluation refers to, directly or
// through others.
func related(ws state.WatchSet, snap *state.Snapshot, start *model.Evaluation) []*model.EvaluationListStub {
	seen := map[model.EvalID]bool{start.ID: true}
	todo := []*model.Evaluation{start}
	var out []*model.EvaluationListStub
	for len(todo) > 0 {
		e := todo[0]
		todo = todo[1:]
		for _, id := range []model.EvalID{e.NextEval, e.PreviousEval, e.BlockedEval} {
			if id == "" || seen[id] {
				continue
			}
			seen[id] = true
			if other := snap.Eval(ws, id); other != nil {
				out = append(out, other.Stub())
				todo = append(todo, other)
			}
		}
	}
	return out
}

func (s *Server) evalAllocations(ctx context.Context, q *rpc.EvalQuery) (*rpc.AllocListResponse, error) {
	resp := &rpc.AllocListResponse{}
	err := s.block(ctx, &q.QueryOptions, &resp.QueryMeta, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		resp.Allocs = []*model.AllocListStub{}
		index := uint64(0)
		for a := range snap.AllocsByEval(ws, q.EvalID) {
			resp.Allocs = append(resp.Allocs, a.Stub())
			index = max(index, a.ModifyIndex)
		}
		sortAllocs(resp.Allocs)
		return objectIndex(snap, index, index > 0, state.TableAllocs), nil
	})
	return resp, err
}
