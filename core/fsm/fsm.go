package fsm

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/seraiproject/serai/core/state"
)

// FSM applies log entries to a state store. It implements raft.BatchingFSM:
// the entries of a batch become visible together.
type FSM struct {
	store    *state.Store
	observer atomic.Pointer[Observer]
}

var _ raft.BatchingFSM = (*FSM)(nil)

// An Observer is told of changes, in their order, by the goroutine that applied
// them. It must not block.
type Observer func(*state.Changes)

// New returns an FSM of an initial state.
func New() *FSM { return &FSM{store: state.New()} }

// Store is the state. Only the FSM writes to it.
func (f *FSM) Store() *state.Store { return f.store }

// Observe sets who is told of changes from now on; nil for nobody. Changes that
// were applied before Observe returned may or may not be told.
func (f *FSM) Observe(o Observer) {
	if o == nil {
		f.observer.Store(nil)
		return
	}
	f.observer.Store(&o)
}

// Apply applies one log entry.
func (f *FSM) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies log entries in order. The answer to each is an error or
// what its command says it answers.
func (f *FSM) ApplyBatch(logs []*raft.Log) []any {
	answers := make([]any, len(logs))
	t := f.store.Begin()
	for i, l := range logs {
		if l.Type != raft.LogCommand {
			continue
		}
		c, err := Decode(l.Data)
		if err != nil {
			// A server that cannot read an entry that others can would
			// go on with another state than theirs.
			panic(fmt.Sprintf("fsm: log entry %d: %v", l.Index, err))
		}
		t.At(l.Index)
		answer, err := c.apply(t, l.Index)
		if err != nil {
			answers[i] = err
			continue
		}
		t.Flush()
		answers[i] = answer
	}
	changes := t.Commit()
	if o := f.observer.Load(); o != nil && !changes.Empty() {
		(*o)(changes)
	}
	return answers
}

// Snapshot takes a snapshot. It costs next to nothing; writing it does.
func (f *FSM) Snapshot() (raft.FSMSnapshot, error) {
	return &snapshot{f.store.Snapshot()}, nil
}

// Restore replaces the state by a snapshot.
func (f *FSM) Restore(in io.ReadCloser) error {
	store, err := ReadSnapshot(in)
	if err = errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	f.store.Replace(store)
	return nil
}

// snapshot is a state to be written.
type snapshot struct{ snap *state.Snapshot }

func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	if err := WriteSnapshot(sink, s.snap); err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	return sink.Close()
}

func (s *snapshot) Release() {}
