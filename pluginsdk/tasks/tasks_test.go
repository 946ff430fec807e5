package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

func entry(id string) Entry[string] {
	return Entry[string]{Config: &driverpb.TaskConfig{Id: id}, Task: "task " + id}
}

func TestOneStartPerID(t *testing.T) {
	var table Table[string]
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := table.Claim("a"); err == nil {
				won.Add(1)
			} else if !errors.Is(err, ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d claims of one id succeeded", won.Load())
	}
	table.Release("a")
	if err := table.Claim("a"); err != nil {
		t.Errorf("claim after release: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	table.Add(ctx, entry("a"), func(ctx context.Context) Outcome {
		<-ctx.Done()
		return Outcome{Err: ctx.Err()}
	})
	if err := table.Claim("a"); !errors.Is(err, ErrExists) {
		t.Errorf("claim of a live task: %v", err)
	}
	cancel()
	table.Close()
	if _, ended := table.Entry("a").Outcome(); ended {
		t.Error("the end of the process passed for the end of the task")
	}
	table.Remove("a")
	if table.Entry("a") != nil || table.Len() != 0 {
		t.Error("removed task is still there")
	}
}

func TestEveryWaiterGetsTheOutcome(t *testing.T) {
	var table Table[string]
	end := make(chan struct{})
	if err := table.Claim("a"); err != nil {
		t.Fatal(err)
	}
	waits := 0
	e := table.Add(t.Context(), entry("a"), func(context.Context) Outcome {
		waits++
		<-end
		return Outcome{Code: 4}
	})
	if _, ended := e.Outcome(); ended {
		t.Error("outcome before the end")
	}
	brief, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Wait(brief); !errors.Is(err, context.Canceled) {
		t.Errorf("wait with an ended context: %v", err)
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if o, err := e.Wait(t.Context()); err != nil || o.Code != 4 || o.At.IsZero() {
				t.Errorf("outcome %+v, %v", o, err)
			}
		})
	}
	close(end)
	wg.Wait()
	table.Close()

	release, err := e.Alone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Alone(brief); !errors.Is(err, context.Canceled) {
		t.Errorf("two callers are alone: %v", err)
	}
	release()
	if release, err = e.Alone(t.Context()); err != nil {
		t.Errorf("alone after release: %v", err)
	}
	release()
	if waits != 1 {
		t.Errorf("the task was waited for %d times", waits)
	}
}

func TestRecord(t *testing.T) {
	want := Record{
		StartedAt: time.Date(2026, 11, 25, 2, 0, 0, 5, time.UTC),
		Config:    []byte{0x81, 0xa1, 'x', 0xc0},
		Network:   &driverpb.NetworkOverride{Addr: "10.0.0.2", PortMap: map[string]int32{"http": 80}},
		State:     json.RawMessage(`{"pid":7}`),
	}
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, ours, err := DecodeRecord(data)
	if err != nil || !ours {
		t.Fatalf("ours %t, %v", ours, err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if r, ours, err := DecodeRecord([]byte("\x81foreign")); err != nil || ours || string(r.State) != "\x81foreign" {
		t.Errorf("foreign state: %+v, %t, %v", r, ours, err)
	}
	if _, ours, err := DecodeRecord(data[:len(data)-3]); err == nil || !ours {
		t.Errorf("cut off record: ours %t, %v", ours, err)
	}
}
