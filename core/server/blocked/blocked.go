// Package blocked keeps evaluations that wait for room, and lets them go when
// the cluster changes in a way that may give it.
//
// A blocked evaluation knows which classes of node it has seen and which of
// them could run it. Room on a node of a class that it has not seen, or that
// could run it, lets it go; so does any room when its constraints look at what
// makes nodes unique. It lives on the leader and is rebuilt from the state.
package blocked

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Config says where evaluations go.
type Config struct {
	// Enqueue takes evaluations that are to be processed again. Canceled
	// takes those that a newer one of their job replaced. Both must not
	// block.
	Enqueue  func(...*model.Evaluation)
	Canceled func([]*model.Evaluation)
}

// Tracker keeps blocked evaluations. It is safe for use by many goroutines.
type Tracker struct {
	cfg Config

	mu    sync.Mutex
	evals map[model.EvalID]*model.Evaluation
	jobs  map[slot]model.EvalID
	room  map[string]change // last room by class
}

// slot is what can have one blocked evaluation: a job, or for system jobs a job
// on a node.
type slot struct {
	job  model.JobKey
	node model.NodeID
}

type change struct {
	index uint64
	at    time.Time
}

// remember is how long room is remembered for evaluations that were made from
// an older state than that which had it.
const remember = 15 * time.Minute

// New returns a tracker without evaluations.
func New(cfg Config) *Tracker {
	return &Tracker{
		cfg: cfg, evals: map[model.EvalID]*model.Evaluation{}, jobs: map[slot]model.EvalID{}, room: map[string]change{},
	}
}

func slotOf(e *model.Evaluation) slot {
	s := slot{job: e.JobKey()}
	if e.Type == model.JobTypeSystem || e.Type == model.JobTypeSysBatch {
		s.node = e.NodeID
	}
	return s
}

// Block keeps an evaluation. One that missed room is let go at once; of two
// for the same job the newer stays.
func (t *Tracker) Block(e *model.Evaluation) {
	t.mu.Lock()
	if t.missed(e) {
		t.forget(e.ID)
		t.mu.Unlock()
		t.cfg.Enqueue(e)
		return
	}
	s := slotOf(e)
	var canceled *model.Evaluation
	if id, ok := t.jobs[s]; ok && id != e.ID {
		old := t.evals[id]
		if old.CreateIndex > e.CreateIndex {
			canceled = e
		} else {
			canceled = old
			t.forget(id)
		}
	}
	if canceled != e {
		t.evals[e.ID] = e
		t.jobs[s] = e.ID
	}
	t.mu.Unlock()
	if canceled != nil {
		t.cfg.Canceled([]*model.Evaluation{canceled})
	}
}

// missed reports whether there was room after the state that e was made from.
func (t *Tracker) missed(e *model.Evaluation) bool {
	for class, c := range t.room {
		if c.index > e.SnapshotIndex && fits(e, class) {
			return true
		}
	}
	return false
}

// fits reports whether room on a class of node may help.
func fits(e *model.Evaluation, class string) bool {
	if e.EscapedComputedClass {
		return true
	}
	eligible, seen := e.ClassEligibility[class]
	return eligible || !seen
}

func (t *Tracker) forget(id model.EvalID) {
	e := t.evals[id]
	if e == nil {
		return
	}
	delete(t.evals, id)
	if s := slotOf(e); t.jobs[s] == id {
		delete(t.jobs, s)
	}
}

// Forget drops an evaluation, if it is kept.
func (t *Tracker) Forget(id model.EvalID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(id)
}

// Untrack drops what a job that is gone or stopped waits for.
func (t *Tracker) Untrack(job model.JobKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, e := range t.evals {
		if e.JobKey() == job {
			t.forget(id)
		}
	}
}

// Room tells that a node of that class has room since the given index.
func (t *Tracker) Room(class string, node model.NodeID, index uint64) {
	t.mu.Lock()
	now := time.Now()
	t.room[class] = change{index, now}
	if len(t.room) > 1024 {
		maps.DeleteFunc(t.room, func(_ string, c change) bool { return now.Sub(c.at) > remember })
	}
	var free []*model.Evaluation
	for _, e := range t.evals {
		if s := slotOf(e); s.node != "" {
			if s.node == node {
				free = append(free, e)
			}
		} else if fits(e, class) {
			free = append(free, e)
		}
	}
	t.release(free)
}

// RetryConflicts lets go those that were blocked because plans conflicted: room
// is not what they wait for.
func (t *Tracker) RetryConflicts() {
	t.mu.Lock()
	var free []*model.Evaluation
	for _, e := range t.evals {
		if e.TriggeredBy == model.TriggerMaxPlans {
			free = append(free, e)
		}
	}
	t.release(free)
}

// release lets evaluations go and unlocks the tracker.
func (t *Tracker) release(free []*model.Evaluation) {
	for _, e := range free {
		t.forget(e.ID)
	}
	t.mu.Unlock()
	if len(free) > 0 {
		slices.SortFunc(free, func(a, b *model.Evaluation) int { return int(a.CreateIndex) - int(b.CreateIndex) })
		t.cfg.Enqueue(free...)
	}
}

// Len is how many evaluations wait.
func (t *Tracker) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.evals)
}
