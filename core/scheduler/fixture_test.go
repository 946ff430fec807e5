package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// start is the time at which tests begin.
var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a state that plans can be applied to.
type world struct {
	index       uint64
	now         time.Time
	jobs        map[model.JobKey]*model.Job
	allocs      map[model.JobKey][]*model.Allocation
	deployments map[model.JobKey]*model.Deployment
	config      *model.SchedulerConfiguration
	view        *cluster.View
	seed        uint64
	evals       int
}

func newWorld() *world {
	return &world{
		index: 10, now: start, view: cluster.New(),
		jobs:        map[model.JobKey]*model.Job{},
		allocs:      map[model.JobKey][]*model.Allocation{},
		deployments: map[model.JobKey]*model.Deployment{},
	}
}

func (w *world) Index() uint64 { return w.index }
func (w *world) Job(ns string, id model.JobID) *model.Job {
	return w.jobs[model.JobKey{Namespace: ns, ID: id}]
}
func (w *world) JobAllocs(ns string, id model.JobID) []*model.Allocation {
	return w.allocs[model.JobKey{Namespace: ns, ID: id}]
}
func (w *world) LatestDeployment(ns string, id model.JobID) *model.Deployment {
	return w.deployments[model.JobKey{Namespace: ns, ID: id}]
}
func (w *world) NodePool(string) *model.NodePool                { return nil }
func (w *world) SchedulerConfig() *model.SchedulerConfiguration { return w.config }
func (w *world) Cluster() *cluster.View                         { return w.view }

// nodeID makes IDs that read well and sort by number.
func nodeID(i int) model.NodeID {
	return model.NodeID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i))
}

// testNode is a ready node of 4000 MHz and 8000 MB.
func testNode(i int) *model.Node {
	n := &model.Node{
		ID: nodeID(i), Name: fmt.Sprintf("n%d", i), Datacenter: "dc1", NodePool: "default",
		Attributes: map[string]string{"kernel.name": "linux", "driver.exec": "1"},
		Meta:       map[string]string{},
		NodeResources: &model.NodeResources{
			Cpu:    model.NodeCPU{CpuShares: 4000, TotalCpuCores: 4, ReservableCpuCores: []uint16{0, 1, 2, 3}},
			Memory: model.NodeMemory{MemoryMB: 8000},
			Disk:   model.NodeDisk{DiskMB: 100000},
			NodeNetworks: []*model.NodeNetwork{{Mode: "host", Device: "eth0", Addresses: []model.NodeNetworkAddress{
				{Family: "ipv4", Alias: "default", Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)},
			}}},
			MinDynamicPort: 20000, MaxDynamicPort: 32000,
		},
		Drivers:               map[string]*model.DriverInfo{"exec": {Detected: true, Healthy: true}},
		SchedulingEligibility: model.NodeEligible,
		Status:                model.NodeStatusReady,
	}
	n.ComputedClass = cluster.ComputeClass(n)
	return n
}

func (w *world) addNodes(count int, change func(i int, n *model.Node)) {
	ed := w.view.Edit()
	for i := range count {
		n := testNode(i)
		if change != nil {
			change(i, n)
			n.ComputedClass = cluster.ComputeClass(n)
		}
		ed.PutNode(n)
	}
	w.view = ed.View()
}

// setNode changes a node.
func (w *world) setNode(id model.NodeID, change func(n *model.Node)) {
	n := *w.view.Node(id).Node
	change(&n)
	ed := w.view.Edit()
	ed.PutNode(&n)
	w.view = ed.View()
	w.index++
}

// testJob is a service of one group of one task, 100 MHz and 50 MB each.
func testJob(id string, count int) *model.Job {
	return &model.Job{
		ID: model.JobID(id), Name: id, Namespace: "default", Type: model.JobTypeService, Priority: 50,
		Datacenters: []string{"*"}, NodePool: "default",
		TaskGroups: []*model.TaskGroup{testGroup("web", count)},
	}
}

func testGroup(name string, count int) *model.TaskGroup {
	return &model.TaskGroup{
		Name: name, Count: count,
		Tasks: []*model.Task{{
			Name: "main", Driver: "exec", Env: map[string]string{"V": "0"},
			Resources: &model.Resources{CPU: 100, MemoryMB: 50},
		}},
		EphemeralDisk: &model.EphemeralDisk{SizeMB: 10},
		ReschedulePolicy: &model.ReschedulePolicy{
			Unlimited: true, Delay: 30 * time.Second, DelayFunction: "exponential", MaxDelay: time.Hour,
		},
	}
}

// rolling gives every group of the job an update block.
func rolling(j *model.Job, maxParallel, canary int) *model.Job {
	for _, g := range j.TaskGroups {
		g.Update = &model.UpdateStrategy{
			MaxParallel: maxParallel, Canary: canary, MinHealthyTime: 10 * time.Second,
			HealthyDeadline: 5 * time.Minute, ProgressDeadline: 10 * time.Minute,
		}
	}
	return j
}

// register stores a new version of a job.
func (w *world) register(j *model.Job) *model.Job {
	w.index++
	j = j.Clone()
	if old := w.jobs[j.Key()]; old != nil {
		j.Version, j.CreateIndex = old.Version+1, old.CreateIndex
	} else {
		j.CreateIndex = w.index
	}
	j.ModifyIndex, j.JobModifyIndex = w.index, w.index
	w.jobs[j.Key()] = j
	return j
}

