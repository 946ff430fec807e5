package scheduler

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// TestRandomClusters drives random jobs through random events and checks, after
// every plan, what must never be otherwise.
func TestRandomClusters(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 7))
			w := newWorld()
			w.seed = seed * 1000
			w.addNodes(3+rnd.IntN(12), func(i int, n *model.Node) {
				n.Meta["rack"] = fmt.Sprint(rnd.IntN(3))
				n.NodeResources.Cpu.CpuShares = int64(500 + rnd.IntN(3000))
				n.NodeResources.Memory.MemoryMB = int64(200 + rnd.IntN(1500))
				n.NodeResources.MaxDynamicPort = n.NodeResources.MinDynamicPort + rnd.IntN(6)
				n.NodeMaxAllocs = rnd.IntN(2) * 7
			})
			var ids []model.JobID
			for i := range 3 {
				j := randomJob(rnd, fmt.Sprint("job", i))
				ids = append(ids, j.ID)
				w.register(j)
			}
			for range 40 {
				id := ids[rnd.IntN(len(ids))]
				w.disturb(rnd, id)
				key := model.JobKey{Namespace: "default", ID: id}
				e := w.eval(w.jobs[key], model.TriggerJobRegister)
				res := w.process(t, e)
				again, err := Process(w, e, Input{Now: w.now, Seed: w.seed, Annotate: true})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(res, again); diff != "" {
					t.Fatalf("the same input gave two results:\n%s", diff)
				}
				w.apply(res.Plan)
				w.check(t, id, res)
			}
		})
	}
}

func randomJob(rnd *rand.Rand, id string) *model.Job {
	j := testJob(id, 1+rnd.IntN(8))
	if rnd.IntN(3) == 0 {
		j.Type = model.JobTypeBatch
	} else if rnd.IntN(2) == 0 {
		rolling(j, 1+rnd.IntN(3), rnd.IntN(2))
	}
	g := j.TaskGroups[0]
	g.Tasks[0].Resources.CPU = 50 + rnd.IntN(800)
	g.Tasks[0].Resources.MemoryMB = 20 + rnd.IntN(300)
	if rnd.IntN(2) == 0 {
		n := &model.NetworkResource{DynamicPorts: []model.Port{{Label: "a"}, {Label: "b", To: 80}}}
		if rnd.IntN(2) == 0 {
			n.ReservedPorts = []model.Port{{Label: "http", Value: 8080}}
		}
		g.Networks = []*model.NetworkResource{n}
	}
	switch rnd.IntN(4) {
	case 0:
		j.Constraints = []*model.Constraint{{Operand: model.OpDistinctHosts}}
	case 1:
		j.Constraints = []*model.Constraint{{LTarget: "${meta.rack}", Operand: model.OpDistinctProperty, RTarget: "2"}}
	case 2:
		j.Spreads = []*model.Spread{{Attribute: "${meta.rack}", Weight: 50}, {Attribute: "${node.unique.name}", Weight: 20}}
	}
	if rnd.IntN(3) == 0 {
		g.Tasks[0].Resources.CPU, g.Tasks[0].Resources.Cores = 0, 1
	}
	return j
}

