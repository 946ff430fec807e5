// Package consensus runs the Raft group of a region's servers.
//
// It wires hashicorp/raft: the log is a write-ahead log on disk (raft-wal),
// every accepted write is on the disk of a majority before it is answered, and
// entries that wait at the same time share one write to disk. Snapshots are
// files beside the log. A server without a data directory keeps everything in
// memory; it is its group's only member.
//
// Under the data directory:
//
//	server-id        the server's ID, a UUID
//	wal/             log segments, term and vote
//	snapshots/       the last snapshots
//	peers.json       optional: read once and deleted, replaces the group's members
package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"

	"github.com/seraiproject/serai/core/model"
)

// Config says how a server takes part in the group.
type Config struct {
	// Dir holds log and snapshots; empty keeps them in memory, and the
	// server is the only member.
	Dir string
	// ID is the server's ID; empty: read from Dir, or made.
	ID string
	// Streams carries Raft's connections to the other members. It is not
	// used when Dir is empty.
	Streams raft.StreamLayer
	// Address is where other members reach Streams.
	Address string
	// FSM applies the log.
	FSM raft.FSM
	// Multiplier slows down heartbeats and elections, 1 to 10; 0: 1.
	Multiplier int
	// Logger; nil discards.
	Logger *slog.Logger
}

// A Group is this server's membership of the Raft group. It is safe for use by
// many goroutines.
type Group struct {
	raft     *raft.Raft
	id       string
	address  string
	fresh    bool
	leading  chan bool
	closers  []io.Closer
	stopped  chan struct{}
	inMemory bool

	mu       sync.RWMutex
	closing  bool
	inFlight sync.WaitGroup // entries begun and not waited for
}

const (
	snapshotsKept     = 2
	snapshotThreshold = 8192
	trailingLogs      = 10240
	maxBatch          = 1024
	dialTimeout       = 10 * time.Second
)

// Open starts to take part. A server that has no log yet waits to be added to
// a group, or for Bootstrap.
func Open(cfg Config) (*Group, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Group{
		id: cfg.ID, address: cfg.Address, leading: make(chan bool, 1), stopped: make(chan struct{}),
		inMemory: cfg.Dir == "",
	}
	if err := g.open(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open raft group: %w", err), g.closeFiles())
	}
	return g, nil
}

func (g *Group) open(cfg Config) error {
	log := newHCLog(cfg.Logger.With("subsystem", "raft"))
	rc := raft.DefaultConfig()
	rc.Logger = log
	rc.BatchApplyCh = true
	rc.MaxAppendEntries = maxBatch
	rc.SnapshotThreshold = snapshotThreshold
	rc.TrailingLogs = trailingLogs
	notify := make(chan bool, 16)
	rc.NotifyCh = notify

	var (
		logs      raft.LogStore
		stable    raft.StableStore
		snapshots raft.SnapshotStore
		transport raft.Transport
	)
	if cfg.Dir == "" {
		if g.id == "" {
			g.id = model.NewUUID()
		}
		if g.address == "" {
			g.address = "memory"
		}
		// Nobody can be missed, so there is nothing to wait for.
		rc.HeartbeatTimeout, rc.ElectionTimeout, rc.LeaderLeaseTimeout = 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
		rc.CommitTimeout = 20 * time.Millisecond
		store := raft.NewInmemStore()
		logs, stable, snapshots = store, store, raft.NewInmemSnapshotStore()
		_, transport = raft.NewInmemTransport(raft.ServerAddress(g.address))
	} else {
		var err error
		if g.id, err = serverID(cfg.Dir, g.id); err != nil {
			return err
		}
		scale := time.Duration(max(cfg.Multiplier, 1))
		rc.HeartbeatTimeout *= scale
		rc.ElectionTimeout *= scale
		rc.LeaderLeaseTimeout *= scale
		dir := filepath.Join(cfg.Dir, "wal")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make log directory: %w", err)
		}
		// The log does not close its meta store itself.
		meta := &metadb.BoltMetaDB{}
		g.closers = append(g.closers, meta)
		w, err := wal.Open(dir, wal.WithMetaStore(meta), wal.WithLogger(log.Named("wal")), wal.WithSegmentSize(16<<20))
		if err != nil {
			return fmt.Errorf("open log in %s: %w", dir, err)
		}
		g.closers = append(g.closers, w)
		logs, stable = w, w
		if logs, err = raft.NewLogCache(512, w); err != nil {
			return err
		}
		if snapshots, err = raft.NewFileSnapshotStoreWithLogger(cfg.Dir, snapshotsKept, log.Named("snapshot")); err != nil {
			return fmt.Errorf("open snapshots in %s: %w", cfg.Dir, err)
		}
		transport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: cfg.Streams, MaxPool: 3, Timeout: dialTimeout, Logger: log.Named("transport"), MaxRPCsInFlight: 128,
		})
	}
	if c, ok := transport.(io.Closer); ok {
		g.closers = append(g.closers, c)
	}
	rc.LocalID = raft.ServerID(g.id)

	used, err := raft.HasExistingState(logs, stable, snapshots)
	if err != nil {
		return err
	}
	g.fresh = !used
	if cfg.Dir != "" {
		if err := recoverPeers(filepath.Join(cfg.Dir, "peers.json"), rc, cfg.FSM, logs, stable, snapshots, transport, cfg.Logger); err != nil {
			return err
		}
	}
	if g.raft, err = raft.NewRaft(rc, cfg.FSM, logs, stable, snapshots, transport); err != nil {
		return err
	}
	go g.watchLeadership(notify)
	if g.inMemory {
		return g.Bootstrap([]Peer{{ID: g.id, Address: g.address}})
	}
	return nil
}

