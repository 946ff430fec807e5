package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/state"
)

func (c *Cluster) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// watchHistory notes what must never happen, even for a moment.
func (c *Cluster) watchHistory(ch *state.Changes) {
	snap := c.State()
	for _, a := range ch.Allocs {
		if a.Before != nil || a.After == nil || a.After.Job == nil || a.After.Job.Type != model.JobTypeBatch {
			continue
		}
		for old := range snap.AllocsByJob(nil, a.After.JobKey()) {
			if old.ID != a.After.ID && old.Name == a.After.Name && old.JobVersion == a.After.JobVersion && old.Job != nil &&
				old.Job.CreateIndex == a.After.Job.CreateIndex && old.ClientStatus == model.AllocClientComplete &&
				!old.ServerTerminal() && old.RanSuccessfully() {
				c.fault("%s was started again as %s after %s had finished", old.Name, model.Short(a.After.ID), model.Short(old.ID))
			}
		}
	}
}

// Check says what is wrong with a cluster that is at rest for now. An empty
// answer is a good one.
func (c *Cluster) Check() []string {
	faults := c.faults
	c.faults = nil
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	snap := c.State()
	c.checkNodes(snap, fault)
	for job := range snap.Jobs(nil, model.AllNamespaces, "") {
		c.checkJob(snap, job, fault)
	}
	c.checkRest(snap, fault)
	return faults
}

// checkNodes counts anew what is used of every node.
func (c *Cluster) checkNodes(snap *state.Snapshot, fault func(string, ...any)) {
	view := snap.Cluster()
	for n := range snap.Nodes(nil, "") {
		var cpu, memory, disk int64
		ports := map[int]model.AllocID{}
		live := 0
		for a := range snap.AllocsByNode(nil, n.ID) {
			if a.Terminal() {
				continue
			}
			live++
			u := a.AllocatedResources.Usage()
			cpu, memory, disk = cpu+u.CPU, memory+u.MemoryMB, disk+u.DiskMB
			for _, p := range a.AllocatedResources.Shared.Ports {
				if other, taken := ports[p.Value]; taken {
					fault("port %d of %s is given to both %s and %s", p.Value, n.Name, model.Short(other), model.Short(a.ID))
				}
				ports[p.Value] = a.ID
			}
		}
		r := n.NodeResources
		if cpu > r.Cpu.CpuShares || memory > r.Memory.MemoryMB || disk > r.Disk.DiskMB || n.NodeMaxAllocs > 0 && live > n.NodeMaxAllocs {
			fault("%s is overfull: %d of %d MHz, %d of %d MB, %d of %d MB disk, %d allocations",
				n.Name, cpu, r.Cpu.CpuShares, memory, r.Memory.MemoryMB, disk, r.Disk.DiskMB, live)
		}
		if kept := view.Node(n.ID); kept.UsedCPU != cpu || kept.UsedMemoryMB != memory || kept.UsedDiskMB != disk || len(kept.Allocs) != live {
			fault("%s: the view counts %d MHz, %d MB, %d MB disk, %d allocations; there are %d, %d, %d, %d", n.Name,
				kept.UsedCPU, kept.UsedMemoryMB, kept.UsedDiskMB, len(kept.Allocs), cpu, memory, disk, live)
		}
	}
}

// waits reports whether a job has an evaluation that waits for room or time.
func waits(snap *state.Snapshot, k model.JobKey) bool {
	for e := range snap.EvalsByJob(nil, k) {
		if !e.Terminal() {
			return true
		}
	}
	return false
}

// checkJob compares what a job asks for with what it has.
func (c *Cluster) checkJob(snap *state.Snapshot, job *model.Job, fault func(string, ...any)) {
	live := map[string]int{}
	names := map[string]int{}
	done := map[string]int{}
	for a := range snap.AllocsByJob(nil, job.Key()) {
		switch {
		case a.Job.CreateIndex != job.CreateIndex, a.DeploymentStatus.IsCanary(), a.ClientStatus == model.AllocClientUnknown:
		case !a.Terminal():
			live[a.TaskGroup]++
			key := a.Name
			if onEveryNode(job) {
				key += " on " + a.NodeName
			}
			// A promoted canary may share its name with another allocation
			// while there are fewer than asked for.
			g := job.Group(a.TaskGroup)
			if names[key]++; names[key] > 1 && (g == nil || g.Update == nil || g.Update.Canary == 0) {
				fault("%d allocations of version %d and before are to run as %s", names[key], job.Version, key)
			}
			if n := snap.Node(nil, a.NodeID); n == nil || n.Status == model.NodeStatusDown {
				fault("%s is to run on a node that is down", a.Name)
			}
		case !a.ServerTerminal() && (a.ClientStatus == model.AllocClientComplete || a.ClientStatus == model.AllocClientFailed):
			done[a.TaskGroup]++
		case a.DesiredTransition.MigrateDisablePlacement != nil: // a drain stopped it for good
			done[a.TaskGroup]++
		}
	}
	if job.Stop {
		for group, n := range live {
			fault("job %s is stopped, yet %d of %s are to run", job.ID, n, group)
		}
		return
	}
	d := snap.LatestDeployment(nil, job.Key())
	unfinished := d != nil && d.Status != model.DeploymentStatusSuccessful && d.Status != model.DeploymentStatusCancelled
	for _, g := range job.TaskGroups {
		if onEveryNode(job) {
			continue
		}
		n := live[g.Name]
		if n > g.Count {
			fault("%d of %s.%s are to run, %d are asked for", n, job.ID, g.Name, g.Count)
		}
		if n+done[g.Name] < g.Count && !waits(snap, job.Key()) && !unfinished {
			fault("%d of %s.%s are to run or have ended, %d are asked for, and nothing waits", n+done[g.Name], job.ID, g.Name, g.Count)
		}
	}
}

