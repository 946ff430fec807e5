// Package evalbroker hands evaluations to workers: by priority, one of a job at
// a time, at least once.
//
// It lives on the leader, is rebuilt from the state when leadership changes,
// and is fed by what the state machine applied. What was delivered must be
// acknowledged within a time, or it is delivered again, up to a limit.
package evalbroker

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Timings and limits of delivery.
const (
	NackTimeout   = 60 * time.Second
	DeliveryLimit = 3

	firstRedelivery = time.Second      // after the first delivery
	nextRedelivery  = 20 * time.Second // times deliveries-1 after that
)

// Config says what the broker does with evaluations that it gives up.
type Config struct {
	// Canceled takes pending evaluations that a newer one of their job made
	// needless. Failed takes those that were delivered too often. Both must
	// not block.
	Canceled func([]*model.Evaluation)
	Failed   func(*model.Evaluation)
	// Handles reports whether evaluations of that type are to be delivered;
	// nil: all. Others stay pending.
	Handles func(jobType string) bool
	// NackTimeout and Redelivery replace the usual times in tests.
	NackTimeout time.Duration
	Redelivery  func(deliveries int) time.Duration
}

// A Broker is safe for use by many goroutines.
type Broker struct {
	cfg Config

	mu      sync.Mutex
	paused  bool
	closed  bool
	known   map[model.EvalID]*entry
	jobs    map[model.JobKey]*slot
	ready   queue
	delayed queue // by due
	wake    chan struct{}
	timer   *time.Timer
}

// Stats count evaluations.
type Stats struct {
	Ready, Unacked, Pending, Waiting int
}

// entry is an evaluation that is not acknowledged yet.
type entry struct {
	eval       *model.Evaluation
	deliveries int
	due        time.Time // when it may be delivered; zero: now
	at         int       // position in its queue
	token      string    // not empty while delivered
	nack       *time.Timer
	active     bool // it holds its job's slot
	again      *model.Evaluation
}

// slot is what of a job waits or is being worked on.
type slot struct {
	active  *entry
	pending []*entry
}

// New returns a broker without evaluations.
func New(cfg Config) *Broker {
	if cfg.Canceled == nil {
		cfg.Canceled = func([]*model.Evaluation) {}
	}
	if cfg.Failed == nil {
		cfg.Failed = func(*model.Evaluation) {}
	}
	if cfg.NackTimeout == 0 {
		cfg.NackTimeout = NackTimeout
	}
	if cfg.Redelivery == nil {
		cfg.Redelivery = redelivery
	}
	b := &Broker{
		cfg: cfg, known: map[model.EvalID]*entry{}, jobs: map[model.JobKey]*slot{}, wake: make(chan struct{}),
		ready: queue{less: before}, delayed: queue{less: sooner},
	}
	b.timer = time.AfterFunc(time.Hour, b.release)
	b.timer.Stop()
	return b
}

func redelivery(deliveries int) time.Duration {
	if deliveries <= 1 {
		return firstRedelivery
	}
	return time.Duration(deliveries-1) * nextRedelivery
}

// Close wakes all who wait and takes nothing more.
func (b *Broker) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.timer.Stop()
	for _, e := range b.known {
		if e.nack != nil {
			e.nack.Stop()
		}
	}
	b.broadcast()
}

// Pause keeps evaluations from being delivered, or lets them go on.
func (b *Broker) Pause(paused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = paused
	b.broadcast()
}

func (b *Broker) broadcast() {
	close(b.wake)
	b.wake = make(chan struct{})
}

// Enqueue takes pending evaluations. One that is known already is ignored,
// unless it is being worked on: then it is delivered once more afterwards.
func (b *Broker) Enqueue(evals ...*model.Evaluation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	now := time.Now()
	for _, e := range evals {
		b.enqueue(e, now)
	}
}

func (b *Broker) enqueue(eval *model.Evaluation, now time.Time) {
	if b.cfg.Handles != nil && !b.cfg.Handles(eval.Type) {
		return
	}
	if old := b.known[eval.ID]; old != nil {
		if old.token != "" && eval.ModifyIndex > old.eval.ModifyIndex {
			old.again = eval
		}
		return
	}
	e := &entry{eval: eval, due: eval.WaitUntil}
	if e.due.IsZero() && eval.Wait > 0 {
		e.due = now.Add(eval.Wait)
	}
	b.known[eval.ID] = e
	if e.due.After(now) {
		b.delay(e)
		return
	}
	b.admit(e)
}

func (b *Broker) delay(e *entry) {
	heap.Push(&b.delayed, e)
	b.timer.Reset(time.Until(b.delayed.items[0].due))
}

// admit gives an evaluation its job's slot, or has it wait for that.
func (b *Broker) admit(e *entry) {
	k := e.eval.JobKey()
	s := b.jobs[k]
	if s == nil {
		s = &slot{}
		b.jobs[k] = s
	}
	if s.active == nil {
		s.active, e.active = e, true
	}
	if s.active != e {
		s.pending = append(s.pending, e)
		return
	}
	heap.Push(&b.ready, e)
	b.broadcast()
}

// release admits what is due.
func (b *Broker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for len(b.delayed.items) > 0 && !b.closed {
		if e := b.delayed.items[0]; e.due.After(now) {
			b.timer.Reset(e.due.Sub(now))
			return
		}
		e := heap.Pop(&b.delayed).(*entry)
		e.due = time.Time{}
		b.admit(e)
	}
}