// recoverPeers replaces the members of the group by those that an operator
// wrote down after a majority was lost for good.
func recoverPeers(path string, rc *raft.Config, fsm raft.FSM, logs raft.LogStore, stable raft.StableStore,
	snapshots raft.SnapshotStore, transport raft.Transport, log *slog.Logger,
) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	members, err := raft.ReadConfigJSON(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := raft.RecoverCluster(rc, fsm, logs, stable, snapshots, transport, members); err != nil {
		return fmt.Errorf("recover group from %s: %w", path, err)
	}
	log.Info("the group's members were replaced by those of peers.json", "path", path, "members", len(members.Servers))
	return os.Remove(path)
}

// serverID reads the server's ID, and makes it (the given one, if any) when
// there is none yet.
func serverID(dir, id string) (string, error) {
	path := filepath.Join(dir, "server-id")
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read server ID: %w", err)
	}
	if id == "" {
		id = model.NewUUID()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make server directory: %w", err)
	}
	if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write server ID: %w", err)
	}
	return id, nil
}

// watchLeadership hands on the newest of what raft says, so that nobody can
// hold raft up.
func (g *Group) watchLeadership(notify <-chan bool) {
	for {
		select {
		case leading := <-notify:
			select {
			case <-g.leading:
			default:
			}
			g.leading <- leading
		case <-g.stopped:
			return
		}
	}
}

// Leading tells when this server becomes leader (true) or ceases to be. Only
// the newest news is kept; there may be one receiver.
func (g *Group) Leading() <-chan bool { return g.leading }

// ID is the server's ID.
func (g *Group) ID() string { return g.id }

// Fresh reports whether the server had no log when it was opened.
func (g *Group) Fresh() bool { return g.fresh }

// A Peer is a member of the group.
type Peer struct {
	ID      string
	Address string
	Voter   bool
	Leader  bool
}

// Bootstrap makes a new group. Every first member may call it with the same
// peers; all of them vote. A server that has a log already is left alone.
func (g *Group) Bootstrap(peers []Peer) error {
	var c raft.Configuration
	for _, p := range peers {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Address)})
	}
	err := g.raft.BootstrapCluster(c).Error()
	if err != nil && !errors.Is(err, raft.ErrCantBootstrap) {
		return fmt.Errorf("bootstrap raft group: %w", err)
	}
	return nil
}

// Apply writes an entry and waits until it is applied here. The answer is the
// state machine's; an answer that is an error is returned as the error.
// model.ErrNoLeader says that this server does not lead, or ceased to before
// the entry was certain.
func (g *Group) Apply(entry []byte) (index uint64, answer any, err error) {
	return g.Begin(entry).Wait()
}

// A Pending is an entry that is on its way. Wait must be called once.
type Pending struct {
	g *Group
	f raft.ApplyFuture // nil: the group is closing
}

// Begin starts to write an entry. Entries are applied in the order in which
// one goroutine began them.
func (g *Group) Begin(entry []byte) Pending {
	if !g.enter() {
		return Pending{}
	}
	return Pending{g, g.raft.Apply(entry, 0)}
}