func onEveryNode(job *model.Job) bool {
	return job.Type == model.JobTypeSystem || job.Type == model.JobTypeSysBatch
}

// checkRest has every job evaluated once more: at rest that must change
// nothing. What could be placed now was missed before, by an evaluation that
// should have been retried.
func (c *Cluster) checkRest(snap *state.Snapshot, fault func(string, ...any)) {
	for job := range snap.Jobs(nil, model.AllNamespaces, "") {
		if c.soon(snap, job.Key()) || onEveryNode(job) && !allReady(snap) || failedHealthy(snap, job.Key()) {
			continue
		}
		eval := &model.Evaluation{
			ID: "00000000-0000-4000-8000-00000000c4ec", Namespace: job.Namespace, JobID: job.ID, Type: job.Type,
			Priority: job.Priority, TriggeredBy: model.TriggerJobRegister, Status: model.EvalStatusPending,
		}
		res, err := scheduler.Process(snap.Scheduling(), eval, scheduler.Input{Now: c.now, Seed: 1})
		if err != nil {
			fault("evaluate job %s at rest: %v", job.ID, err)
			continue
		}
		if text := describe(res.Plan); text != "" {
			fault("job %s is not at rest: another evaluation would %s", job.ID, text)
		}
		if rejected := cluster.CheckPlan(snap.Cluster(), res.Plan); len(rejected) > 0 {
			fault("the plan of job %s does not fit the state that it was made from: %v", job.ID, rejected)
		}
	}
}

// soon reports whether a job's next evaluation is so near that the scheduler
// already does what it is for.
func (c *Cluster) soon(snap *state.Snapshot, k model.JobKey) bool {
	for e := range snap.EvalsByJob(nil, k) {
		if e.Status == model.EvalStatusPending && e.WaitUntil.Sub(c.now) <= time.Second {
			return true
		}
	}
	return false
}

// allReady reports whether every node takes allocations. What a system job has
// on others depends on when it was evaluated: becoming ineligible is no reason
// for an evaluation.
func allReady(snap *state.Snapshot) bool {
	for n := range snap.Nodes(nil, "") {
		if !n.Ready() {
			return false
		}
	}
	return true
}

// failedHealthy reports whether an allocation of a job failed after it had been
// healthy for a deployment: while that runs it is not rescheduled, and its end
// is no reason for an evaluation.
func failedHealthy(snap *state.Snapshot, k model.JobKey) bool {
	for a := range snap.AllocsByJob(nil, k) {
		if a.DeploymentID != "" && a.ClientStatus == model.AllocClientFailed && a.DeploymentStatus.IsHealthy() && !a.ServerTerminal() {
			return true
		}
	}
	return false
}

// describe sums up a plan; nothing for one that is empty but for the status of
// a deployment, which the next change of its allocations' health settles.
func describe(p *model.Plan) string {
	var parts []string
	for what, byNode := range map[string]map[string][]*model.Allocation{
		"stop": p.NodeUpdate, "place": p.NodeAllocation, "preempt": p.NodePreemptions,
	} {
		for _, allocs := range byNode {
			for _, a := range allocs {
				parts = append(parts, fmt.Sprintf("%s %s on %s (%s)", what, a.Name, a.NodeName, a.DesiredDescription))
			}
		}
	}
	if p.Deployment != nil {
		parts = append(parts, "start a deployment")
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// CheckEnded says which deployments have not ended. One that waits for room for
// its first allocation has no deadline yet; one whose canaries wait for people,
// and one of a system job that lacks room on a node, have none at all.
func (c *Cluster) CheckEnded() []string {
	var faults []string
	for d := range c.State().Deployments(nil) {
		snap, k := c.State(), model.JobKey{Namespace: d.Namespace, ID: d.JobID}
		job := snap.Job(nil, k)
		waiting := waits(snap, k) && (unplaced(d) || job != nil && onEveryNode(job))
		if d.Active() && !waiting && !d.RequiresPromotion() {
			faults = append(faults, fmt.Sprintf("the deployment of version %d of job %s is still %s: %s", d.JobVersion, d.JobID, d.Status, d.StatusDescription))
		}
	}
	return faults
}

func unplaced(d *model.Deployment) bool {
	for _, g := range d.TaskGroups {
		if g.PlacedAllocs == 0 {
			return true
		}
	}
	return false
}
