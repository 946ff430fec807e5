package sim

import (
	"cmp"
	"slices"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// queue hands out evaluations by the rules of the servers' broker: by priority
// and age, one of a job at a time; of those that waited meanwhile the most
// important one is next, and the others are canceled.
type queue struct {
	canceled func([]*model.Evaluation)
	known    map[model.EvalID]*queued
	jobs     map[model.JobKey]*slot
	delayed  []*queued
}

type queued struct {
	eval    *model.Evaluation
	due     time.Time
	working bool
	again   *model.Evaluation
}

type slot struct {
	active  *queued
	pending []*queued
}

func newQueue(canceled func([]*model.Evaluation)) *queue {
	return &queue{canceled: canceled, known: map[model.EvalID]*queued{}, jobs: map[model.JobKey]*slot{}}
}

func (q *queue) enqueue(now time.Time, evals ...*model.Evaluation) {
	evals = slices.Clone(evals)
	slices.SortStableFunc(evals, older)
	for _, e := range evals {
		if old := q.known[e.ID]; old != nil {
			if old.working && e.ModifyIndex > old.eval.ModifyIndex {
				old.again = e
			}
			continue
		}
		item := &queued{eval: e, due: e.WaitUntil}
		if item.due.IsZero() && e.Wait > 0 {
			item.due = now.Add(e.Wait)
		}
		q.known[e.ID] = item
		if item.due.After(now) {
			q.delayed = append(q.delayed, item)
		} else {
			q.admit(item)
		}
	}
}

func older(a, b *model.Evaluation) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.CreateIndex, b.CreateIndex), cmp.Compare(a.ID, b.ID))
}

func (q *queue) admit(item *queued) {
	k := item.eval.JobKey()
	s := q.jobs[k]
	if s == nil {
		s = &slot{}
		q.jobs[k] = s
	}
	if s.active == nil {
		s.active = item
	} else {
		s.pending = append(s.pending, item)
	}
}

// release admits what is due.
func (q *queue) release(now time.Time) {
	slices.SortStableFunc(q.delayed, func(a, b *queued) int { return cmp.Or(a.due.Compare(b.due), older(a.eval, b.eval)) })
	for len(q.delayed) > 0 && !q.delayed[0].due.After(now) {
		item := q.delayed[0]
		q.delayed = q.delayed[1:]
		q.admit(item)
	}
}

// next is when the next evaluation is due; zero when none waits for its time.
func (q *queue) next() time.Time {
	var next time.Time
	for _, item := range q.delayed {
		if next.IsZero() || item.due.Before(next) {
			next = item.due
		}
	}
	return next
}

// take hands out up to n evaluations of different jobs.
func (q *queue) take(n int) []*model.Evaluation {
	var ready []*queued
	for _, s := range q.jobs {
		if s.active != nil && !s.active.working {
			ready = append(ready, s.active)
		}
	}
	slices.SortFunc(ready, func(a, b *queued) int { return older(a.eval, b.eval) })
	var out []*model.Evaluation
	for _, item := range ready[:min(n, len(ready))] {
		item.working = true
		out = append(out, item.eval)
	}
	return out
}

// done takes back an evaluation that was handed out.
func (q *queue) done(now time.Time, e *model.Evaluation) {
	item := q.known[e.ID]
	k := e.JobKey()
	s := q.jobs[k]
	delete(q.known, e.ID)
	s.active = nil
	var canceled []*model.Evaluation
	if len(s.pending) == 0 {
		delete(q.jobs, k)
	} else {
		best := s.pending[0]
		for _, p := range s.pending[1:] {
			if p.eval.Priority > best.eval.Priority ||
				p.eval.Priority == best.eval.Priority && p.eval.ModifyIndex > best.eval.ModifyIndex {
				best = p
			}
		}
		for _, p := range s.pending {
			if p != best {
				delete(q.known, p.eval.ID)
				canceled = append(canceled, p.eval)
			}
		}
		s.active, s.pending = best, nil
	}
	if item.again != nil {
		q.enqueue(now, item.again)
	}
	if len(canceled) > 0 {
		q.canceled(canceled)
	}
}

// forget drops an evaluation that waits for its time.
func (q *queue) forget(id model.EvalID) {
	item := q.known[id]
	if item == nil {
		return
	}
	if i := slices.Index(q.delayed, item); i >= 0 {
		q.delayed = slices.Delete(q.delayed, i, i+1)
		delete(q.known, id)
	}
}
