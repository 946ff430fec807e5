package server

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/seraiproject/serai/core/consensus"
	"github.com/seraiproject/serai/core/membership"
)

// Tags of servers in gossip.
const (
	tagRegion  = "region"
	tagDC      = "dc"
	tagRPC     = "rpc_addr" // host
	tagPort    = "port"
	tagID      = "id"
	tagExpect  = "expect" // while it waits for a first group of so many
	tagVersion = "build"
	tagRole    = "role"
)

// topology is what the router knows of the servers.
type topology Server

// Leader returns where the leader is. This server counts once its leader
// services run.
func (t *topology) Leader() (addr string, here bool) {
	addr, id := t.group.Leader()
	if id == t.group.ID() {
		if t.leader.Load() == nil {
			return "", false
		}
		return t.rpcAddr, true
	}
	return addr, false
}

// LastContact is how long ago this server heard from the leader.
func (t *topology) LastContact() time.Duration { return t.group.LastContact() }

// Servers lists the living servers of a region, in a random order.
func (t *topology) Servers(region string) []string {
	var out []string
	for _, m := range (*Server)(t).memberList() {
		if m.Tag(tagRegion) == region && m.Status == membership.Alive {
			out = append(out, rpcAddr(m))
		}
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (t *topology) regions() []string {
	known := map[string]bool{t.cfg.Region: true}
	for _, m := range (*Server)(t).memberList() {
		known[m.Tag(tagRegion)] = true
	}
	return slices.Sorted(maps.Keys(known))
}

func rpcAddr(m membership.Member) string { return net.JoinHostPort(m.Tag(tagRPC), m.Tag(tagPort)) }

// memberList lists the servers that gossip knows; in dev mode this one.
func (s *Server) memberList() []membership.Member {
	if s.members != nil {
		return s.members.Members()
	}
	host, port, _ := net.SplitHostPort(s.rpcAddr)
	n, _ := strconv.ParseUint(port, 10, 16)
	return []membership.Member{{
		Name: s.cfg.Name + "." + s.cfg.Region, Addr: net.ParseIP(host), Port: uint16(n), Status: membership.Alive, Tags: s.tags(false),
	}}
}

// tags are what this server tells the others of itself.
func (s *Server) tags(waiting bool) map[string]string {
	host, port, _ := net.SplitHostPort(s.rpcAddr)
	tags := map[string]string{
		tagRole: "nomad", tagRegion: s.cfg.Region, tagDC: s.cfg.Datacenter, tagRPC: host, tagPort: port,
		tagID: s.group.ID(), tagVersion: s.cfg.Version,
		// What follows is for people and clients; nothing here reads it.
		"vsn": "1", "raft_vsn": "3", "bootstrap": bootstraps(&s.cfg),
	}
	if waiting {
		tags[tagExpect] = strconv.Itoa(s.cfg.BootstrapExpect)
	}
	return tags
}

// startMembership starts gossip, and makes contact with others.
func (s *Server) startMembership() error {
	waiting := s.cfg.BootstrapExpect > 0 && s.group.Fresh()
	cfg := membership.Config{
		Name: s.cfg.Name + "." + s.cfg.Region, BindAddr: s.cfg.GossipAddr, Port: s.cfg.GossipPort,
		Key: s.cfg.GossipKey, Tags: s.tags(waiting), Fast: s.cfg.FastGossip, Logger: s.log,
		Events: s.memberEvent,
	}
	if s.cfg.AdvertiseGossip != "" {
		host, port, err := net.SplitHostPort(s.cfg.AdvertiseGossip)
		if err != nil {
			return fmt.Errorf("advertised gossip address: %w", err)
		}
		cfg.AdvertiseAddr = host
		if cfg.AdvertisePort, err = strconv.Atoi(port); err != nil {
			return fmt.Errorf("advertised gossip address: %w", err)
		}
	}
	pool, err := membership.Start(cfg)
	if err != nil {
		return err
	}
	s.members = pool
	if s.known, err = loadKnown(s.knownPath()); err != nil {
		s.log.Warn("other servers are found by configuration alone", "error", err)
	}
	if others := s.others(); len(others) > 0 {
		s.work.Go(func() { s.retryJoin(others) })
	}
	s.work.Go(s.followMembers)
	return nil
}

// GossipAddr is the address (host:port) that others join this server by; empty
// in dev mode.
func (s *Server) GossipAddr() string {
	if s.members == nil {
		return ""
	}
	return s.members.Addr()
}

// memberEvent takes news of gossip. News that find the queue full are not
// needed: who takes them looks at all members.
func (s *Server) memberEvent(e membership.Event) {
	select {
	case s.events <- e:
	default:
	}
	if l := s.leader.Load(); l != nil {
		l.membersChanged()
	}
}

// followMembers forms the first group when enough servers wait for it.
func (s *Server) followMembers() {
	for s.group.Fresh() && s.cfg.BootstrapExpect > 0 {
		if s.bootstrap() {
			break
		}
		select {
		case <-s.events:
		case <-s.ctx.Done():
			return
		}
	}
	for {
		s.saveKnown()
		select {
		case <-s.events: // the leader takes its own
		case <-s.ctx.Done():
			return
		}
	}
}

// bootstrap forms the first group, if as many servers wait for it as expect
// one another. All of them do it, with the same members. It reports whether
// there is nothing more to wait for.
func (s *Server) bootstrap() bool {
	expect := strconv.Itoa(s.cfg.BootstrapExpect)
	var peers []consensus.Peer
	for _, m := range s.memberList() {
		if m.Tag(tagRegion) != s.cfg.Region || m.Status != membership.Alive {
			continue
		}
		switch m.Tag(tagExpect) {
		case expect:
			peers = append(peers, consensus.Peer{ID: m.Tag(tagID), Address: rpcAddr(m)})
		case "":
			// A group exists: its leader adds this server.
			return s.stopWaiting()
		default:
			s.log.Error("servers expect different numbers of servers; give them the same bootstrap_expect",
				"server", m.Name, "expects", m.Tag(tagExpect), "own", expect)
		}
	}
	if len(peers) < s.cfg.BootstrapExpect {
		return false
	}
	slices.SortFunc(peers, func(a, b consensus.Peer) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	if err := s.group.Bootstrap(peers); err != nil {
		s.log.Error("the first group of servers was not formed", "error", err)
		return false
	}
	return s.stopWaiting()
}

func (s *Server) stopWaiting() bool {
	if err := s.members.SetTags(s.tags(false)); err != nil {
		s.log.Warn("gossip tags were not renewed", "error", err)
	}
	return true
}

// retryJoin makes contact with other servers until one answers.
func (s *Server) retryJoin(others []string) {
	for tries := 1; ; tries++ {
		n, err := s.members.Join(others)
		if err == nil && n > 0 {
			return
		}
		if s.cfg.RetryMax > 0 && tries >= s.cfg.RetryMax {
			s.log.Error("no server could be joined", "tries", tries, "error", err)
			return
		}
		s.log.Warn("no server could be joined yet", "error", err, "again", s.cfg.RetryInterval)
		select {
		case <-time.After(s.cfg.RetryInterval):
		case <-s.ctx.Done():
			return
		}
	}
}

// membersChanged wakes reconcileMembers.
func (l *leadership) membersChanged() {
	select {
	case l.membership <- struct{}{}:
	default:
	}
}

// deadAfter is how long a failed server stays in the group.
const deadAfter = 10 * time.Second

// reconcileMembers adds servers that joined to the Raft group and removes those
// that left, and those that failed while a majority stays.
func (l *leadership) reconcileMembers(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		if err := l.reconcile(); err != nil {
			l.s.log.Warn("the raft group is not as gossip has it", "error", err)
		}
		select {
		case <-l.membership:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *leadership) reconcile() error {
	s := l.s
	peers, _, err := s.group.Peers()
	if err != nil {
		return err
	}
	byID := map[string]consensus.Peer{}
	for _, p := range peers {
		byID[p.ID] = p
	}
	dead := 0
	members := s.memberList()
	for _, m := range members {
		if _, in := byID[m.Tag(tagID)]; in && m.Status == membership.Failed {
			dead++
		}
	}
	for _, m := range members {
		id := m.Tag(tagID)
		if m.Tag(tagRegion) != s.cfg.Region || id == "" || id == s.group.ID() {
			continue
		}
		p, in := byID[id]
		switch {
		case m.Status == membership.Alive && m.Tag(tagExpect) == "" && (!in || p.Address != rpcAddr(m)):
			s.log.Info("server joins the raft group", "server", m.Name, "address", rpcAddr(m))
			err = s.group.AddVoter(id, rpcAddr(m))
		case m.Status == membership.Left && in,
			m.Status == membership.Failed && in && len(peers) >= 3 && dead*2 < len(peers) && time.Since(m.Since) > deadAfter:
			s.log.Info("server is removed from the raft group", "server", m.Name, "status", m.Status)
			err = s.group.Remove(id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bootstraps is "1" for a server that forms a group alone.
func bootstraps(c *Config) string {
	if c.Dev || c.BootstrapExpect == 1 {
		return "1"
	}
	return "0"
}