// disturb changes something about the world.
func (w *world) disturb(rnd *rand.Rand, id model.JobID) {
	w.now = w.now.Add(time.Duration(rnd.IntN(40)) * time.Second)
	live := w.live(id)
	some := live[:0:0]
	for _, a := range live {
		if rnd.IntN(3) == 0 {
			some = append(some, a)
		}
	}
	node := nodeID(rnd.IntN(w.view.Len()))
	switch rnd.IntN(9) {
	case 0:
		w.edit(id, func(j *model.Job) { j.TaskGroups[0].Count = rnd.IntN(10) })
	case 1:
		w.edit(id, func(j *model.Job) { j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": fmt.Sprint(rnd.Int())} })
	case 2:
		w.setNode(node, func(n *model.Node) { n.Status = model.NodeStatusDown })
	case 3:
		w.setNode(node, func(n *model.Node) { n.Status = model.NodeStatusReady })
	case 4:
		w.report(some, fails(w.now))
	case 5:
		w.report(some, func(a *model.Allocation) {
			a.ClientStatus = model.AllocClientComplete
			a.TaskStates = map[string]*model.TaskState{"main": {State: model.TaskStateDead, FinishedAt: w.now}}
		})
	case 6:
		yes := true
		w.report(some, func(a *model.Allocation) { a.DesiredTransition.Migrate = &yes })
	case 7:
		w.report(live, running)
		for _, a := range live {
			if a.DeploymentID != "" && a.DeploymentID == w.deployments[a.JobKey()].ID && !a.DeploymentStatus.IsHealthy() {
				w.healthy([]*model.Allocation{a}, true)
			}
		}
	case 8:
		w.edit(id, func(j *model.Job) { j.Stop = !j.Stop })
	}
}

func (w *world) check(t *testing.T, id model.JobID, res *Result) {
	t.Helper()
	j := w.jobs[model.JobKey{Namespace: "default", ID: id}]
	holding, canaries := 0, 0
	names := map[string]int{}
	for _, a := range w.live(id) {
		if a.DeploymentStatus.IsCanary() {
			canaries++
			continue
		}
		holding++
		names[a.Name]++
	}
	if j.Stop && holding+canaries > 0 || holding > j.TaskGroups[0].Count {
		t.Fatalf("%d allocations and %d canaries of %d (stopped: %v)", holding, canaries, j.TaskGroups[0].Count, j.Stop)
	}
	for name, n := range names {
		if n > 1 && j.Type == model.JobTypeService && j.TaskGroups[0].Update == nil {
			t.Errorf("%d allocations are called %s", n, name)
		}
	}
	hosts, racks := map[model.NodeID]int{}, map[string]int{}
	for _, a := range w.live(id) {
		hosts[a.NodeID]++
		racks[w.view.Node(a.NodeID).Node.Meta["rack"]]++
	}
	for _, c := range j.Constraints {
		for host, n := range hosts {
			if c.Operand == model.OpDistinctHosts && n > 1 {
				t.Errorf("%d allocations share %s", n, host)
			}
		}
		for rack, n := range racks {
			if c.Operand == model.OpDistinctProperty && n > 2 {
				t.Errorf("%d allocations share rack %s", n, rack)
			}
		}
	}
	if missing := len(res.Failed) > 0; missing != (res.Blocked != nil) && len(res.FollowUps) == 0 {
		t.Errorf("failed %v, blocked %v", res.Failed, res.Blocked)
	}

	// The view kept by small steps is the one that counting anew gives.
	fresh := cluster.New().Edit()
	w.view.All(func(_ int32, n *cluster.Node) { fresh.PutNode(n.Node) })
	ports := map[string]model.AllocID{}
	for _, list := range w.allocs {
		for _, a := range list {
			fresh.ChangeAlloc(nil, a)
			if a.Terminal() {
				continue
			}
			for _, p := range a.AllocatedResources.Shared.Ports {
				if other, taken := ports[p.Addr()]; taken {
					t.Errorf("%s and %s share %s", a.ID, other, p.Addr())
				}
				ports[p.Addr()] = a.ID
			}
		}
	}
	rebuilt := fresh.View()
	w.view.All(func(_ int32, n *cluster.Node) {
		m := rebuilt.Node(n.Node.ID)
		if n.UsedCPU != m.UsedCPU || n.UsedMemoryMB != m.UsedMemoryMB || n.UsedDiskMB != m.UsedDiskMB ||
			n.FreeCoreCount() != m.FreeCoreCount() || len(n.Allocs) != len(m.Allocs) {
			t.Errorf("%s: kept %+v, counted %+v", n.Node.Name, n, m)
		}
		if reason := n.Overfull(); reason != "" {
			t.Errorf("%s is overfull: %s", n.Node.Name, reason)
		}
	})
}

// TestPlansFromOneSnapshotNeverOverfill makes plans that do not know of each
// other and commits what the check lets through.
func TestPlansFromOneSnapshotNeverOverfill(t *testing.T) {
	conflicts := 0
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		w := newWorld()
		w.seed = seed * 100
		w.addNodes(2+rnd.IntN(4), func(_ int, n *model.Node) { n.NodeResources.Cpu.CpuShares = int64(300 + rnd.IntN(2000)) })
		var plans []*model.Plan
		for i := range 4 {
			j := w.register(randomJob(rnd, fmt.Sprint("job", i)))
			plans = append(plans, w.process(t, w.eval(j, model.TriggerJobRegister)).Plan)
		}
		for _, p := range plans {
			rejected := cluster.CheckPlan(w.view, p)
			conflicts += len(rejected)
			for id := range rejected {
				delete(p.NodeAllocation, string(id))
			}
			w.apply(p)
			w.view.All(func(_ int32, n *cluster.Node) {
				if reason := n.Overfull(); reason != "" {
					t.Fatalf("seed %d: %s is overfull: %s", seed, n.Node.Name, reason)
				}
			})
		}
	}
	if conflicts == 0 {
		t.Error("no plans conflicted: the test tests nothing")
	}
}
