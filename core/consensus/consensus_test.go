package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seraiproject/serai/core/model"
)

// list is a state machine that remembers entries.
type list struct {
	mu      sync.Mutex
	entries []string
}

func (l *list) Apply(e *raft.Log) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	if string(e.Data) == "bad" {
		return model.ErrInvalid
	}
	l.entries = append(l.entries, string(e.Data))
	return len(l.entries)
}

func (l *list) Snapshot() (raft.FSMSnapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &listSnapshot{append([]string(nil), l.entries...)}, nil
}

func (l *list) Restore(in io.ReadCloser) error {
	defer in.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
	for {
		var s string
		if _, err := fmt.Fscanln(in, &s); err != nil {
			return nil
		}
		l.entries = append(l.entries, s)
	}
}

func (l *list) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

type listSnapshot struct{ entries []string }

func (s *listSnapshot) Persist(sink raft.SnapshotSink) error {
	for _, e := range s.entries {
		fmt.Fprintln(sink, e)
	}
	return sink.Close()
}

func (s *listSnapshot) Release() {}

func leading(t *testing.T, g *Group) {
	t.Helper()
	for {
		select {
		case l := <-g.Leading():
			if l {
				return
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it does not lead")
		}
	}
}

func TestInMemoryGroup(t *testing.T) {
	f := &list{}
	start := time.Now()
	g, err := Open(Config{FSM: f})
	if err != nil {
		t.Fatal(err)
	}
	leading(t, g)
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it led after %v", d)
	}
	index, answer, err := g.Apply([]byte("one"))
	if err != nil || index == 0 || answer != 1 {
		t.Errorf("index %d, answer %v, error %v", index, answer, err)
	}
	if _, _, err := g.Apply([]byte("bad")); !errors.Is(err, model.ErrInvalid) {
		t.Errorf("error is %v", err)
	}
	if err := g.Barrier(t.Context()); err != nil {
		t.Error(err)
	}
	if peers, _, err := g.Peers(); err != nil || len(peers) != 1 || !peers[0].Leader || !peers[0].Voter {
		t.Errorf("peers are %+v, error %v", peers, err)
	}
	var work sync.WaitGroup
	for range 50 {
		work.Go(func() {
			if _, _, err := g.Apply([]byte("x")); err != nil && !errors.Is(err, model.ErrNoLeader) {
				t.Error(err)
			}
		})
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	work.Wait() // nobody waits for ever
	if _, _, err := g.Apply([]byte("late")); !errors.Is(err, model.ErrNoLeader) {
		t.Errorf("error is %v", err)
	}
	if err := g.Barrier(context.Background()); !errors.Is(err, model.ErrNoLeader) {
		t.Errorf("error is %v", err)
	}
}

func open(t *testing.T, dir string, f raft.FSM) *Group {
	t.Helper()
	streams, err := newStreams()
	if err != nil {
		t.Fatal(err)
	}
	g, err := Open(Config{Dir: dir, FSM: f, Streams: streams, Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestDiskGroupKeepsWhatWasAccepted(t *testing.T) {
	dir := t.TempDir()
	f := &list{}
	g := open(t, dir, f)
	if !g.Fresh() {
		t.Error("a new server has a log")
	}
	if err := g.Bootstrap([]Peer{{ID: g.ID(), Address: "127.0.0.1:1"}}); err != nil {
		t.Fatal(err)
	}
	leading(t, g)
	for i := range 100 {
		if _, _, err := g.Apply([]byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.Apply([]byte("after")); err != nil {
		t.Fatal(err)
	}
	id := g.ID()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}

	// It comes back with another address, written down by an operator.
	peers := fmt.Sprintf(`[{"id": %q, "address": "127.0.0.1:2"}]`, id)
	path := filepath.Join(dir, "peers.json")
	if err := os.WriteFile(path, []byte(peers), 0o600); err != nil {
		t.Fatal(err)
	}
	f = &list{}
	g = open(t, dir, f)
	defer g.Close()
	if g.Fresh() || g.ID() != id {
		t.Errorf("fresh %v, ID %s", g.Fresh(), g.ID())
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("peers.json would be read again")
	}
	leading(t, g)
	if err := g.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.len() != 101 {
		t.Errorf("%d entries are left", f.len())
	}
	members, _, err := g.Peers()
	if err != nil || len(members) != 1 || members[0].Address != "127.0.0.1:2" {
		t.Errorf("members are %+v, error %v", members, err)
	}
}