// edit registers a changed version.
func (w *world) edit(id model.JobID, change func(*model.Job)) *model.Job {
	j := w.jobs[model.JobKey{Namespace: "default", ID: id}].Clone()
	change(j)
	return w.register(j)
}

func (w *world) eval(j *model.Job, trigger string) *model.Evaluation {
	w.evals++
	return &model.Evaluation{
		ID:        model.EvalID(fmt.Sprintf("e0000000-0000-4000-8000-%012d", w.evals)),
		Namespace: j.Namespace, Priority: j.Priority, Type: j.Type, JobID: j.ID,
		TriggeredBy: trigger, Status: model.EvalStatusPending, JobModifyIndex: j.ModifyIndex,
	}
}

// process runs an evaluation and checks what must hold for every plan.
func (w *world) process(t testing.TB, e *model.Evaluation) *Result {
	t.Helper()
	w.seed++
	res, err := Process(w, e, Input{Now: w.now, Seed: w.seed, Annotate: true})
	if err != nil {
		t.Fatalf("process: %v", err)
	}
	if rejected := cluster.CheckPlan(w.view, res.Plan); len(rejected) > 0 {
		t.Fatalf("the plan does not fit: %v", rejected)
	}
	return res
}

// run processes an evaluation of the job and applies the plan.
func (w *world) run(t testing.TB, id model.JobID, trigger string) *Result {
	t.Helper()
	res := w.process(t, w.eval(w.jobs[model.JobKey{Namespace: "default", ID: id}], trigger))
	w.apply(res.Plan)
	return res
}

// apply commits a plan as the servers would.
func (w *world) apply(p *model.Plan) {
	w.index++
	if p.Deployment != nil {
		w.deployments[model.JobKey{Namespace: p.Deployment.Namespace, ID: p.Deployment.JobID}] = p.Deployment.Clone()
	}
	for _, u := range p.DeploymentUpdates {
		for k, d := range w.deployments {
			if d.ID == u.DeploymentID {
				d = d.Clone()
				d.Status, d.StatusDescription = u.Status, u.StatusDescription
				w.deployments[k] = d
			}
		}
	}
	for _, byNode := range []map[string][]*model.Allocation{p.NodeUpdate, p.NodePreemptions, p.NodeAllocation} {
		for _, list := range byNode {
			for _, a := range list {
				w.put(a)
			}
		}
	}
}

// put stores an allocation, and keeps the counts of its deployment.
func (w *world) put(a *model.Allocation) {
	key := a.JobKey()
	all := w.allocs[key]
	i := slices.IndexFunc(all, func(x *model.Allocation) bool { return x.ID == a.ID })
	var old *model.Allocation
	all = slices.Clone(all)
	if i >= 0 {
		old = all[i]
		all[i] = a
	} else {
		a.CreateIndex = w.index
		all = append(all, a)
	}
	w.allocs[key] = all
	if d := w.deployments[key]; d != nil && d.ID == a.DeploymentID && (old == nil || old.DeploymentID != a.DeploymentID) {
		d = d.Clone()
		s := d.TaskGroups[a.TaskGroup]
		s.PlacedAllocs++
		if a.DeploymentStatus.IsCanary() {
			s.PlacedCanaries = append(s.PlacedCanaries, a.ID)
		}
		w.deployments[key] = d
	}
	ed := w.view.Edit()
	ed.ChangeAlloc(old, a)
	w.view = ed.View()
}

// report changes allocations as their nodes would.
func (w *world) report(allocs []*model.Allocation, change func(a *model.Allocation)) {
	w.index++
	for _, a := range allocs {
		c := *a
		change(&c)
		w.put(&c)
	}
}

// healthy sets the health of allocations in their deployment.
func (w *world) healthy(allocs []*model.Allocation, healthy bool) {
	for _, a := range allocs {
		d := w.deployments[a.JobKey()].Clone()
		if healthy {
			d.TaskGroups[a.TaskGroup].HealthyAllocs++
		} else {
			d.TaskGroups[a.TaskGroup].UnhealthyAllocs++
		}
		w.deployments[a.JobKey()] = d
	}
	w.report(allocs, func(a *model.Allocation) {
		s := model.AllocDeploymentStatus{}
		if a.DeploymentStatus != nil {
			s = *a.DeploymentStatus
		}
		s.Healthy = &healthy
		a.DeploymentStatus = &s
	})
}

func running(a *model.Allocation) { a.ClientStatus = model.AllocClientRunning }

// fails makes a client report of an allocation that failed at a time.
func fails(at time.Time) func(a *model.Allocation) {
	return func(a *model.Allocation) {
		a.ClientStatus = model.AllocClientFailed
		a.TaskStates = map[string]*model.TaskState{"main": {State: model.TaskStateDead, Failed: true, FinishedAt: at}}
	}
}

// live returns the job's allocations that are to run, by name.
func (w *world) live(id model.JobID) []*model.Allocation {
	var out []*model.Allocation
	for _, a := range w.allocs[model.JobKey{Namespace: "default", ID: id}] {
		if !a.Terminal() {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *model.Allocation) int {
		if a.Index() != b.Index() {
			return a.Index() - b.Index()
		}
		return int(a.JobVersion) - int(b.JobVersion)
	})
	return out
}
