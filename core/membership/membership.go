// Package membership is the gossip between servers: who there is, in which
// region, and at which address.
//
// Servers of all regions form one pool over hashicorp/memberlist (SWIM: every
// server probes others, and news spreads by gossip). Each carries tags, which
// say what the others need to know to form a Raft group and to forward calls.
// Gossip says who is there; who votes is decided by the leader, from the events
// of this package.
package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Status of a member.
const (
	Alive   = "alive"
	Leaving = "leaving"
	Left    = "left"
	Failed  = "failed"
)

// Config says how a server takes part in gossip.
type Config struct {
	// Name is unique in the pool: <server>.<region>.
	Name string
	// BindAddr is the IP to listen on, for TCP and UDP; Port 0 takes a free
	// one.
	BindAddr string
	Port     int
	// AdvertiseAddr (IP) and AdvertisePort are where others reach it;
	// empty and 0: as bound.
	AdvertiseAddr string
	AdvertisePort int
	// Key encrypts gossip: 16, 24 or 32 bytes; nil: none.
	Key []byte
	// Tags say what others need to know, at most 512 bytes with their names.
	Tags map[string]string
	// Fast shortens timings for servers on one machine.
	Fast bool
	// Events is called for each change, one at a time; it must not block.
	Events func(Event)
	// Logger; nil discards.
	Logger *slog.Logger
}

// A Member is a server as gossip knows it.
type Member struct {
	Name   string
	Addr   net.IP
	Port   uint16
	Tags   map[string]string
	Status string
	// Since is when the status was last seen to change.
	Since time.Time
}

// Tag returns a tag; empty when there is none.
func (m Member) Tag(name string) string { return m.Tags[name] }

// An Event is a change of one member: it joined, its tags changed, it left or
// it failed.
type Event struct{ Member Member }

// tagLeaving is set by a server that is about to leave.
const tagLeaving = "leaving"

// Timings of the pool.
const (
	forgetAfter  = 72 * time.Hour   // failed and left members
	rejoinEvery  = 30 * time.Second // failed members are asked again
	leaveTimeout = 5 * time.Second
)

// A Pool is this server's part in gossip. It is safe for use by many
// goroutines.
type Pool struct {
	cfg  Config
	list *memberlist.Memberlist
	addr string // the library changes its own copy without a lock
	log  *slog.Logger

	mu      sync.Mutex
	members map[string]Member
	tags    map[string]string

	cancel context.CancelFunc
	work   sync.WaitGroup
}

// Start begins to listen. The server is alone until Join.
func Start(cfg Config) (*Pool, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Events == nil {
		cfg.Events = func(Event) {}
	}
	p := &Pool{cfg: cfg, log: cfg.Logger, members: map[string]Member{}, tags: copyTags(cfg.Tags)}
	mc := memberlist.DefaultWANConfig()
	if cfg.Fast {
		mc = memberlist.DefaultLocalConfig()
	}
	mc.Name, mc.BindAddr, mc.BindPort = cfg.Name, cfg.BindAddr, cfg.Port
	mc.AdvertiseAddr, mc.AdvertisePort = cfg.AdvertiseAddr, cfg.AdvertisePort
	if mc.AdvertisePort == 0 {
		mc.AdvertisePort = cfg.Port
	}
	mc.SecretKey = cfg.Key
	mc.Delegate, mc.Events, mc.Conflict = (*delegate)(p), (*events)(p), (*conflicts)(p)
	mc.LogOutput = &logWriter{p.log}
	if len(encodeTags(p.tags)) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("start gossip: the tags of %s take more than %d bytes", cfg.Name, memberlist.MetaMaxSize)
	}
	list, err := memberlist.Create(mc)
	if err != nil {
		return nil, fmt.Errorf("start gossip on %s: %w", net.JoinHostPort(cfg.BindAddr, strconv.Itoa(cfg.Port)), err)
	}
	p.list = list
	p.addr = list.LocalNode().Address()
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.work.Go(func() { p.keepUp(ctx) })
	return p, nil
}

// Addr is where others reach this server.
func (p *Pool) Addr() string { return p.addr }

// Join makes contact with servers at the given addresses (host or host:port)
// and returns how many answered. It is an error when none did.
func (p *Pool) Join(addrs []string) (int, error) {
	n, err := p.list.Join(addrs)
	if n > 0 {
		return n, nil
	}
	if err != nil {
		return 0, fmt.Errorf("join servers %s: %w", strings.Join(addrs, ", "), err)
	}
	return 0, nil
}

// SetTags replaces this server's tags and tells the others.
func (p *Pool) SetTags(tags map[string]string) error {
	if len(encodeTags(tags)) > memberlist.MetaMaxSize {
		return fmt.Errorf("set gossip tags: they take more than %d bytes", memberlist.MetaMaxSize)
	}
	p.mu.Lock()
	p.tags = copyTags(tags)
	p.mu.Unlock()
	return p.list.UpdateNode(leaveTimeout)
}

