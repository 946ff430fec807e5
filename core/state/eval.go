package state

import (
	"fmt"
	"iter"

	"github.com/seraiproject/serai/core/model"
)

// Eval returns an evaluation, or nil.
func (s *Snapshot) Eval(ws WatchSet, id model.EvalID) *model.Evaluation {
	e, _ := first[*model.Evaluation](s, ws, TableEvals, byID, key1(string(id)))
	return e
}

// Evals returns all evaluations by create index.
func (s *Snapshot) Evals(ws WatchSet) iter.Seq[*model.Evaluation] {
	return rows[*model.Evaluation](s, ws, TableEvals, byCreate, nil)
}

// EvalsReverse returns all evaluations, newest first.
func (s *Snapshot) EvalsReverse() iter.Seq[*model.Evaluation] {
	return rowsReverse[*model.Evaluation](s, TableEvals, byCreate, nil)
}

// EvalsByPrefix returns the evaluations whose ID starts with prefix, by ID.
func (s *Snapshot) EvalsByPrefix(ws WatchSet, prefix string) iter.Seq[*model.Evaluation] {
	return rows[*model.Evaluation](s, ws, TableEvals, byID, prefix1(prefix))
}

// EvalsByJob returns the evaluations of a job.
func (s *Snapshot) EvalsByJob(ws WatchSet, k model.JobKey) iter.Seq[*model.Evaluation] {
	return rows[*model.Evaluation](s, ws, TableEvals, byJob, jobKey(k))
}

// UpsertEval writes an evaluation.
func (t *Txn) UpsertEval(e *model.Evaluation) *model.Evaluation {
	old := t.Eval(nil, e.ID)
	next := *e
	next.ModifyIndex = t.now
	if old == nil {
		next.CreateIndex = t.now
	} else {
		next.CreateIndex, next.CreateTime = old.CreateIndex, old.CreateTime
	}
	t.put(TableEvals, &next)
	touch := t.touchJob(next.JobKey())
	if old == nil {
		touch.tally.evals++
	} else if !old.Terminal() {
		touch.tally.liveEvals--
	}
	if !next.Terminal() {
		touch.tally.liveEvals++
	}
	for group, n := range next.QueuedAllocations {
		touch.group(group, func(g *model.TaskGroupSummary) { g.Queued = n })
	}
	t.changes.Evals = append(t.changes.Evals, &next)
	if next.Status == model.EvalStatusComplete && len(next.FailedTGAllocs) == 0 && touch.tally.liveEvals > 0 {
		t.unblock(&next)
	}
	return &next
}

// DeleteEval forgets an evaluation, if it is there.
func (t *Txn) DeleteEval(id model.EvalID) {
	old := t.Eval(nil, id)
	if old == nil {
		return
	}
	t.remove(TableEvals, old)
	touch := t.touchJob(old.JobKey())
	touch.tally.evals--
	if !old.Terminal() {
		touch.tally.liveEvals--
	}
	t.changes.EvalsGone = append(t.changes.EvalsGone, old)
}

// unblock cancels what the job waits for: done placed everything.
func (t *Txn) unblock(done *model.Evaluation) {
	if done.Type == model.JobTypeSystem || done.Type == model.JobTypeSysBatch {
		return // what waits there waits for single nodes
	}
	for e := range t.EvalsByJob(nil, done.JobKey()) {
		if e.Status == model.EvalStatusBlocked && e.ID != done.ID {
			c := *e
			c.Status, c.StatusDescription = model.EvalStatusCanceled, fmt.Sprintf("evaluation %q successful", done.ID)
			c.ModifyTime = done.ModifyTime
			t.UpsertEval(&c)
		}
	}
}
