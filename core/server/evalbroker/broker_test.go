package evalbroker

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
)

func eval(id, job string, priority int, index uint64) *model.Evaluation {
	return &model.Evaluation{
		ID: model.EvalID(id), Namespace: "default", JobID: model.JobID(job), Type: model.JobTypeService,
		Priority: priority, Status: model.EvalStatusPending, CreateIndex: index, ModifyIndex: index,
	}
}

func soon(int) time.Duration { return time.Millisecond }

// take dequeues one, which must be there or come soon.
func take(t *testing.T, b *Broker) (*model.Evaluation, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	e, token, err := b.Dequeue(ctx)
	if err != nil {
		t.Fatalf("dequeue: %v", err)
	}
	return e, token
}

// none checks that nothing is ready.
func none(t *testing.T, b *Broker) {
	t.Helper()
	if n := b.Stats().Ready; n != 0 {
		t.Errorf("%d are ready", n)
	}
}

func TestOrder(t *testing.T) {
	b := New(Config{})
	defer b.Close()
	b.Enqueue(eval("low", "a", 10, 1), eval("late", "b", 50, 3), eval("early", "c", 50, 2), eval("high", "d", 90, 4))
	var got []model.EvalID
	for range 4 {
		e, token := take(t, b)
		got = append(got, e.ID)
		b.Ack(e.ID, token)
	}
	if diff := cmp.Diff([]model.EvalID{"high", "early", "late", "low"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestOneAtATimePerJob(t *testing.T) {
	var mu sync.Mutex
	var canceled []model.EvalID
	b := New(Config{Canceled: func(all []*model.Evaluation) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range all {
			canceled = append(canceled, e.ID)
		}
	}})
	defer b.Close()
	b.Enqueue(eval("1", "web", 50, 1), eval("2", "web", 50, 2), eval("3", "web", 70, 3), eval("4", "web", 50, 4))
	e, token := take(t, b)
	if e.ID != "1" {
		t.Fatalf("first is %s", e.ID)
	}
	none(t, b)
	b.Ack("1", token)
	if e, token = take(t, b); e.ID != "3" {
		t.Fatalf("next is %s", e.ID)
	}
	b.Ack("3", token)
	none(t, b)
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]model.EvalID{"2", "4"}, canceled); diff != "" {
		t.Errorf("canceled (-want +got):\n%s", diff)
	}
	if s := b.Stats(); s != (Stats{}) {
		t.Errorf("left over: %+v", s)
	}
}

func TestRedeliveryAndItsLimit(t *testing.T) {
	failed := make(chan *model.Evaluation, 1)
	b := New(Config{Redelivery: soon, Failed: func(e *model.Evaluation) { failed <- e }})
	defer b.Close()
	b.Enqueue(eval("1", "web", 50, 1))
	b.Enqueue(eval("2", "web", 50, 2))
	for range DeliveryLimit {
		e, token := take(t, b)
		if e.ID != "1" {
			t.Fatalf("delivered %s while another of its job was not done", e.ID)
		}
		b.Nack(e.ID, token)
		b.Nack(e.ID, token) // a second one is nothing
	}
	if e := <-failed; e.ID != "1" {
		t.Errorf("%s failed", e.ID)
	}
	if e, _ := take(t, b); e.ID != "2" {
		t.Errorf("next is %s", e.ID)
	}
}

func TestSilentWorkerLosesItsEvaluation(t *testing.T) {
	b := New(Config{NackTimeout: 20 * time.Millisecond, Redelivery: soon})
	defer b.Close()
	b.Enqueue(eval("1", "web", 50, 1))
	_, first := take(t, b)
	_, second := take(t, b)
	if first == second || b.Outstanding("1", first) || !b.Outstanding("1", second) {
		t.Error("the first worker still owns it")
	}
	b.Suspend("1", second)
	b.Ack("1", first) // too late
	if !b.Outstanding("1", second) {
		t.Error("who lost it could acknowledge it")
	}
	b.Resume("1", second)
	b.Ack("1", second)
	none(t, b)
}

func TestWaitUntil(t *testing.T) {
	b := New(Config{})
	defer b.Close()
	later := eval("later", "web", 90, 1)
	later.WaitUntil = time.Now().Add(30 * time.Millisecond)
	never := eval("never", "other", 90, 2)
	never.WaitUntil = time.Now().Add(time.Hour)
	b.Enqueue(later, never, eval("now", "web", 50, 3))
	// One that waits does not hold its job's slot.
	e, token := take(t, b)
	if e.ID != "now" {
		t.Fatalf("first is %s", e.ID)
	}
	b.Ack(e.ID, token)
	if e, token = take(t, b); e.ID != "later" || time.Now().Before(later.WaitUntil) {
		t.Errorf("%s came too early", e.ID)
	}
	b.Ack(e.ID, token)
	b.Forget("never")
	if s := b.Stats(); s != (Stats{}) {
		t.Errorf("left over: %+v", s)
	}
}

func TestChangedWhileWorkedOn(t *testing.T) {
	b := New(Config{})
	defer b.Close()
	b.Enqueue(eval("1", "web", 50, 1))
	_, token := take(t, b)
	b.Enqueue(eval("1", "web", 50, 1)) // known
	again := eval("1", "web", 50, 9)
	b.Enqueue(again) // it was blocked and let go meanwhile
	b.Ack("1", token)
	e, token := take(t, b)
	if e.ModifyIndex != 9 {
		t.Errorf("delivered at index %d", e.ModifyIndex)
	}
	b.Ack("1", token)
	none(t, b)
}

func TestPauseAndClose(t *testing.T) {
	b := New(Config{})
	b.Pause(true)
	b.Enqueue(eval("1", "web", 50, 1))
	got := make(chan error, 1)
	go func() {
		_, _, err := b.Dequeue(context.Background())
		got <- err
	}()
	select {
	case <-got:
		t.Fatal("delivered while paused")
	case <-time.After(10 * time.Millisecond):
	}
	b.Pause(false)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, _, err := b.Dequeue(context.Background()); err == nil {
		t.Error("a closed broker delivers")
	}
}

func TestManyWorkers(t *testing.T) {
	const jobs = 50
	b := New(Config{})
	var mu sync.Mutex
	busy := map[model.JobID]bool{}
	done := make(chan struct{}, jobs)
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for {
				e, token, err := b.Dequeue(context.Background())
				if err != nil {
					return
				}
				mu.Lock()
				if busy[e.JobID] {
					t.Errorf("two of job %s at a time", e.JobID)
				}
				busy[e.JobID] = true
				mu.Unlock()
				mu.Lock()
				busy[e.JobID] = false
				mu.Unlock()
				b.Ack(e.ID, token)
				done <- struct{}{}
			}
		})
	}
	for i := range jobs {
		b.Enqueue(eval(fmt.Sprint(i), fmt.Sprintf("j%d", i), 50, uint64(i)))
	}
	for range jobs {
		<-done
	}
	b.Close()
	work.Wait()
}

func BenchmarkBroker(b *testing.B) {
	q := New(Config{})
	defer q.Close()
	for i := range b.N {
		q.Enqueue(eval(fmt.Sprint(i), fmt.Sprint(i), 50, uint64(i)))
		e, token, err := q.Dequeue(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		q.Ack(e.ID, token)
	}
}