func copyTags(tags map[string]string) map[string]string {
	out := make(map[string]string, len(tags)+1)
	maps.Copy(out, tags)
	return out
}

// Members lists all servers that are known, by name.
func (p *Pool) Members() []Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.members), func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
}

// Forget drops a member that is not alive: it is not asked to come back any
// more. It reports whether there was one.
func (p *Pool) Forget(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.members[name]
	if !ok || m.Status == Alive {
		return false
	}
	delete(p.members, name)
	return true
}

// Leave tells the others that this server goes for good.
func (p *Pool) Leave() error {
	p.mu.Lock()
	p.tags[tagLeaving] = "1"
	p.mu.Unlock()
	// Gossip itself does not tell others if a server left or failed; the
	// tag does, and goes out first.
	if err := p.list.UpdateNode(leaveTimeout); err != nil {
		p.log.Warn("not every server may know that this one leaves", "error", err)
	}
	if err := p.list.Leave(leaveTimeout); err != nil {
		return fmt.Errorf("leave the pool of servers: %w", err)
	}
	return nil
}

// Close stops gossip. Without Leave the others take this server for failed.
func (p *Pool) Close() error {
	p.cancel()
	err := p.list.Shutdown()
	p.work.Wait()
	return err
}

// keepUp asks failed members to come back and forgets those long gone.
func (p *Pool) keepUp(ctx context.Context) {
	tick := time.NewTicker(rejoinEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, m := range p.Members() {
			switch {
			case m.Status == Alive, m.Status == Leaving:
			case time.Since(m.Since) > forgetAfter:
				p.Forget(m.Name)
			case m.Status == Failed:
				// Its silence is no news.
				_, _ = p.list.Join([]string{net.JoinHostPort(m.Addr.String(), strconv.Itoa(int(m.Port)))})
			}
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// change notes what gossip says of a member and tells of it.
func (p *Pool) change(n *memberlist.Node, status string) {
	m := Member{
		Name: n.Name, Addr: slices.Clone(n.Addr), Port: n.Port, Tags: decodeTags(n.Meta), Status: status, Since: time.Now(),
	}
	p.mu.Lock()
	if len(m.Tags) == 0 {
		if old, ok := p.members[n.Name]; ok {
			m.Tags = old.Tags
		}
	}
	if m.Tags[tagLeaving] != "" {
		delete(m.Tags, tagLeaving)
		if status == Alive {
			m.Status = Leaving
		}
	}
	p.members[n.Name] = m
	p.mu.Unlock()
	p.cfg.Events(Event{m})
}

type events Pool

func (e *events) NotifyJoin(n *memberlist.Node)   { (*Pool)(e).change(n, Alive) }
func (e *events) NotifyUpdate(n *memberlist.Node) { (*Pool)(e).change(n, Alive) }

func (e *events) NotifyLeave(n *memberlist.Node) {
	status := Failed
	if decodeTags(n.Meta)[tagLeaving] != "" {
		status = Left
	}
	(*Pool)(e).change(n, status)
}

type conflicts Pool

func (c *conflicts) NotifyConflict(existing, other *memberlist.Node) {
	c.log.Error("two servers have the same name; give one of them another",
		"name", existing.Name, "address", existing.Address(), "other", other.Address())
}

// delegate tells memberlist of this server's tags.
type delegate Pool

func (d *delegate) NodeMeta(limit int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return encodeTags(d.tags)
}

func (d *delegate) NotifyMsg([]byte)                {}
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *delegate) LocalState(bool) []byte          { return nil }
func (d *delegate) MergeRemoteState([]byte, bool)   {}

// encodeTags writes tags as name, value, name, value, each ended by a zero
// byte, sorted by name.
func encodeTags(tags map[string]string) []byte {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		b = append(append(b, name...), 0)
		b = append(append(b, tags[name]...), 0)
	}
	return b
}

func decodeTags(b []byte) map[string]string {
	tags := map[string]string{}
	parts := strings.Split(string(b), "\x00")
	for i := 0; i+2 < len(parts); i += 2 {
		tags[parts[i]] = parts[i+1]
	}
	return tags
}

// logWriter hands memberlist's log lines on.
type logWriter struct{ to *slog.Logger }

func (w *logWriter) Write(b []byte) (int, error) {
	line := strings.TrimSpace(string(b))
	level := slog.LevelDebug
	for prefix, l := range map[string]slog.Level{"[WARN]": slog.LevelWarn, "[ERR]": slog.LevelError, "[INFO]": slog.LevelInfo} {
		if i := strings.Index(line, prefix); i >= 0 {
			line, level = strings.TrimSpace(line[i+len(prefix):]), l
		}
	}
	w.to.Log(context.Background(), level, strings.TrimPrefix(line, "memberlist: "))
	return len(b), nil
}

var errKey = errors.New("a gossip key has 16, 24 or 32 bytes")

// CheckKey checks the length of a gossip key.
func CheckKey(key []byte) error {
	if err := memberlist.ValidateKey(key); err != nil {
		return errKey
	}
	return nil
}
