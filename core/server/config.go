package server

import (
	"log/slog"
	"net"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/server/gc"
)

// Config says how a server runs. The zero value of a member means what its
// comment says.
type Config struct {
	Name       string // default: the host's name
	Region     string // default: global
	Datacenter string // default: dc1
	Version    string // of the program, shown to others

	// Dev runs a server alone and in memory: no DataDir, no gossip, a
	// leader at once. The port for calls is opened all the same.
	Dev bool
	// DataDir holds log, snapshots and the server's ID. Needed unless Dev.
	DataDir string

	// RPCAddr (host:port) is where agents and other servers connect; port 0
	// takes a free one.
	RPCAddr      string
	AdvertiseRPC string // host:port others use; default: as bound

	// GossipAddr (IP) and GossipPort are where gossip listens; port 0 takes
	// a free one. AdvertiseGossip (host:port) is what others use.
	GossipAddr      string
	GossipPort      int
	AdvertiseGossip string
	GossipKey       []byte // 16, 24 or 32 bytes; nil: gossip is not encrypted
	// FastGossip shortens timings for servers on one machine, for tests.
	FastGossip bool

	// BootstrapExpect is how many servers form the first group; 1 forms it
	// alone. 0: wait to be joined to an existing one.
	BootstrapExpect int
	// Join lists gossip addresses to make contact with, again every
	// RetryInterval (default 30 s) until one answered, at most RetryMax
	// times (0: for ever).
	Join          []string
	RetryInterval time.Duration
	RetryMax      int

	// RaftMultiplier slows down Raft's timings, 1 to 10; 0: 1.
	RaftMultiplier int

	// Schedulers is how many schedulers may compute at the same time; 0:
	// one for each processor. Negative: none, for tests.
	Schedulers int
	// EnabledSchedulers lists the types of job whose evaluations are
	// processed; nil: all.
	EnabledSchedulers []string

	MinHeartbeatTTL        time.Duration // 0: 10 s
	MaxHeartbeatsPerSecond float64       // 0: 50
	HeartbeatGrace         time.Duration // 0: 10 s
	FailoverHeartbeatTTL   time.Duration // 0: 5 min

	// GC says when what ended is forgotten.
	GC gc.Thresholds

	// MaxJobPriority bounds the priority of jobs; 0: 100.
	MaxJobPriority int

	// SchedulerConfig is what the scheduler starts with when the state has
	// no settings of its own yet; nil: the usual.
	SchedulerConfig *model.SchedulerConfiguration

	// Log; nil discards.
	Log *slog.Logger
}

func (c *Config) fill() {
	if c.Region == "" {
		c.Region = model.DefaultRegion
	}
	if c.Datacenter == "" {
		c.Datacenter = "dc1"
	}
	if c.Name == "" {
		c.Name = hostname()
	}
	if c.RPCAddr == "" {
		c.RPCAddr = "127.0.0.1:0"
	}
	if c.GossipAddr == "" {
		c.GossipAddr, _, _ = net.SplitHostPort(c.RPCAddr)
	}
	if c.RetryInterval == 0 {
		c.RetryInterval = 30 * time.Second
	}
	if c.MaxJobPriority == 0 {
		c.MaxJobPriority = model.MaxJobPriority
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
