package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/rank"
)

func systemJob(id string) *model.Job {
	j := testJob(id, 1)
	j.Type = model.JobTypeSystem
	j.TaskGroups[0].ReschedulePolicy = nil
	return j
}

func nodesOf(allocs []*model.Allocation) []string {
	var names []string
	for _, a := range allocs {
		names = append(names, a.NodeName)
	}
	slices.Sort(names)
	return names
}

func (w *world) wantNodes(t *testing.T, id model.JobID, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, nodesOf(w.live(id))); diff != "" {
		t.Errorf("nodes of %s:\n%s", id, diff)
	}
}

func TestSystemRunsEverywhere(t *testing.T) {
	w := newWorld()
	w.addNodes(4, func(i int, n *model.Node) {
		n.Datacenter = fmt.Sprintf("dc%d", i%2+1)
		if i == 3 {
			n.Drivers = nil
			delete(n.Attributes, "driver.exec")
		}
	})
	w.register(rolling(systemJob("sys"), 1, 0))
	res := w.run(t, "sys", model.TriggerJobRegister)
	w.wantNodes(t, "sys", "n0", "n1", "n2")
	if d := res.Plan.Deployment; d == nil || d.TaskGroups["web"].DesiredTotal != 3 || len(res.Failed) != 0 {
		t.Errorf("deployment %+v, failed %v", d, res.Failed)
	}
	w.step(t, "sys", model.TriggerJobRegister)
	// A node joins.
	ed := w.view.Edit()
	ed.PutNode(testNode(9))
	w.view = ed.View()
	w.step(t, "sys", model.TriggerNodeUpdate, "place sys.web[0] v0")
	// One is drained: no replacement elsewhere, and none there.
	yes := true
	w.setNode(nodeID(0), func(n *model.Node) {
		n.DrainStrategy, n.SchedulingEligibility = &model.DrainStrategy{}, model.NodeIneligible
	})
	w.step(t, "sys", model.TriggerNodeDrain) // not marked yet
	var on0 []*model.Allocation
	for _, a := range w.live("sys") {
		if a.NodeID == nodeID(0) {
			on0 = append(on0, a)
		}
	}
	w.report(on0, func(a *model.Allocation) { a.DesiredTransition.Migrate = &yes })
	w.step(t, "sys", model.TriggerNodeDrain, "stop sys.web[0] v0: alloc not needed as node is tainted")
	w.setNode(nodeID(0), func(n *model.Node) { n.DrainStrategy, n.SchedulingEligibility = nil, model.NodeEligible })
	w.step(t, "sys", model.TriggerNodeUpdate, "place sys.web[0] v0")
	// One dies and comes back.
	w.setNode(nodeID(1), func(n *model.Node) { n.Status = model.NodeStatusDown })
	w.step(t, "sys", model.TriggerNodeUpdate, "stop sys.web[0] v0: alloc is lost since its node is down (lost)")
	w.setNode(nodeID(1), func(n *model.Node) { n.Status = model.NodeStatusReady })
	w.step(t, "sys", model.TriggerNodeUpdate, "place sys.web[0] v0")
	// The job moves to one datacenter.
	w.edit("sys", func(j *model.Job) { j.Datacenters = []string{"dc2"} })
	w.run(t, "sys", model.TriggerJobRegister)
	w.wantNodes(t, "sys", "n1")
	w.edit("sys", func(j *model.Job) { j.Datacenters = []string{"d*1"} })
	w.run(t, "sys", model.TriggerJobRegister)
	w.wantNodes(t, "sys", "n0", "n2", "n9")
}

func TestSystemStoppedByUserStaysAway(t *testing.T) {
	w := newWorld()
	w.addNodes(1, nil)
	w.register(systemJob("sys"))
	w.run(t, "sys", model.TriggerJobRegister)
	yes := true
	w.report(w.live("sys"), func(a *model.Allocation) { a.DesiredTransition.Migrate = &yes })
	w.step(t, "sys", model.TriggerAllocStop, "stop sys.web[0] v0: alloc not needed as node is tainted")
	w.step(t, "sys", model.TriggerNodeUpdate, "place sys.web[0] v0")
}

