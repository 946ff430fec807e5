package scheduler

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/rank"
	"github.com/seraiproject/serai/core/scheduler/reconcile"
)

// summary prints a plan in a stable order: what happens to which name.
func (w *world) summary(p *model.Plan) string {
	var lines []string
	for _, list := range p.NodeUpdate {
		for _, a := range list {
			line := fmt.Sprintf("stop %s v%d: %s", a.Name, a.JobVersion, a.DesiredDescription)
			if a.ClientStatus == model.AllocClientLost {
				line += " (lost)"
			}
			lines = append(lines, line)
		}
	}
	for _, list := range p.NodeAllocation {
		for _, a := range list {
			var old *model.Allocation
			for _, x := range w.allocs[a.JobKey()] {
				if x.ID == a.ID {
					old = x
				}
			}
			verb := "place"
			switch {
			case old == nil:
				if a.DeploymentStatus.IsCanary() {
					verb = "canary"
				}
				if a.PreviousAllocation != "" {
					verb += " after " + string(model.Short(a.PreviousAllocation))[:0] + "another"
				}
			case old.JobVersion != a.JobVersion:
				verb = "in place"
			case old.ClientStatus != a.ClientStatus || len(old.StateChanges) != len(a.StateChanges):
				verb = "now " + a.ClientStatus
			case old.FollowupEvalID != a.FollowupEvalID:
				verb = "later"
			}
			lines = append(lines, fmt.Sprintf("%s %s v%d", verb, a.Name, a.JobVersion))
		}
	}
	slices.Sort(lines)
	if p.Deployment != nil {
		lines = append(lines, "deployment: "+p.Deployment.StatusDescription)
	}
	for _, u := range p.DeploymentUpdates {
		lines = append(lines, "deployment "+u.Status+": "+u.StatusDescription)
	}
	return strings.Join(lines, "\n")
}

