package compat

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
)

func TestAgentAndStatus(t *testing.T) {
	self, err := client.Agent().Self()
	if err != nil || self.Member.Name != "compat.global" || self.Member.Status != "alive" || self.Stats["nomad"]["server"] != "true" {
		t.Errorf("self: %+v, %v", self, err)
	}
	if name, err := client.Agent().NodeName(); err != nil || name != "compat.global" {
		t.Errorf("node name: %q, %v", name, err)
	}
	if region, err := client.Agent().Region(); err != nil || region != "global" {
		t.Errorf("region: %q, %v", region, err)
	}
	members, err := client.Agent().Members()
	if err != nil || len(members.Members) != 1 || members.Members[0].Tags["role"] != "nomad" {
		t.Errorf("members: %+v, %v", members, err)
	}
	health, err := client.Agent().Health()
	if err != nil || health.Server == nil || !health.Server.Ok || health.Client == nil || !health.Client.Ok {
		t.Errorf("health: %+v, %v", health, err)
	}
	leader, err := client.Status().Leader()
	if err != nil || leader == "" {
		t.Fatalf("leader: %q, %v", leader, err)
	}
	if peers, err := client.Status().Peers(); err != nil || !slices.Equal(peers, []string{leader}) {
		t.Errorf("peers: %v, %v; the leader is %s", peers, err, leader)
	}
	raft, err := client.Operator().RaftGetConfiguration(nil)
	if err != nil || len(raft.Servers) != 1 || !raft.Servers[0].Leader || !raft.Servers[0].Voter || raft.Servers[0].Address != leader || raft.Servers[0].Node != "compat.global" {
		t.Errorf("raft: %+v, %v", raft, err)
	}
	if regions, err := client.Regions().List(); err != nil || !slices.Equal(regions, []string{"global"}) {
		t.Errorf("regions: %v, %v", regions, err)
	}
	spaces, _, err := client.Namespaces().List(nil)
	if err != nil || len(spaces) != 1 || spaces[0].Name != "default" || spaces[0].Description == "" {
		t.Errorf("namespaces: %v, %v", spaces, err)
	}
}

func TestSchedulerConfiguration(t *testing.T) {
	op := client.Operator()
	was, _, err := op.SchedulerGetConfiguration(nil)
	if err != nil || was.SchedulerConfig.SchedulerAlgorithm != api.SchedulerAlgorithmBinpack || !was.SchedulerConfig.PreemptionConfig.SystemSchedulerEnabled {
		t.Fatalf("configuration: %+v, %v", was, err)
	}
	t.Cleanup(func() {
		if _, _, err := op.SchedulerSetConfiguration(was.SchedulerConfig, nil); err != nil {
			t.Error(err)
		}
	})
	next := *was.SchedulerConfig
	next.SchedulerAlgorithm = api.SchedulerAlgorithmSpread
	if set, _, err := op.SchedulerCASConfiguration(&next, nil); err != nil || !set.Updated {
		t.Fatalf("set: %+v, %v", set, err)
	}
	if set, _, err := op.SchedulerCASConfiguration(&next, nil); err != nil || set.Updated {
		t.Errorf("set at an old index: %+v, %v", set, err)
	}
	got, _, err := op.SchedulerGetConfiguration(nil)
	if err != nil || got.SchedulerConfig.SchedulerAlgorithm != api.SchedulerAlgorithmSpread || got.SchedulerConfig.ModifyIndex <= was.SchedulerConfig.ModifyIndex {
		t.Errorf("after the change: %+v, %v", got, err)
	}
}

func TestGarbageCollection(t *testing.T) {
	job := parse(t, script("garbage", forever))
	alloc := running(t, job)
	if _, _, err := client.Jobs().Deregister("garbage", false, nil); err != nil {
		t.Fatal(err)
	}
	waitAlloc(t, "garbage", "the allocation to end", func(a *api.AllocationListStub) bool {
		return a.ClientStatus == api.AllocClientStatusComplete
	})
	wait(t, "the job to be dead", func(q *api.QueryOptions) (*api.Job, *api.QueryMeta, error) {
		return client.Jobs().Info("garbage", q)
	}, func(j *api.Job) bool { return *j.Status == "dead" })
	if err := client.System().GarbageCollect(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the job to be collected", func(q *api.QueryOptions) ([]*api.JobListStub, *api.QueryMeta, error) {
		q.Prefix = "garbage"
		return client.Jobs().List(q)
	}, func(l []*api.JobListStub) bool { return len(l) == 0 })
	_, _, err := client.Allocations().Info(alloc.ID, nil)
	fails(t, err, 404, "alloc not found")
}

func TestNode(t *testing.T) {
	node, _, err := client.Nodes().Info(nodeID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if node.Name != "compat" || node.Status != api.NodeStatusReady || node.SchedulingEligibility != api.NodeSchedulingEligible || node.Datacenter != "dc1" ||
		node.NodePool != "default" || node.Attributes["kernel.name"] != "linux" || node.Attributes["driver.raw_exec"] == "" || node.NodeResources.Memory.MemoryMB == 0 {
		t.Errorf("node: %+v", node)
	}
	if node.HTTPAddr == "" || node.NodeResources.Cpu.CpuShares == 0 {
		t.Errorf("address %q, resources %+v", node.HTTPAddr, node.NodeResources)
	}
	stats, err := client.Nodes().Stats(nodeID, nil)
	if err != nil || stats.Memory.Total == 0 || len(stats.CPU) == 0 || stats.Uptime == 0 {
		t.Errorf("stats: %+v, %v", stats, err)
	}

	alloc := running(t, parse(t, script("node", forever)))
	allocs, _, err := client.Nodes().Allocations(nodeID, nil)
	if err != nil || !slices.ContainsFunc(allocs, func(a *api.Allocation) bool { return a.ID == alloc.ID }) {
		t.Errorf("allocations of the node: %v, %v", allocs, err)
	}

	read := func(q *api.QueryOptions) (*api.Node, *api.QueryMeta, error) { return client.Nodes().Info(nodeID, q) }
	if _, err := client.Nodes().ToggleEligibility(nodeID, false, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := client.Nodes().ToggleEligibility(nodeID, true, nil); err != nil {
			t.Error(err)
		}
	})
	if n, _, err := read(nil); err != nil || n.SchedulingEligibility != api.NodeSchedulingIneligible {
		t.Errorf("eligibility: %+v, %v", n, err)
	}
	resp, err := client.Nodes().UpdateDrain(nodeID, &api.DrainSpec{Deadline: time.Minute}, false, nil)
	if err != nil || resp.NodeModifyIndex == 0 {
		t.Fatalf("drain: %+v, %v", resp, err)
	}
	waitAlloc(t, "node", "the drained allocation to end", func(a *api.AllocationListStub) bool {
		return a.ID == alloc.ID && a.ClientStatus == api.AllocClientStatusComplete
	})
	n := wait(t, "the drain to end", read, func(n *api.Node) bool { return !n.Drain && n.DrainStrategy == nil })
	if n.SchedulingEligibility != api.NodeSchedulingIneligible || n.LastDrain == nil || n.LastDrain.Status != api.DrainStatusComplete {
		t.Errorf("after the drain: %s, %+v", n.SchedulingEligibility, n.LastDrain)
	}
	if _, err := client.Nodes().ToggleEligibility(nodeID, true, nil); err != nil {
		t.Fatal(err)
	}
	waitAlloc(t, "node", "the job to come back", func(a *api.AllocationListStub) bool {
		return a.ID != alloc.ID && a.ClientStatus == api.AllocClientStatusRunning
	})
}