func TestSystemRollsNodeByNode(t *testing.T) {
	for _, c := range []struct {
		parallel, canary int
		steps            []int
	}{{1, 0, []int{1, 1, 1}}, {2, 0, []int{2, 1}}, {3, 34, []int{2, 1}}} {
		t.Run(fmt.Sprintf("parallel=%d/canary=%d", c.parallel, c.canary), func(t *testing.T) {
			w := newWorld()
			w.addNodes(3, nil)
			w.register(rolling(systemJob("sys"), c.parallel, c.canary))
			w.run(t, "sys", model.TriggerJobRegister)
			w.report(w.live("sys"), running)
			w.healthy(w.live("sys"), true)
			w.run(t, "sys", model.TriggerDeploymentWatcher)
			w.edit("sys", func(j *model.Job) { j.TaskGroups[0].Tasks[0].User = "nobody" })
			key := model.JobKey{Namespace: "default", ID: "sys"}
			for i, want := range c.steps {
				res := w.run(t, "sys", model.TriggerDeploymentWatcher)
				var fresh []*model.Allocation
				for _, a := range w.live("sys") {
					if a.JobVersion == 1 && !a.DeploymentStatus.IsHealthy() {
						fresh = append(fresh, a)
						if canary := c.canary > 0 && i == 0; a.DeploymentStatus.IsCanary() != canary {
							t.Errorf("step %d: canary %v", i, !canary)
						}
					}
				}
				if len(fresh) != want || len(w.live("sys")) != 3 {
					t.Fatalf("step %d replaced %d\n%s", i, len(fresh), w.summary(res.Plan))
				}
				w.healthy(fresh, true)
				if c.canary > 0 && i == 0 {
					if res := w.run(t, "sys", model.TriggerDeploymentWatcher); !res.Plan.Empty() {
						t.Fatalf("went on without promotion:\n%s", w.summary(res.Plan))
					}
					d := w.deployments[key].Clone()
					d.TaskGroups["web"].Promoted = true
					w.deployments[key] = d
				}
			}
			w.step(t, "sys", model.TriggerDeploymentWatcher, "deployment successful: Deployment completed successfully")
		})
	}
}

func TestSysbatch(t *testing.T) {
	w := newWorld()
	w.addNodes(2, nil)
	j := systemJob("once")
	j.Type = model.JobTypeSysBatch
	w.register(j)
	w.step(t, "once", model.TriggerJobRegister, "place once.web[0] v0", "place once.web[0] v0")
	live := w.live("once")
	w.report(live[:1], func(a *model.Allocation) { a.ClientStatus = model.AllocClientComplete })
	w.report(live[1:], fails(start))
	w.step(t, "once", model.TriggerJobRegister)
	w.edit("once", func(j *model.Job) { j.Meta = map[string]string{"again": "1"} })
	w.step(t, "once", model.TriggerJobRegister, "place once.web[0] v1", "place once.web[0] v1",
		"stop once.web[0] v0: alloc not needed due to job update", "stop once.web[0] v0: alloc not needed due to job update")
}

func TestSystemExplainsWhatItLacks(t *testing.T) {
	w := newWorld()
	w.addNodes(3, func(i int, n *model.Node) { n.NodeResources.Cpu.CpuShares = int64(50 + 100*i) })
	w.register(systemJob("sys"))
	res := w.run(t, "sys", model.TriggerJobRegister)
	w.wantNodes(t, "sys", "n1", "n2")
	m := res.Failed["web"]
	if m == nil || m.NodesExhausted != 1 || m.DimensionExhausted["cpu"] != 1 || res.Queued["web"] != 1 || res.Blocked == nil {
		t.Errorf("metric %+v, queued %v, blocked %v", m, res.Queued, res.Blocked)
	}
	w.edit("sys", func(j *model.Job) {
		j.Constraints = []*model.Constraint{{LTarget: "${attr.kernel.name}", Operand: "=", RTarget: "plan9"}}
	})
	res = w.run(t, "sys", model.TriggerJobRegister)
	w.wantNodes(t, "sys")
	if w.run(t, "sys", model.TriggerJobRegister).Failed["web"].ConstraintFiltered["${attr.kernel.name} = plan9"] != 3 || res.Blocked != nil {
		t.Error("no explanation")
	}
}