func wantPlan(t *testing.T, w *world, res *Result, want ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(want, "\n"), w.summary(res.Plan)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// step processes an evaluation, compares the plan and commits it.
func (w *world) step(t *testing.T, id model.JobID, trigger string, want ...string) *Result {
	t.Helper()
	res := w.process(t, w.eval(w.jobs[model.JobKey{Namespace: "default", ID: id}], trigger))
	wantPlan(t, w, res, want...)
	w.apply(res.Plan)
	return res
}

func TestFirstDeployment(t *testing.T) {
	w := newWorld()
	w.addNodes(3, nil)
	w.register(rolling(testJob("app", 3), 1, 0))
	res := w.step(t, "app", model.TriggerJobRegister,
		"place app.web[0] v0", "place app.web[1] v0", "place app.web[2] v0", "deployment: Deployment is running")
	if res.Blocked != nil || res.Eval.Status != model.EvalStatusComplete || res.Eval.DeploymentID != res.Plan.Deployment.ID {
		t.Errorf("eval %+v, blocked %v", res.Eval, res.Blocked)
	}
	if s := w.deployments[w.jobs[model.JobKey{Namespace: "default", ID: "app"}].Key()].TaskGroups["web"]; s.DesiredTotal != 3 || s.PlacedAllocs != 3 {
		t.Errorf("rollout %+v", s)
	}
	for _, a := range w.live("app") {
		if a.Job == nil || a.AllocatedResources.Tasks["main"].Cpu.CpuShares != 100 || a.AllocatedResources.Shared.DiskMB != 10 ||
			a.CreateTime != start.UnixNano() || a.NodeName == "" || a.EvalID != res.Eval.ID || a.ClientStatus != model.AllocClientPending {
			t.Errorf("incomplete allocation %+v", a)
		}
		if m := a.Metrics; m.NodesInPool != 3 || m.NodePool != "default" || m.NodesAvailable["dc1"] != 3 || len(m.ScoreMetaData) != 3 {
			t.Errorf("metrics %+v", m)
		}
	}
	if diff := cmp.Diff(map[string]*model.DesiredUpdates{"web": {Place: 3}}, res.Annotations.DesiredTGUpdates); diff != "" {
		t.Error(diff)
	}
	w.report(w.live("app"), running)
	w.step(t, "app", model.TriggerDeploymentWatcher)
	w.healthy(w.live("app"), true)
	w.step(t, "app", model.TriggerDeploymentWatcher, "deployment successful: Deployment completed successfully")
	// Nothing is left to do, and replacing a lost one makes no deployment.
	w.step(t, "app", model.TriggerJobRegister)
}

func TestScoreArithmetic(t *testing.T) {
	w := newWorld()
	w.addNodes(1, func(_ int, n *model.Node) {
		n.NodeResources.Cpu.CpuShares, n.NodeResources.Memory.MemoryMB = 2000, 2000
	})
	w.register(testJob("app", 3))
	w.run(t, "app", model.TriggerJobRegister)
	meta := w.live("app")[1].Metrics.ScoreMetaData[0]
	for part, want := range map[string]float64{
		rank.PartBinpack: 0.17468, rank.PartAnti: -0.66667, rank.PartAffinity: 0, rank.PartReschedule: 0,
	} {
		got, ok := meta.Scores[part]
		if !ok || math.Abs(got-want) > 1e-5 {
			t.Errorf("%s: %v, want %v", part, got, want)
		}
	}
	if math.Abs(meta.NormScore - -0.24599) > 1e-5 {
		t.Errorf("final score %v", meta.NormScore)
	}
}

func TestStopAndRemove(t *testing.T) {
	w := newWorld()
	w.addNodes(2, nil)
	j := rolling(testJob("app", 2), 1, 0)
	j.TaskGroups = append(j.TaskGroups, testGroup("db", 1))
	w.register(j)
	w.run(t, "app", model.TriggerJobRegister)
	w.edit("app", func(j *model.Job) { j.TaskGroups = j.TaskGroups[:1]; j.TaskGroups[0].Count = 1 })
	w.step(t, "app", model.TriggerJobRegister, "in place app.web[0] v1",
		"stop app.db[0] v0: alloc not needed due to job update",
		"stop app.web[1] v0: alloc not needed due to job update",
		"deployment: Deployment is running", "deployment cancelled: Cancelled due to newer version of job")
	w.edit("app", func(j *model.Job) { j.Stop = true })
	w.step(t, "app", model.TriggerJobDeregister, "stop app.web[0] v1: alloc not needed due to job update",
		"deployment cancelled: Cancelled because job is stopped")
	res := w.step(t, "app", model.TriggerJobDeregister)
	if res.Eval.Status != model.EvalStatusComplete {
		t.Errorf("status %s", res.Eval.Status)
	}
	key := model.JobKey{Namespace: "default", ID: "app"}
	e := w.eval(w.jobs[key], model.TriggerJobDeregister)
	delete(w.jobs, key)
	if res := w.process(t, e); !res.Plan.Empty() {
		t.Errorf("a purged job still has %s", w.summary(res.Plan))
	}
}

func TestBlockedAndUnblocked(t *testing.T) {
	w := newWorld()
	w.addNodes(3, func(i int, n *model.Node) {
		n.NodeClass = "small"
		n.NodeResources.Cpu.CpuShares = []int64{2000, 4000, 1000}[i]
	})
	j := testJob("big", 5)
	j.TaskGroups[0].Tasks[0].Resources.CPU = 1900
	w.register(j)
	res := w.run(t, "big", model.TriggerJobRegister)
	if len(w.live("big")) != 3 || res.Queued["web"] != 2 {
		t.Fatalf("placed %d, queued %v", len(w.live("big")), res.Queued)
	}
	m := res.Failed["web"]
	if m.CoalescedFailures != 1 || m.NodesExhausted != 3 || m.DimensionExhausted["cpu"] != 3 || m.ClassExhausted["small"] != 3 ||
		m.ResourcesExhausted["main"].CPU != 3800 || m.NodesEvaluated != 3 {
		t.Errorf("metric %+v", m)
	}
	b := res.Blocked
	if b == nil || b.Status != model.EvalStatusBlocked || b.TriggeredBy != model.TriggerQueuedAllocs || b.PreviousEval != res.Eval.ID ||
		res.Eval.BlockedEval != b.ID || b.StatusDescription != BlockedForRoom || b.SnapshotIndex != w.index-1 {
		t.Fatalf("blocked %+v", b)
	}
	for class, ok := range b.ClassEligibility {
		if !ok {
			t.Errorf("class %s is not eligible", class)
		}
	}
	if len(b.ClassEligibility) == 0 || b.EscapedComputedClass {
		t.Errorf("classes %v, escaped %v", b.ClassEligibility, b.EscapedComputedClass)
	}
	again := w.process(t, b)
	if again.Eval.ID != b.ID || again.Eval.Status != model.EvalStatusBlocked || again.Blocked != nil || !again.Plan.Empty() {
		t.Errorf("still full: %+v", again.Eval)
	}
	ed := w.view.Edit()
	ed.PutNode(testNode(7))
	w.view = ed.View()
	w.index++
	done := w.process(t, b)
	w.apply(done.Plan)
	if len(w.live("big")) != 5 || done.Eval.Status != model.EvalStatusComplete || done.Blocked != nil {
		t.Errorf("after room came: %d live, %+v", len(w.live("big")), done.Eval)
	}
}

func TestClassesThatMayBecomeEligibleStayOpen(t *testing.T) {
	w := newWorld()
	w.addNodes(2, func(i int, n *model.Node) {
		n.Meta["kind"] = []string{"sick", "wrong"}[i]
		n.Drivers["exec"].Healthy = false
	})
	j := testJob("app", 1)
	j.Constraints = []*model.Constraint{{LTarget: "${meta.kind}", Operand: "=", RTarget: "sick"}}
	w.register(j)
	res := w.run(t, "app", model.TriggerJobRegister)
	want := map[string]bool{w.view.Node(nodeID(1)).Node.ComputedClass: false}
	if diff := cmp.Diff(want, res.Blocked.ClassEligibility); diff != "" || res.Failed["web"].ConstraintFiltered["missing drivers"] != 1 {
		t.Errorf("failed %+v\n%s", res.Failed["web"], diff)
	}
}

func TestDestructiveUpdateThatDoesNotFit(t *testing.T) {
	w := newWorld()
	w.addNodes(1, func(_ int, n *model.Node) { n.NodeResources.Cpu.CpuShares = 2000 })
	j := testJob("app", 1)
	j.TaskGroups[0].Tasks[0].Resources.CPU = 1500
	w.register(j)
	w.run(t, "app", model.TriggerJobRegister)
	id := w.live("app")[0].ID
	w.edit("app", func(j *model.Job) { j.TaskGroups[0].Tasks[0].Resources.CPU = 2500 })
	res := w.step(t, "app", model.TriggerJobRegister)
	if res.Blocked == nil || w.live("app")[0].ID != id {
		t.Error("the old allocation did not stay")
	}
	w.edit("app", func(j *model.Job) { j.TaskGroups[0].Tasks[0].Resources.CPU = 1500 })
	res = w.step(t, "app", model.TriggerJobRegister, "in place app.web[0] v2")
	if res.Blocked != nil || w.live("app")[0].ID != id {
		t.Error("going back did not keep the allocation")
	}
	// With the old one's room the new one fits.
	w.edit("app", func(j *model.Job) { j.TaskGroups[0].Tasks[0].Resources.CPU = 2000 })
	w.step(t, "app", model.TriggerJobRegister, "place after another app.web[0] v3",
		"stop app.web[0] v2: alloc is being updated due to job update")
}

func TestDistinctHostsAndStaticPorts(t *testing.T) {
	w := newWorld()
	w.addNodes(3, nil)
	j := testJob("app", 4)
	j.Constraints = []*model.Constraint{{Operand: model.OpDistinctHosts, RTarget: "true"}}
	w.register(j)
	res := w.run(t, "app", model.TriggerJobRegister)
	if res.Queued["web"] != 1 || res.Failed["web"].ConstraintFiltered["distinct_hosts"] != 3 {
		t.Errorf("queued %v, %+v", res.Queued, res.Failed["web"])
	}

	dual := newWorld()
	dual.addNodes(1, func(_ int, n *model.Node) {
		n.NodeResources.NodeNetworks[0].Addresses = []model.NodeNetworkAddress{
			{Family: "ipv4", Alias: "default", Address: "127.0.0.1"}, {Family: "ipv6", Alias: "default", Address: "::1"},
		}
	})
	j = testJob("web", 3)
	j.TaskGroups[0].Networks = []*model.NetworkResource{{
		ReservedPorts: []model.Port{{Label: "http", Value: 8080}}, DynamicPorts: []model.Port{{Label: "admin", To: -1}},
	}}
	dual.register(j)
	res = dual.run(t, "web", model.TriggerJobRegister)
	var at []string
	for _, a := range dual.live("web") {
		for _, p := range a.AllocatedResources.Shared.Ports {
			if p.Label == "http" {
				at = append(at, p.Addr())
			} else if p.Value < 20000 || p.Value > 32000 || p.To != p.Value {
				t.Errorf("dynamic port %+v", p)
			}
		}
		if n := a.AllocatedResources.Shared.Networks; len(n) != 1 || n[0].DynamicPorts[0].Value == 0 || n[0].IP == "" {
			t.Errorf("network %+v", n)
		}
	}
	slices.Sort(at)
	if diff := cmp.Diff([]string{"127.0.0.1:8080", "::1:8080"}, at); diff != "" {
		t.Error(diff)
	}
	if m := res.Failed["web"]; m.DimensionExhausted["network: reserved port collision http=8080"] != 1 {
		t.Errorf("metric %+v", m)
	}
}

func TestUnsupportedTypeIsAnError(t *testing.T) {
	w := newWorld()
	e := w.eval(testJob("x", 1), model.TriggerJobRegister)
	e.Type = "nothing"
	if _, err := Process(w, e, Input{Now: start}); err == nil || model.ErrorCode(err) != "unsupported" {
		t.Errorf("error %v", err)
	}
}

func TestSpread(t *testing.T) {
	place := func(t *testing.T, spreads ...*model.Spread) map[string]int {
		w := newWorld()
		w.addNodes(40, func(i int, n *model.Node) { n.Datacenter = fmt.Sprintf("dc%d", i%4) })
		j := testJob("app", 20)
		j.Spreads = spreads
		w.register(j)
		w.run(t, "app", model.TriggerJobRegister)
		got := map[string]int{}
		for _, a := range w.live("app") {
			got[w.view.Node(a.NodeID).Node.Datacenter]++
		}
		return got
	}
	even := place(t, &model.Spread{Attribute: "${node.datacenter}", Weight: 50})
	if diff := cmp.Diff(map[string]int{"dc0": 5, "dc1": 5, "dc2": 5, "dc3": 5}, even); diff != "" {
		t.Errorf("even: %s", diff)
	}
	shares := place(t, &model.Spread{Attribute: "${node.datacenter}", Weight: 100, SpreadTarget: []*model.SpreadTarget{
		{Value: "dc0", Percent: 70}, {Value: "dc1", Percent: 30},
	}})
	if diff := cmp.Diff(map[string]int{"dc0": 14, "dc1": 6}, shares); diff != "" {
		t.Errorf("targets: %s", diff)
	}
}

func TestAffinity(t *testing.T) {
	w := newWorld()
	w.addNodes(50, func(i int, n *model.Node) {
		if i == 17 {
			n.Meta["disk"] = "ssd"
		}
	})
	j := testJob("app", 1)
	j.Affinities = []*model.Affinity{{LTarget: "${meta.disk}", RTarget: "ssd", Operand: "=", Weight: 50}}
	w.register(j)
	w.run(t, "app", model.TriggerJobRegister)
	a := w.live("app")[0]
	if a.NodeID != nodeID(17) || a.Metrics.ScoreMetaData[0].Scores[rank.PartAffinity] != 1 {
		t.Errorf("on %s: %v", a.NodeName, a.Metrics.ScoreMetaData[0].Scores)
	}
}

func TestCoresAndDevices(t *testing.T) {
	w := newWorld()
	w.addNodes(1, func(_ int, n *model.Node) {
		n.NodeResources.Devices = []*model.NodeDevice{{Vendor: "acme", Type: "gpu", Name: "x1", Instances: []*model.NodeDeviceInstance{
			{ID: "a", Healthy: true}, {ID: "b", Healthy: true}, {ID: "c", Healthy: false},
		}}}
	})
	j := testJob("app", 3)
	j.TaskGroups[0].Tasks[0].Resources = &model.Resources{
		Cores: 1, MemoryMB: 50, Devices: []*model.RequestedDevice{{Name: "gpu", Count: 1}},
	}
	w.register(j)
	res := w.run(t, "app", model.TriggerJobRegister)
	seen := map[string]bool{}
	for _, a := range w.live("app") {
		got := a.AllocatedResources.Tasks["main"]
		if got.Cpu.CpuShares != 1000 || len(got.Cpu.ReservedCores) != 1 || len(got.Devices) != 1 {
			t.Fatalf("given %+v", got)
		}
		seen[fmt.Sprint("core", got.Cpu.ReservedCores[0])] = true
		seen[got.Devices[0].DeviceIDs[0]] = true
	}
	if len(seen) != 4 || res.Failed["web"].DimensionExhausted["devices"] != 1 {
		t.Errorf("given %v, failed %+v", seen, res.Failed["web"])
	}
}

func TestInPlaceNeedsTheNodeToQualify(t *testing.T) {
	w := newWorld()
	w.addNodes(2, func(i int, n *model.Node) { n.Datacenter = fmt.Sprintf("dc%d", i+1) })
	j := testJob("app", 1)
	j.Datacenters = []string{"dc1"}
	w.register(j)
	w.run(t, "app", model.TriggerJobRegister)
	w.edit("app", func(j *model.Job) { j.Datacenters = []string{"d*1", "dc3"} })
	w.step(t, "app", model.TriggerJobRegister, "in place app.web[0] v1")
	w.edit("app", func(j *model.Job) { j.Datacenters = []string{"dc2"} })
	w.step(t, "app", model.TriggerJobRegister, "place after another app.web[0] v2",
		"stop app.web[0] v1: "+reconcile.TextUpdating)
}

func TestDistinctHostsAddedLater(t *testing.T) {
	w := newWorld()
	w.addNodes(1, nil)
	w.register(testJob("app", 2))
	w.run(t, "app", model.TriggerJobRegister)
	ed := w.view.Edit()
	ed.PutNode(testNode(1))
	w.view = ed.View()
	w.edit("app", func(j *model.Job) { j.Constraints = []*model.Constraint{{Operand: model.OpDistinctHosts}} })
	w.step(t, "app", model.TriggerJobRegister, "in place app.web[0] v1", "place after another app.web[1] v1",
		"stop app.web[1] v0: "+reconcile.TextUpdating)
	w.wantNodes(t, "app", "n0", "n1")
}

func TestCheckPlanFindsConflicts(t *testing.T) {
	w := newWorld()
	w.addNodes(1, func(_ int, n *model.Node) { n.NodeResources.Cpu.CpuShares = 150 })
	a := w.eval(w.register(testJob("a", 1)), model.TriggerJobRegister)
	b := w.eval(w.register(testJob("b", 1)), model.TriggerJobRegister)
	first, second := w.process(t, a), w.process(t, b)
	w.apply(first.Plan)
	rejected := cluster.CheckPlan(w.view, second.Plan)
	if diff := cmp.Diff(map[model.NodeID]string{nodeID(0): "cpu"}, rejected); diff != "" {
		t.Error(diff)
	}
	w.setNode(nodeID(0), func(n *model.Node) { n.SchedulingEligibility = model.NodeIneligible })
	if rejected := cluster.CheckPlan(w.view, second.Plan); rejected[nodeID(0)] != "node is not eligible" {
		t.Errorf("ineligible: %v", rejected)
	}
	if rejected := cluster.CheckPlan(cluster.New(), second.Plan); rejected[nodeID(0)] != "node does not exist" {
		t.Errorf("gone: %v", rejected)
	}
}
