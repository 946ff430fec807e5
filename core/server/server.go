// Package server is the part of an agent that decides: it keeps the state of a
// region with other servers, answers calls, runs the scheduler and looks after
// nodes.
//
// Every server answers calls and keeps the state. One of them, the leader, also
// runs the leader services (see leader.go): the evaluation broker and workers,
// the planner, heartbeats, deployments, drains, periodic jobs and garbage
// collection. Each service has a Run(ctx) error that ends with leadership.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seraiproject/serai/core/consensus"
	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/membership"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/state"
	"github.com/seraiproject/serai/core/transport"
)

// A Server is one member of a region. It is safe for use by many goroutines.
type Server struct {
	cfg      Config
	log      *slog.Logger
	fsm      *fsm.FSM
	store    *state.Store
	group    *consensus.Group
	known    []string // gossip addresses of the others, as saved
	listener *transport.Listener
	pool     *transport.Pool
	mux      *rpc.Mux
	router   *transport.Router
	members  *membership.Pool // nil in dev mode
	rpcAddr  string           // that others use
	started  time.Time

	// leader is what runs while this server leads; nil otherwise.
	leader atomic.Pointer[leadership]
	events chan membership.Event

	abrupt bool // stops as if it crashed, for tests

	ctx    context.Context // ends at Shutdown
	cancel context.CancelFunc
	work   sync.WaitGroup
	once   sync.Once
	down   error
}

func hostname() string {
	if h, err := os.Hostname(); err == nil {
		return h
	}
	return "server"
}

// New starts a server. It returns as soon as calls are answered; there may be
// no leader yet.
func New(cfg Config) (*Server, error) {
	cfg.fill()
	s := &Server{
		cfg: cfg, log: cfg.Log, fsm: fsm.New(), pool: transport.NewPool(), mux: rpc.NewMux(),
		events: make(chan membership.Event, 256), started: time.Now(),
	}
	s.store = s.fsm.Store()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start server: %w", err), s.stop())
	}
	return s, nil
}

func (s *Server) start() (err error) {
	if s.cfg.DataDir == "" && !s.cfg.Dev {
		return errors.New("no data directory is set; set data_dir, or use dev mode")
	}
	if s.listener, err = transport.Listen(s.cfg.RPCAddr, s.log); err != nil {
		return err
	}
	s.rpcAddr = s.cfg.AdvertiseRPC
	if s.rpcAddr == "" {
		s.rpcAddr = advertised(s.listener.Addr())
	}
	if tcp, err := net.ResolveTCPAddr("tcp", s.rpcAddr); err == nil {
		s.listener.Raft().Advertise = tcp
	}
	dir := ""
	if !s.cfg.Dev {
		dir = s.cfg.DataDir
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make server directory: %w", err)
		}
	}
	s.group, err = consensus.Open(consensus.Config{
		Dir: dir, Streams: s.listener.Raft(), Address: s.rpcAddr, FSM: s.fsm,
		Multiplier: s.cfg.RaftMultiplier, Logger: s.log,
	})
	if err != nil {
		return err
	}
	if !s.cfg.Dev {
		if err := s.startMembership(); err != nil {
			return err
		}
	}
	s.router = transport.NewRouter(s.cfg.Region, s.mux, s.pool, (*topology)(s))
	s.handle()
	s.work.Go(s.lead)
	s.listener.Serve(s.router)
	return nil
}

// advertised replaces an unspecified IP, which others cannot use, by loopback.
func advertised(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if ok && t.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", fmt.Sprint(t.Port))
	}
	return a.String()
}

// Caller carries the calls of this server's own agent: answered here, by the
// leader or in another region, as each call needs.
func (s *Server) Caller() rpc.Caller { return s.router }

// ID is the server's ID in Raft, which it keeps in its data folder.
func (s *Server) ID() string { return s.group.ID() }

// Addr is the address (host:port) that others use for calls.
func (s *Server) Addr() string { return s.rpcAddr }

// Store is the state of this server, for tests and metrics. Only Raft writes.
func (s *Server) Store() *state.Store { return s.store }

// IsLeader reports whether this server leads and its services run.
func (s *Server) IsLeader() bool { return s.leader.Load() != nil }

