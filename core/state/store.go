package state

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	memdb "github.com/hashicorp/go-memdb"
)

// A WatchSet collects what a read looked at, to wait for a change of it.
type WatchSet = memdb.WatchSet

// NewWatchSet returns an empty WatchSet.
func NewWatchSet() WatchSet { return memdb.NewWatchSet() }

// A Store holds the state. One goroutine writes (Begin); any may read.
type Store struct {
	data atomic.Pointer[data]
}

// data is replaced as a whole by a restored snapshot.
type data struct {
	db       *memdb.MemDB
	replaced chan struct{} // closed when another took its place
}

// New returns a store with what exists without being created: the default
// namespace, the built-in node pools and the scheduler's default settings.
func New() *Store {
	s := &Store{}
	s.data.Store(newData())
	t := s.Begin()
	t.At(1)
	t.bootstrap()
	t.Flush()
	t.Commit()
	return s
}

// Empty returns a store without content, to be filled by a restore.
func Empty() *Store {
	s := &Store{}
	s.data.Store(newData())
	return s
}

func newData() *data {
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		panic("state: schema is wrong: " + err.Error())
	}
	return &data{db: db, replaced: make(chan struct{})}
}

// Replace makes s hold what other holds, and wakes all who wait on s. Other
// must not be used any more.
func (s *Store) Replace(other *Store) {
	old := s.data.Swap(other.data.Load())
	close(old.replaced)
}

// Snapshot returns the state as it is now. It costs next to nothing and never
// changes.
func (s *Store) Snapshot() *Snapshot {
	d := s.data.Load()
	return newSnapshot(d.db.Txn(false), d.replaced)
}

// Watch is Snapshot for a loop of its own: ws also fires when a restored
// snapshot replaces the state.
func (s *Store) Watch(ws WatchSet) *Snapshot {
	snap := s.Snapshot()
	ws.Add(snap.replaced)
	return snap
}

// Index returns the index of the last change.
func (s *Store) Index() uint64 { return s.Snapshot().Index() }

// WaitIndex waits until the state has reached index, and returns a snapshot
// that has.
func (s *Store) WaitIndex(ctx context.Context, index uint64) (*Snapshot, error) {
	for {
		ws := NewWatchSet()
		snap := s.Snapshot()
		if snap.latest(ws) >= index {
			return snap, nil
		}
		ws.Add(snap.replaced)
		if err := ws.WatchCtx(ctx); err != nil {
			return nil, err
		}
	}
}

// Block runs read on fresh snapshots until it answers an index above min, or
// wait has passed, or ctx ends. read adds what it looks at to the WatchSet.
// The last answer stands; only an error of read or the end of ctx is an error.
// min 0 does not wait.
func (s *Store) Block(ctx context.Context, min uint64, wait time.Duration, read func(WatchSet, *Snapshot) (uint64, error)) error {
	if min == 0 {
		_, err := read(nil, s.Snapshot())
		return err
	}
	limit, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		ws := NewWatchSet()
		snap := s.Snapshot()
		ws.Add(snap.replaced)
		index, err := read(ws, snap)
		if err != nil || index > min {
			return err
		}
		if ws.WatchCtx(limit) != nil {
			return ctx.Err()
		}
	}
}

// A Snapshot is the state at one index. It is safe for use by many goroutines.
type Snapshot struct {
	txn      *memdb.Txn
	replaced chan struct{}
	index    uint64
}

func newSnapshot(txn *memdb.Txn, replaced chan struct{}) *Snapshot {
	s := &Snapshot{txn: txn, replaced: replaced}
	s.index = s.latest(nil)
	return s
}

// latestTable has the index that every change moves.
const latestTable Table = "*"

func (s *Snapshot) latest(ws WatchSet) uint64 { return s.tableIndex(ws, latestTable) }

// Index is the index of the last change in the snapshot.
func (s *Snapshot) Index() uint64 { return s.index }

// TableIndex is the index of the last change of the tables: the highest of
// them, at least 1.
func (s *Snapshot) TableIndex(tables ...Table) uint64 {
	index := uint64(1)
	for _, t := range tables {
		index = max(index, s.tableIndex(nil, t))
	}
	return index
}

func (s *Snapshot) tableIndex(ws WatchSet, t Table) uint64 {
	row, ok := first[*tableIndexes](s, ws, tableIndex, byID, clusterKey)
	if !ok {
		return 0
	}
	return row.of[position[t]]
}

// first returns the row with the key. Lookups can only go wrong by a mistake
// in this package, so they panic.
func first[T any](s *Snapshot, ws WatchSet, t Table, index string, key []byte) (row T, ok bool) {
	ch, obj, err := s.txn.FirstWatch(string(t), index, key)
	if err != nil {
		panic("state: " + err.Error())
	}
	if ws != nil {
		ws.Add(ch)
	}
	if obj == nil {
		return row, false
	}
	return obj.(T), true
}

// rows returns the rows whose key starts with prefix, in the order of the
// index.
func rows[T any](s *Snapshot, ws WatchSet, t Table, index string, prefix []byte) iter.Seq[T] {
	// A sequence may be walked twice; an iterator only once.
	walk := func() memdb.ResultIterator {
		it, err := s.txn.Get(string(t), index+"_prefix", prefix)
		if err != nil {
			panic("state: " + err.Error())
		}
		return it
	}
	if ws != nil {
		ws.Add(walk().WatchCh())
	}
	return func(yield func(T) bool) {
		it := walk()
		for obj := it.Next(); obj != nil; obj = it.Next() {
			if !yield(obj.(T)) {
				return
			}
		}
	}
}

// rowsReverse is rows from the last to the first.
func rowsReverse[T any](s *Snapshot, t Table, index string, prefix []byte) iter.Seq[T] {
	return func(yield func(T) bool) {
		it, err := s.txn.GetReverse(string(t), index+"_prefix", prefix)
		if err != nil {
			panic("state: " + err.Error())
		}
		for obj := it.Next(); obj != nil; obj = it.Next() {
			if !yield(obj.(T)) {
				return
			}
		}
	}
}