func TestSystemDisconnect(t *testing.T) {
	w := newWorld()
	w.addNodes(1, nil)
	j := systemJob("sys")
	j.TaskGroups[0].Disconnect = &model.DisconnectStrategy{LostAfter: time.Minute, Replace: true}
	w.register(j)
	w.run(t, "sys", model.TriggerJobRegister)
	w.report(w.live("sys"), running)
	w.setNode(nodeID(0), func(n *model.Node) { n.Status = model.NodeStatusDisconnected })
	w.step(t, "sys", model.TriggerNodeUpdate, "now unknown sys.web[0] v0")
	w.step(t, "sys", model.TriggerNodeUpdate)
	w.setNode(nodeID(0), func(n *model.Node) { n.Status = model.NodeStatusReady })
	w.step(t, "sys", model.TriggerReconnect, "now running sys.web[0] v0")
	w.step(t, "sys", model.TriggerNodeUpdate)
}

func TestPreemption(t *testing.T) {
	setup := func(t *testing.T) *world {
		w := newWorld()
		w.addNodes(2, func(_ int, n *model.Node) { n.NodeResources.Cpu.CpuShares = 1000 })
		low := testJob("low", 4)
		low.TaskGroups[0].Tasks[0].Resources.CPU = 450
		w.register(low)
		w.run(t, "low", model.TriggerJobRegister)
		return w
	}
	ask := func(kind string, priority, cpu int) *model.Job {
		j := testJob("high", 1)
		j.Type, j.Priority = kind, priority
		j.TaskGroups[0].Tasks[0].Resources.CPU = cpu
		return j
	}
	evicted := func(w *world) int {
		n := 0
		for _, a := range w.allocs[model.JobKey{Namespace: "default", ID: "low"}] {
			if a.DesiredStatus == model.AllocDesiredEvict {
				n++
			}
		}
		return n
	}
	on := &model.SchedulerConfiguration{PreemptionConfig: model.PreemptionConfig{
		SystemSchedulerEnabled: true, ServiceSchedulerEnabled: true,
	}}
	for _, c := range []struct {
		name    string
		job     *model.Job
		config  *model.SchedulerConfiguration
		placed  int
		evicted int
	}{
		{"service, off by default", ask(model.JobTypeService, 70, 450), nil, 0, 0},
		{"service, enabled", ask(model.JobTypeService, 70, 450), on, 1, 1},
		{"priority too close", ask(model.JobTypeService, 59, 450), on, 0, 0},
		{"priority just right", ask(model.JobTypeService, 60, 450), on, 1, 1},
		{"needs two victims", ask(model.JobTypeService, 70, 900), on, 1, 2},
		{"no number of victims is enough", ask(model.JobTypeService, 70, 1100), on, 0, 0},
		{"system, on by default", ask(model.JobTypeSystem, 80, 450), nil, 2, 2},
		{"fits beside", ask(model.JobTypeService, 70, 100), on, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := setup(t)
			w.config = c.config
			w.register(c.job)
			res := w.run(t, "high", model.TriggerJobRegister)
			live := w.live("high")
			if len(live) != c.placed || evicted(w) != c.evicted {
				t.Fatalf("placed %d, evicted %d", len(live), evicted(w))
			}
			if c.evicted == 0 {
				return
			}
			victims := 0
			for _, a := range live {
				victims += len(a.PreemptedAllocations)
				if a.Metrics.ScoreMetaData[0].Scores[rank.PartPreemption] <= 0 {
					t.Errorf("scores %v", a.Metrics.ScoreMetaData[0].Scores)
				}
			}
			if victims != c.evicted || len(res.Annotations.PreemptedAllocs) != c.evicted {
				t.Errorf("%d victims named, %d annotated", victims, len(res.Annotations.PreemptedAllocs))
			}
		})
	}
}

func TestPreemptionFreesPorts(t *testing.T) {
	w := newWorld()
	w.config = &model.SchedulerConfiguration{PreemptionConfig: model.PreemptionConfig{ServiceSchedulerEnabled: true}}
	w.addNodes(1, nil)
	for i, id := range []string{"low", "high"} {
		j := testJob(id, 1)
		j.Priority = 20 + 50*i
		j.TaskGroups[0].Networks = []*model.NetworkResource{{ReservedPorts: []model.Port{{Label: "http", Value: 80}}}}
		w.register(j)
		w.run(t, model.JobID(id), model.TriggerJobRegister)
	}
	if len(w.live("low")) != 0 || len(w.live("high")) != 1 {
		t.Errorf("low %d, high %d", len(w.live("low")), len(w.live("high")))
	}
}