// Join makes contact with other servers by gossip and returns how many
// answered.
func (s *Server) Join(addrs []string) (int, error) {
	if s.members == nil {
		return 0, model.Errorf(model.ErrUnsupported, "join servers: a server in dev mode is alone")
	}
	return s.members.Join(addrs)
}

// ForceLeave has a failed server forgotten. It reports whether there was one.
func (s *Server) ForceLeave(name string) bool {
	if s.members == nil {
		return false
	}
	if s.members.Forget(name) {
		return true
	}
	return s.members.Forget(name + "." + s.cfg.Region)
}

// Leave takes this server out of the group for good: the others do not wait
// for it any more. Shutdown must follow.
func (s *Server) Leave() error {
	if s.members == nil {
		return nil
	}
	peers, _, err := s.group.Peers()
	if err != nil {
		return err
	}
	if len(peers) > 1 {
		s.handOver()
		ctx, cancel := context.WithTimeout(s.ctx, transport.HoldForLeader)
		defer cancel()
		req := &rpc.RaftRemovePeerRequest{ID: s.group.ID()}
		if _, err := rpc.OperatorRaftRemovePeer.Call(ctx, s.router, req); err != nil {
			s.log.Warn("the server leaves without having been removed from the raft group", "error", err)
		}
	}
	return s.members.Leave()
}

// Shutdown stops everything and waits for it. What was accepted is on disk.
func (s *Server) Shutdown(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.stop() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("stop server: %w", ctx.Err())
	}
}

func (s *Server) stop() error {
	s.once.Do(func() {
		s.handOver()
		s.cancel()
		var errs []error
		if s.members != nil {
			errs = append(errs, s.members.Close())
		}
		errs = append(errs, s.pool.Close())
		// What writes ends before what it writes to.
		s.work.Wait()
		if s.group != nil {
			errs = append(errs, s.group.Close())
		}
		if s.listener != nil {
			errs = append(errs, s.listener.Close())
		}
		if s.router != nil {
			s.router.Wait()
		}
		s.down = errors.Join(errs...)
	})
	return s.down
}

// handOver lets another server lead, so that nobody has to notice by silence
// that this one is gone.
func (s *Server) handOver() {
	if s.group == nil || s.abrupt || !s.group.IsLeader() {
		return
	}
	if peers, _, err := s.group.Peers(); err != nil || len(peers) < 2 {
		return
	}
	if err := s.group.Transfer("", ""); err != nil {
		s.log.Warn("leadership is not handed over", "error", err)
	}
}

// Stats are figures about this server, by subject, as GET /v1/agent/self shows
// them.
func (s *Server) Stats() map[string]map[string]string {
	leader, here := (*topology)(s).Leader()
	about := map[string]string{
		"server": "true", "leader": fmt.Sprint(here), "leader_addr": leader,
		"known_regions": fmt.Sprint(len((*topology)(s).regions())), "bootstrap": fmt.Sprint(s.cfg.BootstrapExpect > 0),
	}
	stats := map[string]map[string]string{"nomad": about, "raft": s.group.Stats()}
	if l := s.leader.Load(); l != nil {
		n := l.broker.Stats()
		stats["broker"] = map[string]string{
			"ready": fmt.Sprint(n.Ready), "unacked": fmt.Sprint(n.Unacked), "pending": fmt.Sprint(n.Pending),
			"waiting": fmt.Sprint(n.Waiting), "blocked": fmt.Sprint(l.blocked.Len()), "plans": fmt.Sprint(l.planner.Len()),
			"heartbeats": fmt.Sprint(l.heartbeats.Len()),
		}
	}
	return stats
}

// apply writes a command and waits until it is applied here.
func (s *Server) apply(c fsm.Command) (index uint64, answer any, err error) {
	p, err := s.begin(c)
	if err != nil {
		return 0, nil, err
	}
	return p.Wait()
}

// begin starts to write a command.
func (s *Server) begin(c fsm.Command) (consensus.Pending, error) {
	entry, err := fsm.Encode(c)
	if err != nil {
		return consensus.Pending{}, err
	}
	return s.group.Begin(entry), nil
}
