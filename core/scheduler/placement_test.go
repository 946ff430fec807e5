package scheduler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/rank"
)

func TestStickyDiskReturnsToItsNode(t *testing.T) {
	w := newWorld()
	w.addNodes(30, nil)
	j := testJob("db", 1)
	j.TaskGroups[0].EphemeralDisk.Sticky = true
	w.register(j)
	w.run(t, "db", model.TriggerJobRegister)
	home := w.live("db")[0].NodeID
	for i := range 5 {
		w.edit("db", func(j *model.Job) { j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": string(rune('a' + i))} })
		w.run(t, "db", model.TriggerJobRegister)
		if a := w.live("db")[0]; a.NodeID != home || len(a.Metrics.ScoreMetaData) != 1 {
			t.Fatalf("update %d went to %s", i, a.NodeName)
		}
	}
	w.setNode(home, func(n *model.Node) { n.SchedulingEligibility = model.NodeIneligible })
	w.edit("db", func(j *model.Job) { j.TaskGroups[0].Tasks[0].Env = nil })
	w.run(t, "db", model.TriggerJobRegister)
	if a := w.live("db")[0]; a.NodeID == home {
		t.Error("placed on a node that is not eligible")
	}
}

func TestVolumePerAllocation(t *testing.T) {
	w := newWorld()
	w.addNodes(6, func(i int, n *model.Node) {
		n.HostVolumes = map[string]*model.HostVolumeConfig{}
		if i >= 3 {
			n.HostVolumes["data["+string(rune('0'+i-3))+"]"] = &model.HostVolumeConfig{Path: "/data"}
		}
	})
	j := testJob("db", 4)
	j.TaskGroups[0].Volumes = map[string]*model.VolumeRequest{"v": {Type: "host", Source: "data", PerAlloc: true}}
	w.register(j)
	res := w.run(t, "db", model.TriggerJobRegister)
	got := map[string]string{}
	for _, a := range w.live("db") {
		got[a.Name] = a.NodeName
	}
	if diff := cmp.Diff(map[string]string{"db.web[0]": "n3", "db.web[1]": "n4", "db.web[2]": "n5"}, got); diff != "" || res.Queued["web"] != 1 {
		t.Errorf("queued %v\n%s", res.Queued, diff)
	}
}

func TestDeviceAffinity(t *testing.T) {
	w := newWorld()
	w.addNodes(10, func(i int, n *model.Node) {
		name := "old"
		if i == 6 {
			name = "new"
		}
		n.NodeResources.Devices = []*model.NodeDevice{{Vendor: "acme", Type: "gpu", Name: name,
			Instances: []*model.NodeDeviceInstance{{ID: "a", Healthy: true}}}}
	})
	j := testJob("app", 1)
	j.TaskGroups[0].Tasks[0].Resources.Devices = []*model.RequestedDevice{{Name: "acme/gpu", Count: 1,
		Affinities: []*model.Affinity{{LTarget: "${device.model}", RTarget: "new", Operand: "=", Weight: 50}}}}
	w.register(j)
	w.run(t, "app", model.TriggerJobRegister)
	a := w.live("app")[0]
	if s := a.Metrics.ScoreMetaData[0].Scores; a.NodeID != nodeID(6) || s[rank.PartDevices] != 1 {
		t.Errorf("on %s: %v", a.NodeName, s)
	}
	// Of two groups of devices on one node the preferred one is taken.
	w = newWorld()
	w.addNodes(1, func(_ int, n *model.Node) {
		for _, name := range []string{"old", "new"} {
			n.NodeResources.Devices = append(n.NodeResources.Devices, &model.NodeDevice{Vendor: "acme", Type: "gpu", Name: name,
				Instances: []*model.NodeDeviceInstance{{ID: "a", Healthy: true}}})
		}
	})
	w.register(j)
	w.run(t, "app", model.TriggerJobRegister)
	if d := w.live("app")[0].AllocatedResources.Tasks["main"].Devices[0]; d.Name != "new" {
		t.Errorf("given %+v", d)
	}
}

func TestSpreadAlgorithmAndOversubscription(t *testing.T) {
	w := newWorld()
	w.addNodes(4, nil)
	w.config = &model.SchedulerConfiguration{SchedulerAlgorithm: "spread", MemoryOversubscriptionEnabled: true}
	fill := testJob("fill", 3)
	fill.Constraints = []*model.Constraint{{Operand: model.OpDistinctHosts}}
	w.register(fill)
	w.run(t, "fill", model.TriggerJobRegister)
	used := map[model.NodeID]bool{}
	for _, a := range w.live("fill") {
		used[a.NodeID] = true
	}
	j := testJob("app", 1)
	j.TaskGroups[0].Tasks[0].Resources.MemoryMaxMB = 400
	j.TaskGroups[0].Tasks[0].Resources.SecretsMB = 5
	w.register(j)
	w.run(t, "app", model.TriggerJobRegister)
	a := w.live("app")[0]
	if used[a.NodeID] {
		t.Error("the spread algorithm chose a used node")
	}
	if m := a.AllocatedResources.Tasks["main"].Memory; m.MemoryMB != 55 || m.MemoryMaxMB != 400 {
		t.Errorf("memory %+v", m)
	}
	w.config = nil
	w.register(testJob("packed", 1))
	w.run(t, "packed", model.TriggerJobRegister)
	if a := w.live("packed")[0]; a.NodeID != w.live("app")[0].NodeID {
		t.Error("binpack chose a node with more room")
	}
}

func TestReservedAndTaskPorts(t *testing.T) {
	w := newWorld()
	w.addNodes(1, func(_ int, n *model.Node) {
		n.ReservedResources = &model.NodeReservedResources{Networks: model.NodeReservedNetworks{ReservedHostPorts: "8000-8999"}}
	})
	j := testJob("old", 1)
	j.TaskGroups[0].Tasks[0].Resources.Networks = []*model.NetworkResource{{
		ReservedPorts: []model.Port{{Label: "http", Value: 80}}, DynamicPorts: []model.Port{{Label: "rpc"}},
	}}
	w.register(j)
	w.run(t, "old", model.TriggerJobRegister)
	n := w.live("old")[0].AllocatedResources.Tasks["main"].Networks
	if len(n) != 1 || n[0].IP == "" || n[0].ReservedPorts[0].Value != 80 || n[0].DynamicPorts[0].Value < 20000 {
		t.Fatalf("networks %+v", n)
	}
	// Its port is taken, and the node's own cannot be had.
	for label, port := range map[string]int{"taken": 80, "reserved": 8080} {
		k := testJob(label, 1)
		k.TaskGroups[0].Networks = []*model.NetworkResource{{ReservedPorts: []model.Port{{Label: "p", Value: port}}}}
		w.register(k)
		if res := w.run(t, model.JobID(label), model.TriggerJobRegister); res.Queued["web"] != 1 {
			t.Errorf("%s port %d was given", label, port)
		}
	}
}

func TestConstraintFilteredCountsEveryNode(t *testing.T) {
	w := newWorld()
	w.addNodes(5, func(i int, n *model.Node) {
		n.NodeClass = "c"
		if i == 4 {
			n.Drivers["exec"] = &model.DriverInfo{Detected: true}
		}
	})
	j := testJob("app", 2)
	j.Constraints = []*model.Constraint{{LTarget: "${attr.kernel.name}", Operand: "=", RTarget: "windows"}}
	w.register(j)
	res := w.run(t, "app", model.TriggerJobRegister)
	m := res.Failed["web"]
	if m.NodesFiltered != 5 || m.ConstraintFiltered["${attr.kernel.name} = windows"] != 5 || m.ClassFiltered["c"] != 5 || m.CoalescedFailures != 1 {
		t.Errorf("metric %+v", m)
	}
	for class, ok := range res.Blocked.ClassEligibility {
		if ok {
			t.Errorf("class %s is eligible", class)
		}
	}
	empty := newWorld()
	empty.register(testJob("app", 1))
	m = empty.run(t, "app", model.TriggerJobRegister).Failed["web"]
	if m == nil || m.NodesEvaluated+m.NodesFiltered+m.NodesExhausted+m.NodesInPool+len(m.NodesAvailable) != 0 {
		t.Errorf("empty cluster: %+v", m)
	}
}

func TestFollowUpsAreShared(t *testing.T) {
	w := newWorld()
	w.addNodes(3, nil)
	w.register(testJob("app", 3))
	w.run(t, "app", model.TriggerJobRegister)
	for i, a := range w.live("app") {
		w.report([]*model.Allocation{a}, fails(start.Add(time.Duration(i*3)*time.Second)))
	}
	w.now = start.Add(7 * time.Second)
	res := w.run(t, "app", model.TriggerRetryFailedAlloc)
	if len(res.FollowUps) != 2 || res.Annotations.DesiredTGUpdates["web"].RescheduleLater != 3 {
		t.Errorf("%d follow-ups, %+v", len(res.FollowUps), res.Annotations.DesiredTGUpdates["web"])
	}
	again := w.run(t, "app", model.TriggerJobRegister)
	if len(again.FollowUps) != 0 || !again.Plan.Empty() {
		t.Errorf("asked for %d more", len(again.FollowUps))
	}
}
