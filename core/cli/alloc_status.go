package cli

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func allocStatus() *leaf {
	return &leaf{
		words: "alloc status", aliases: []string{"alloc-status"}, synopsis: "Show an allocation and its tasks",
		args: "[options] <allocation>", maxArgs: 1, wants: "one of the following argument conditions:\n * A single <allocation>\n * No arguments, with output format specified",
		prose: `Shows an allocation: where and why it runs, what its tasks use, and what happened to them lately. The beginning of an ID is enough if it is unique.

With ACLs, the 'read-job' capability is needed.`,
		complete: predictAllocs,
		setup: func(f *flags) func(*session) int {
			brief := f.flagBool("short", "Show the tasks in one line each.", false)
			stats := f.flagBool("stats", "Show in detail what the tasks use.", false)
			verbose := f.flagBool("verbose", "Show whole IDs and more.", false)
			ui := f.uiFlag()
			out := f.output()
			return func(s *session) int {
				s.noUI(*ui)
				if len(s.args) == 0 && !out.wanted() {
					return s.misuse(s.leaf, exitError, "This command takes "+s.leaf.wants)
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				if len(s.args) == 0 {
					return s.renderPath(ctx, out, "/v1/allocations", nil, &[]*model.AllocListStub{})
				}
				// An ambiguous prefix is not an error here: the list is the answer.
				stub, err := s.alloc(ctx, s.args[0], *verbose, exitOK)
				if err != nil {
					return s.code(err)
				}
				if out.wanted() {
					return s.renderPath(ctx, out, "/v1/allocation/"+apiclient.Segment(stub.ID), nil, &model.Allocation{})
				}
				a, _, err := s.api.Allocation(ctx, stub.ID, nil)
				if err != nil {
					return s.fail("Error querying allocation: %v", err)
				}
				s.allocDetail(ctx, a, *brief, *stats, *verbose)
				return exitOK
			}
		},
	}
}

func predictAllocs(s *session) complete.Predictor {
	return s.predict(func(ctx context.Context, prefix string) []string {
		all, _, err := s.api.Allocations(ctx, &apiclient.Query{Prefix: evenPrefix(prefix)})
		if err != nil {
			return nil
		}
		var out []string
		for _, a := range all {
			out = append(out, string(a.ID))
		}
		return out
	})
}

// nodeAnswerTimeout bounds how long a status waits for a node that may be gone.
const nodeAnswerTimeout = 5 * time.Second

func (s *session) allocDetail(ctx context.Context, a *model.Allocation, brief, stats, verbose bool) {
	if brief {
		s.println(pairs("ID", string(a.ID), "Name", a.Name, "Created", s.when(a.CreateTime, verbose), "Modified", s.when(a.ModifyTime, verbose)))
		s.shortTasks(a)
		return
	}
	s.println(pairs(s.allocRows(a, verbose)...))
	s.allocAddresses(a)
	nodeCtx, cancel := context.WithTimeout(ctx, nodeAnswerTimeout)
	defer cancel()
	var usage *model.AllocResourceUsage
	if !a.ClientTerminal() {
		// A node that does not answer leaves the figures at zero.
		usage, _ = s.api.AllocationStats(nodeCtx, a.ID, nil)
		if hasServerChecks(a) {
			if checks, err := s.api.AllocationChecks(nodeCtx, a.ID, nil); err == nil {
				s.checkTable(checks)
			}
		}
	}
	for _, name := range taskOrder(a) {
		s.taskDetail(a, name, usage, stats)
	}
	if verbose {
		s.placementMetrics(a)
	}
}

// allocRows are the keys and values of an allocation.
func (s *session) allocRows(a *model.Allocation, verbose bool) []string {
	n := idLength(verbose)
	version := "<nil>"
	if a.Job != nil {
		version = fmt.Sprint(a.Job.Version)
	}
	rows := []string{
		"ID", string(a.ID),
		"Eval ID", short(a.EvalID, n),
		"Name", a.Name,
		"Node ID", short(a.NodeID, n),
		"Node Name", a.NodeName,
		"Job ID", string(a.JobID),
		"Job Version", version,
		"Client Status", a.ClientStatus,
		"Client Description", a.ClientDescription,
		"Desired Status", a.DesiredStatus,
		"Desired Description", a.DesiredDescription,
		"Created", s.when(a.CreateTime, verbose),
		"Modified", s.when(a.ModifyTime, verbose),
	}
	if a.DeploymentID != "" {
		health := "unset"
		switch {
		case a.DeploymentStatus.IsHealthy():
			health = "healthy"
		case a.DeploymentStatus.IsUnhealthy():
			health = "unhealthy"
		}
		rows = append(rows, "Deployment ID", short(a.DeploymentID, n), "Deployment Health", health)
		if a.DeploymentStatus.IsCanary() {
			rows = append(rows, "Canary", "true")
		}
	}
	if a.NextAllocation != "" {
		rows = append(rows, "Replacement Alloc ID", short(a.NextAllocation, n))
	}
	rows = append(rows, s.rescheduleRows(a)...)
	if len(a.PreemptedAllocations) > 0 {
		ids := make([]string, len(a.PreemptedAllocations))
		for i, id := range a.PreemptedAllocations {
			ids[i] = short(id, n)
		}
		rows = append(rows, "Preempted Allocations", strings.Join(ids, ","))
	}
	if m := a.Metrics; m != nil && verbose {
		rows = append(rows, "Evaluated Nodes", fmt.Sprint(m.NodesEvaluated), "Filtered Nodes", fmt.Sprint(m.NodesFiltered),
			"Exhausted Nodes", fmt.Sprint(m.NodesExhausted), "Allocation Time", m.AllocationTime.String(), "Failures", fmt.Sprint(m.CoalescedFailures))
	}
	return rows
}

// rescheduleRows says how often an allocation was placed anew, and if it will
// be again.
func (s *session) rescheduleRows(a *model.Allocation) []string {
	g := a.Group()
	if g == nil || g.ReschedulePolicy == nil {
		return nil
	}
	p := g.ReschedulePolicy
	var rows []string
	if t := a.RescheduleTracker; t != nil && len(t.Events) > 0 && !p.Unlimited && p.Attempts > 0 {
		done := 0
		for _, e := range t.Events {
			if s.now().Sub(fromNano(e.RescheduleTime)) < p.Interval {
				done++
			}
		}
		rows = append(rows, "Reschedule Attempts", fmt.Sprintf("%d/%d", done, p.Attempts))
	}
	if a.ClientStatus == model.AllocClientFailed && a.FollowupEvalID != "" && a.NextAllocation == "" {
		rows = append(rows, "Reschedule Eligibility", s.ago(fromNano(a.ModifyTime).Add(p.Delay)))
	}
	return rows
}

func (s *session) allocAddresses(a *model.Allocation) {
	r := a.AllocatedResources
	if r == nil || len(r.Shared.Ports) == 0 {
		return
	}
	heading := "Allocation Addresses:"
	if len(r.Shared.Networks) > 0 && r.Shared.Networks[0].Mode != "" && r.Shared.Networks[0].Mode != "host" {
		heading = fmt.Sprintf("Allocation Addresses (mode = %q):", r.Shared.Networks[0].Mode)
	}
	rows := [][]string{{"Label", "Dynamic", "Address"}}
	for _, p := range r.Shared.Ports {
		address := net.JoinHostPort(p.HostIP, strconv.Itoa(p.Value))
		if p.To > 0 {
			address += fmt.Sprintf(" -> %d", p.To)
		}
		rows = append(rows, []string{"*" + p.Label, "yes", address})
	}
	s.title(heading)
	s.println(table(rows...))
}

// hasServerChecks reports whether a service of the allocation is checked by its
// node.
func hasServerChecks(a *model.Allocation) bool {
	g := a.Group()
	if g == nil {
		return false
	}
	services := slices.Clone(g.Services)
	for _, t := range g.Tasks {
		services = append(services, t.Services...)
	}
	return slices.ContainsFunc(services, func(sv *model.Service) bool { return sv.Provider == "nomad" && len(sv.Checks) > 0 })
}

func (s *session) checkTable(checks map[string]*apiclient.CheckStatus) {
	if len(checks) == 0 {
		return
	}
	rows := [][]string{}
	for _, c := range checks {
		task := "(group)"
		if c.Task != "" {
			task = c.Task
		}
		rows = append(rows, []string{c.Service, task, c.Check, c.Mode, c.Status})
	}
	slices.SortFunc(rows, func(a, b []string) int { return slices.Compare(a, b) })
	s.title("Nomad Service Checks:")
	s.println(table(append([][]string{{"Service", "Task", "Name", "Mode", "Status"}}, rows...)...))
}

// lifecycleText names a task's place in the life of its allocation; main tasks
// have none.
func lifecycleText(lc *model.TaskLifecycle) string {
	if lc == nil || lc.Hook == "" {
		return ""
	}
	if lc.Sidecar {
		return lc.Hook + " sidecar"
	}
	return lc.Hook
}

// taskOrder lists an allocation's tasks in the order of their lives.
func taskOrder(a *model.Allocation) []string {
	names := sortedKeys(a.TaskStates)
	if len(names) == 0 && a.AllocatedResources != nil {
		names = sortedKeys(a.AllocatedResources.Tasks)
	}
	phase := func(name string) int {
		return slices.Index([]string{"prestart", "prestart sidecar", "", "poststart sidecar", "poststart", "poststop"}, lifecycleText(lifecycleOf(a, name)))
	}
	slices.SortStableFunc(names, func(x, y string) int { return cmp.Compare(phase(x), phase(y)) })
	return names
}

func lifecycleOf(a *model.Allocation, task string) *model.TaskLifecycle {
	if a.AllocatedResources == nil {
		return nil
	}
	return a.AllocatedResources.TaskLifecycles[task]
}

func (s *session) shortTasks(a *model.Allocation) {
	rows := [][]string{{"Name", "State", "Last Event", "Time", "Lifecycle"}}
	for _, name := range taskOrder(a) {
		row := []string{name, "pending", "", "N/A", "main"}
		if st := a.TaskStates[name]; st != nil {
			row[1] = st.State
			if len(st.Events) > 0 {
				last := st.Events[len(st.Events)-1]
				row[2], row[3] = last.Type, s.clockNano(last.Time)
			}
		}
		if text := lifecycleText(lifecycleOf(a, name)); text != "" {
			row[4] = text
		}
		rows = append(rows, row)
	}
	s.title("Tasks")
	s.println(table(rows...))
}

// taskDetail shows one task: what it may use and does use, and its last events.
func (s *session) taskDetail(a *model.Allocation, name string, usage *model.AllocResourceUsage, stats bool) {
	st := a.TaskStates[name]
	state := model.TaskStatePending
	if st != nil {
		state = st.State
	}
	lifecycle := ""
	if text := lifecycleText(lifecycleOf(a, name)); text != "" {
		lifecycle = " (" + text + ")"
	}
	s.printf("\n%s\n", s.paint(bold, fmt.Sprintf("Task %q%s is %q", name, lifecycle, state)))
	var used *model.ResourceUsage
	if usage != nil && usage.Tasks[name] != nil {
		used = usage.Tasks[name].ResourceUsage
	}
	s.taskResources(a, name, used)
	s.taskVolumes(a, name)
	if stats {
		s.usageTables(used)
	}
	if st == nil {
		return
	}
	s.title("Task Events:")
	s.println(pairs("Started At", s.clock(st.StartedAt), "Finished At", s.clock(st.FinishedAt),
		"Total Restarts", fmt.Sprint(st.Restarts), "Last Restart", s.clock(st.LastRestart)))
	rows := [][]string{{"Time", "Type", "Description"}}
	for i := len(st.Events) - 1; i >= 0 && len(rows) <= model.MaxTaskEvents; i-- {
		e := st.Events[i]
		rows = append(rows, []string{s.clockNano(e.Time), e.Type, strings.ReplaceAll(e.DisplayMessage, "\n", " ")})
	}
	s.title("Recent Events:")
	s.println(table(rows...))
}

func (s *session) taskResources(a *model.Allocation, name string, used *model.ResourceUsage) {
	if a.AllocatedResources == nil || a.AllocatedResources.Tasks[name] == nil {
		return
	}
	r := a.AllocatedResources.Tasks[name]
	ticks, bytes := usedOf(used)
	var addresses []string
	for _, n := range r.Networks {
		for _, p := range slices.Concat(n.ReservedPorts, n.DynamicPorts) {
			addresses = append(addresses, fmt.Sprintf("%s: %s", p.Label, net.JoinHostPort(n.IP, strconv.Itoa(p.Value))))
		}
	}
	first := ""
	if len(addresses) > 0 {
		first = addresses[0]
	}
	rows := [][]string{
		{"CPU", "Memory", "Disk", "Addresses"},
		{fmt.Sprintf("%.0f/%d MHz", ticks, r.Cpu.CpuShares), bytesText(bytes) + "/" + mib(r.Memory.MemoryMB), mib(a.AllocatedResources.Shared.DiskMB), first},
	}
	for i := 1; i < len(addresses); i++ {
		rows = append(rows, []string{"", "", "", addresses[i]})
	}
	if m := r.Memory.MemoryMaxMB; m > 0 && m != r.Memory.MemoryMB {
		if len(rows) == 2 {
			rows = append(rows, []string{"", "", "", ""})
		}
		rows[2][1] = "Max: " + mib(m)
	}
	s.println(s.paint(bold, "Task Resources:"))
	s.println(table(rows...))
}

// usedOf is the CPU in MHz and the memory in bytes of a measurement.
func usedOf(u *model.ResourceUsage) (ticks float64, bytes uint64) {
	if u == nil {
		return 0, 0
	}
	if u.CpuStats != nil {
		ticks = u.CpuStats.TotalTicks
	}
	if m := u.MemoryStats; m != nil {
		bytes = m.Usage
		if bytes == 0 {
			bytes = m.RSS
		}
	}
	return ticks, bytes
}

func (s *session) taskVolumes(a *model.Allocation, name string) {
	g := a.Group()
	if g == nil {
		return
	}
	rows := [][]string{{"ID", "Read Only"}}
	for _, t := range g.Tasks {
		if t.Name != name {
			continue
		}
		for _, m := range t.VolumeMounts {
			if v := g.Volumes[m.Volume]; v != nil && v.Type == "host" {
				rows = append(rows, []string{v.Source, fmt.Sprint(v.ReadOnly || m.ReadOnly)})
			}
		}
	}
	if len(rows) > 1 {
		s.title("Host Volumes:")
		s.println(table(rows...))
	}
}

// usageTables shows everything a driver measured.
func (s *session) usageTables(u *model.ResourceUsage) {
	if u == nil {
		return
	}
	if m := u.MemoryStats; m != nil && len(m.Measured) > 0 {
		values := map[string]uint64{
			"RSS": m.RSS, "Cache": m.Cache, "Swap": m.Swap, "Usage": m.Usage, "Max Usage": m.MaxUsage,
			"Kernel Usage": m.KernelUsage, "Kernel Max Usage": m.KernelMaxUsage, "Mapped File": m.MappedFile,
		}
		var head, row []string
		for _, name := range m.Measured {
			head, row = append(head, name), append(row, bytesText(values[name]))
		}
		s.title("Memory Stats")
		s.println(table(head, row))
	}
	if c := u.CpuStats; c != nil && len(c.Measured) > 0 {
		values := map[string]string{
			"Percent": percent(c.Percent), "System Mode": percent(c.SystemMode), "User Mode": percent(c.UserMode),
			"Total Ticks": fmt.Sprintf("%.0f", c.TotalTicks), "Throttled Periods": fmt.Sprint(c.ThrottledPeriods),
			"Throttled Time": time.Duration(c.ThrottledTime).String(),
		}
		var head, row []string
		for _, name := range c.Measured {
			head, row = append(head, name), append(row, values[name])
		}
		s.title("CPU Stats")
		s.println(table(head, row))
	}
}

func percent(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) + "%" }

// placementMetrics shows how the nodes were ranked when the allocation was
// placed.
func (s *session) placementMetrics(a *model.Allocation) {
	if a.Metrics == nil || len(a.Metrics.ScoreMetaData) == 0 {
		return
	}
	names := map[string]bool{}
	for _, m := range a.Metrics.ScoreMetaData {
		for name := range m.Scores {
			names[name] = true
		}
	}
	scorers := sortedKeys(names)
	rows := [][]string{append(append([]string{"Node"}, scorers...), "final score")}
	for _, m := range a.Metrics.ScoreMetaData {
		row := []string{string(m.NodeID)}
		for _, name := range scorers {
			row = append(row, score(m.Scores[name]))
		}
		rows = append(rows, append(row, score(m.NormScore)))
	}
	s.title("Placement Metrics")
	s.println(table(rows...))
}

func score(f float64) string { return strconv.FormatFloat(f, 'g', 3, 64) }