// enter notes that something waits for raft; it must end with inFlight.Done. A
// raft that was shut down leaves some waiting for ever.
func (g *Group) enter() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closing {
		return false
	}
	g.inFlight.Add(1)
	return true
}

// Wait waits until the entry was applied here; see Group.Apply.
func (p Pending) Wait() (index uint64, answer any, err error) {
	if p.f == nil {
		return 0, nil, model.ErrNoLeader
	}
	defer p.g.inFlight.Done()
	if err := p.f.Error(); err != nil {
		return 0, nil, leaderError(err)
	}
	answer = p.f.Response()
	if err, ok := answer.(error); ok {
		return 0, nil, err
	}
	return p.f.Index(), answer, nil
}

func leaderError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipLost),
		errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrRaftShutdown), errors.Is(err, raft.ErrAbortedByRestore):
		return model.Errorf(model.ErrNoLeader, "%s: %w", model.ErrNoLeader, err)
	}
	return fmt.Errorf("write to the raft log: %w", err)
}

// Barrier waits until everything that was accepted before is applied here.
func (g *Group) Barrier(ctx context.Context) error {
	if !g.enter() {
		return model.ErrNoLeader
	}
	done := make(chan error, 1)
	f := g.raft.Barrier(0)
	go func() {
		defer g.inFlight.Done()
		done <- f.Error()
	}()
	select {
	case err := <-done:
		if err != nil {
			return leaderError(err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// IsLeader reports whether this server leads, as far as it knows.
func (g *Group) IsLeader() bool { return g.raft.State() == raft.Leader }

// Leader returns the leader's address and ID; empty when there is none.
func (g *Group) Leader() (address, id string) {
	a, i := g.raft.LeaderWithID()
	return string(a), string(i)
}

// LastContact is how long ago this server heard from the leader; 0 on the
// leader itself.
func (g *Group) LastContact() time.Duration {
	if g.IsLeader() {
		return 0
	}
	last := g.raft.LastContact()
	if last.IsZero() {
		return 0
	}
	return time.Since(last)
}

// Applied is the index of the last entry that was applied here.
func (g *Group) Applied() uint64 { return g.raft.AppliedIndex() }

// Peers lists the members of the group.
func (g *Group) Peers() (peers []Peer, index uint64, err error) {
	f := g.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, 0, leaderError(err)
	}
	_, leader := g.Leader()
	for _, s := range f.Configuration().Servers {
		peers = append(peers, Peer{
			ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter, Leader: string(s.ID) == leader,
		})
	}
	return peers, f.Index(), nil
}

// AddVoter adds a member, or changes the address of one.
func (g *Group) AddVoter(id, address string) error {
	if err := g.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(address), 0, dialTimeout).Error(); err != nil {
		return fmt.Errorf("add server %s to the raft group: %w", id, leaderError(err))
	}
	return nil
}

// Remove removes a member.
func (g *Group) Remove(id string) error {
	if err := g.raft.RemoveServer(raft.ServerID(id), 0, dialTimeout).Error(); err != nil {
		return fmt.Errorf("remove server %s from the raft group: %w", id, leaderError(err))
	}
	return nil
}

// Transfer hands leadership to a member, or with an empty ID to any.
func (g *Group) Transfer(id, address string) error {
	var f raft.Future
	if id == "" {
		f = g.raft.LeadershipTransfer()
	} else {
		f = g.raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(address))
	}
	if err := f.Error(); err != nil {
		return fmt.Errorf("transfer leadership: %w", leaderError(err))
	}
	return nil
}

// Snapshot takes a snapshot now, and lets the log before it go.
func (g *Group) Snapshot() error {
	if err := g.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("take snapshot: %w", err)
	}
	return nil
}

// Stats are raft's own figures, as GET /v1/agent/self shows them.
func (g *Group) Stats() map[string]string { return g.raft.Stats() }

// Close stops to take part, once everything that was begun has come to an end.
// The other members notice by silence.
func (g *Group) Close() error {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	g.inFlight.Wait()
	err := g.raft.Shutdown().Error()
	close(g.stopped)
	return errors.Join(err, g.closeFiles())
}

func (g *Group) closeFiles() error {
	var errs []error
	for i := len(g.closers) - 1; i >= 0; i-- {
		errs = append(errs, g.closers[i].Close())
	}
	g.closers = nil
	return errors.Join(errs...)
}
