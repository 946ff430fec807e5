package server

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/transport"
)

// servers is a few servers on loopback.
type servers struct {
	t       testing.TB
	all     []*Server
	configs []Config
}

// newCluster starts n servers that form a group by gossip, and waits until
// every one knows its leader.
func newCluster(t testing.TB, n int) *servers {
	t.Helper()
	c := &servers{t: t}
	for i := range n {
		cfg := Config{
			Name: fmt.Sprintf("s%d", i+1), DataDir: t.TempDir(), RPCAddr: "127.0.0.1:0", GossipAddr: "127.0.0.1",
			BootstrapExpect: n, FastGossip: true, Log: logger(t).With("server", i+1),
		}
		if i > 0 {
			cfg.Join = []string{c.all[0].GossipAddr()}
		}
		c.configs = append(c.configs, cfg)
		c.all = append(c.all, nil)
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.all {
			c.stop(i)
		}
	})
	c.leader()
	return c
}

func (c *servers) start(i int) {
	c.t.Helper()
	s, err := New(c.configs[i])
	if err != nil {
		c.t.Fatal(err)
	}
	c.all[i] = s
	// A server that comes back is found where it was.
	c.configs[i].RPCAddr = s.Addr()
}

// stop ends a server that stays a member.
func (c *servers) stop(i int) {
	c.t.Helper()
	s := c.all[i]
	if s == nil {
		return
	}
	c.all[i] = nil
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		c.t.Errorf("shutdown of server %d: %v", i+1, err)
	}
}

// leader waits until one of the servers leads and the others know it.
func (c *servers) leader() int {
	c.t.Helper()
	leader := -1
	eventually(c.t, "a leader that all know", func() bool {
		leader = -1
		for i, s := range c.all {
			if s != nil && s.IsLeader() {
				leader = i
			}
		}
		if leader < 0 {
			return false
		}
		for _, s := range c.all {
			if s == nil {
				continue
			}
			if addr, _ := (*topology)(s).Leader(); addr != c.all[leader].Addr() {
				return false
			}
		}
		return true
	})
	return leader
}

func (c *servers) follower() int {
	leader := c.leader()
	for i, s := range c.all {
		if s != nil && i != leader {
			return i
		}
	}
	c.t.Fatal("no follower is left")
	return -1
}

func (c *servers) register(i int, id string, count int) *rpc.JobRegisterResponse {
	c.t.Helper()
	resp, err := rpc.JobRegister.Call(c.t.Context(), c.all[i].Caller(), &rpc.JobRegisterRequest{Job: testJob(id, count)})
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

func TestClusterForwardsAndSurvivesItsLeader(t *testing.T) {
	c := newCluster(t, 3)
	leader, follower := c.leader(), c.follower()

	peers, err := rpc.OperatorRaftConfiguration.Call(t.Context(), c.all[follower].Caller(), &rpc.StatusRequest{})
	if err != nil || len(peers.Servers) != 3 {
		t.Fatalf("raft group is %+v, error %v", peers, err)
	}

	// A node that knows all servers, and starts with a follower.
	pool := transport.NewPool()
	t.Cleanup(func() { pool.Close() })
	var addrs []string
	for _, s := range c.all {
		addrs = append(addrs, s.Addr())
	}
	n := newFakeNode(t, transport.NewClient(pool, addrs), "n1")
	n.start()

	reg := c.register(follower, "web", 2)
	n.wait("the allocations", func() bool { return len(n.allocs) == 2 })
	n.report(model.AllocClientRunning, nil)

	// A read that does not mind to be old is answered by the follower.
	q := &rpc.JobQuery{JobID: "web"}
	q.AllowStale, q.MinIndex, q.MaxWait = true, reg.Index-1, 5*time.Second
	stale, err := rpc.JobGet.Call(t.Context(), c.all[follower].Caller(), q)
	if err != nil || stale.Job == nil || !stale.KnownLeader {
		t.Fatalf("stale read: %+v, error %v", stale, err)
	}

	var registered []string
	for i := range 50 {
		id := fmt.Sprintf("job-%d", i)
		c.register(leader, id, 0)
		registered = append(registered, id)
	}
	c.all[leader].abrupt = true
	c.stop(leader)
	start := time.Now()
	next := c.leader()
	t.Logf("a new leader after %v", time.Since(start))
	c.register(next, "after", 0)
	for _, id := range append(registered, "web", "after") {
		got, err := rpc.JobGet.Call(t.Context(), c.all[next].Caller(), &rpc.JobQuery{JobID: model.JobID(id)})
		if err != nil || got.Job == nil {
			t.Fatalf("job %s: %+v, error %v", id, got, err)
		}
	}
	// The node goes on with the new leader.
	n.beat(model.NodeStatusReady)
	c.register(next, "web", 4)
	n.wait("more allocations", func() bool { return len(n.allocs) == 4 })

	// The server that comes back catches up.
	c.start(leader)
	c.leader()
	eventually(t, "the returned server to catch up", func() bool {
		return c.all[leader].Store().Snapshot().Job(nil, model.JobKey{Namespace: "default", ID: "after"}) != nil
	})
}

func TestLeaderThatStopsHandsOver(t *testing.T) {
	c := newCluster(t, 3)
	leader := c.leader()
	c.register(leader, "web", 0)
	c.stop(leader)
	start := time.Now()
	next := c.leader()
	if d := time.Since(start); d > time.Second {
		t.Errorf("another leads only after %v", d)
	}
	c.register(next, "web", 1)
}

func TestServerKeepsItsStateOverARestart(t *testing.T) {
	c := newCluster(t, 1)
	c.register(0, "web", 3)
	c.register(0, "web", 5)
	for _, snapshot := range []bool{false, true} {
		if snapshot {
			if err := c.all[0].group.Snapshot(); err != nil {
				t.Fatal(err)
			}
			c.register(0, "late", 1)
		}
		before := c.all[0].Store().Snapshot()
		c.stop(0)
		c.start(0)
		c.leader()
		after := c.all[0].Store().Snapshot()
		for job := range before.Jobs(nil, model.AllNamespaces, "") {
			got := after.Job(nil, job.Key())
			if got == nil || got.Version != job.Version || got.CreateIndex != job.CreateIndex || got.JobModifyIndex != job.JobModifyIndex {
				t.Errorf("snapshot %v: job %s was %+v, is %+v", snapshot, job.ID, job, got)
			}
		}
		if len(after.JobVersions(nil, model.JobKey{Namespace: "default", ID: "web"})) != 2 {
			t.Error("versions are lost")
		}
	}
	c.register(0, "web", 6)
}

func TestLeaveTakesAServerOut(t *testing.T) {
	c := newCluster(t, 3)
	follower := c.follower()
	if err := c.all[follower].Leave(); err != nil {
		t.Fatal(err)
	}
	c.stop(follower)
	leader := c.leader()
	eventually(t, "the group to be smaller", func() bool {
		peers, _, err := c.all[leader].group.Peers()
		return err == nil && len(peers) == 2
	})
	c.register(leader, "web", 0)
}