// Dequeue waits for an evaluation. It must be given back by Ack or Nack with
// the token. The error is ctx's, or context.Canceled when the broker closed.
func (b *Broker) Dequeue(ctx context.Context) (*model.Evaluation, string, error) {
	for {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return nil, "", context.Canceled
		}
		if len(b.ready.items) > 0 && !b.paused {
			e := heap.Pop(&b.ready).(*entry)
			e.deliveries++
			e.token = model.NewUUID()
			token := e.token
			e.nack = time.AfterFunc(b.cfg.NackTimeout, func() { b.Nack(e.eval.ID, token) })
			b.mu.Unlock()
			return e.eval, token, nil
		}
		wake := b.wake
		b.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, "", ctx.Err()
		}
	}
}

// Outstanding reports whether the evaluation is delivered under that token.
func (b *Broker) Outstanding(id model.EvalID, token string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.delivered(id, token) != nil
}

func (b *Broker) delivered(id model.EvalID, token string) *entry {
	if e := b.known[id]; e != nil && e.token != "" && e.token == token {
		return e
	}
	return nil
}

// Suspend stops the time within which the evaluation must be acknowledged,
// while its worker waits for something; Resume starts it anew.
func (b *Broker) Suspend(id model.EvalID, token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.delivered(id, token); e != nil {
		e.nack.Stop()
	}
}

// Resume ends Suspend.
func (b *Broker) Resume(id model.EvalID, token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.delivered(id, token); e != nil {
		e.nack.Reset(b.cfg.NackTimeout)
	}
}

// Ack says that an evaluation is done. Of those of its job that wait, the most
// important is next; the others are needless.
func (b *Broker) Ack(id model.EvalID, token string) {
	b.mu.Lock()
	e := b.delivered(id, token)
	if e == nil {
		b.mu.Unlock()
		return
	}
	e.nack.Stop()
	delete(b.known, id)
	canceled := b.next(e)
	if e.again != nil && !b.closed {
		b.enqueue(e.again, time.Now())
	}
	b.mu.Unlock()
	if len(canceled) > 0 {
		b.cfg.Canceled(canceled)
	}
}

// next frees the slot that done holds, and gives it on.
func (b *Broker) next(done *entry) (canceled []*model.Evaluation) {
	k := done.eval.JobKey()
	s := b.jobs[k]
	s.active = nil
	if len(s.pending) == 0 {
		delete(b.jobs, k)
		return nil
	}
	best := s.pending[0]
	for _, p := range s.pending[1:] {
		if p.eval.Priority > best.eval.Priority ||
			p.eval.Priority == best.eval.Priority && p.eval.ModifyIndex > best.eval.ModifyIndex {
			best = p
		}
	}
	for _, p := range s.pending {
		if p != best {
			delete(b.known, p.eval.ID)
			canceled = append(canceled, p.eval)
		}
	}
	s.pending = nil
	b.admit(best)
	return canceled
}

// Nack gives an evaluation back: it is delivered again later, or given up.
func (b *Broker) Nack(id model.EvalID, token string) {
	b.mu.Lock()
	e := b.delivered(id, token)
	if e == nil || b.closed {
		b.mu.Unlock()
		return
	}
	e.nack.Stop()
	e.token = ""
	if e.deliveries < DeliveryLimit {
		// The slot is kept meanwhile: order within a job stays.
		e.due = time.Now().Add(b.cfg.Redelivery(e.deliveries))
		b.delay(e)
		b.mu.Unlock()
		return
	}
	delete(b.known, id)
	canceled := b.next(e)
	b.mu.Unlock()
	if len(canceled) > 0 {
		b.cfg.Canceled(canceled)
	}
	b.cfg.Failed(e.eval)
}

// Forget drops an evaluation that was deleted or is done, unless it is being
// worked on.
func (b *Broker) Forget(id model.EvalID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.known[id]
	if e == nil || e.token != "" || e.deliveries > 0 {
		return
	}
	if !e.due.IsZero() && e.due.After(time.Now()) && e.at < len(b.delayed.items) && b.delayed.items[e.at] == e {
		heap.Remove(&b.delayed, e.at)
		delete(b.known, id)
	}
}

// Stats counts evaluations.
func (b *Broker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{Ready: len(b.ready.items), Waiting: len(b.delayed.items)}
	for _, e := range b.known {
		if e.token != "" {
			s.Unacked++
		}
	}
	for _, j := range b.jobs {
		s.Pending += len(j.pending)
	}
	return s
}

// before orders what is ready: by priority, then age.
func before(a, b *entry) bool {
	if a.eval.Priority != b.eval.Priority {
		return a.eval.Priority > b.eval.Priority
	}
	return a.eval.CreateIndex < b.eval.CreateIndex
}

func sooner(a, b *entry) bool { return a.due.Before(b.due) }

// queue is a heap.
type queue struct {
	items []*entry
	less  func(a, b *entry) bool
}

func (q *queue) Len() int           { return len(q.items) }
func (q *queue) Less(i, j int) bool { return q.less(q.items[i], q.items[j]) }

func (q *queue) Swap(i, j int) {
	q.items[i], q.items[j] = q.items[j], q.items[i]
	q.items[i].at, q.items[j].at = i, j
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.at = len(q.items)
	q.items = append(q.items, e)
}

func (q *queue) Pop() any {
	last := len(q.items) - 1
	e := q.items[last]
	q.items[last] = nil
	q.items = q.items[:last]
	return e
}
