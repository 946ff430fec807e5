package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func nodeStatus() *leaf {
	return &leaf{
		words: "node status", aliases: []string{"node-status"}, synopsis: "List nodes, or show one",
		args: "[options] <node>", maxArgs: 1, wants: "either no arguments or one: <node>",
		prose: `Lists the nodes, or shows one: what it is, what is placed on it and what is used of it. The beginning of an ID is enough if it is unique.

With ACLs, the 'node:read' capability is needed.`,
		complete: predictNodes,
		setup: func(f *flags) func(*session) int {
			o := nodeStatusOptions{
				self:    f.flagBool("self", "Show the node of the agent that answers.", false),
				stats:   f.flagBool("stats", "Show in detail what is used of the machine.", false),
				allocs:  f.flagBool("allocs", "In the list, count running allocations.", false),
				short:   f.flagBool("short", "Show less.", false),
				verbose: f.flagBool("verbose", "Show whole IDs and more.", false),
			}
			os := f.flagBool("os", "In the list, show the operating system.", false)
			quiet := f.flagBool("quiet", "In the list, show whole IDs only.", false)
			page := f.paging()
			ui := f.uiFlag()
			out := f.output()
			return func(s *session) int {
				s.noUI(*ui)
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				if len(s.args) == 0 && !*o.self {
					return s.nodeList(ctx, page, out, *os, *quiet, o)
				}
				var id model.NodeID
				var err error
				if *o.self {
					id, err = s.selfNode(ctx)
				} else {
					var stub *model.NodeListStub
					if stub, err = s.node(ctx, s.args[0]); err == nil {
						id = stub.ID
					}
				}
				if err != nil {
					return s.code(err)
				}
				if out.wanted() {
					return s.renderPath(ctx, out, "/v1/node/"+apiclient.Segment(id), nil, &model.Node{})
				}
				node, _, err := s.api.Node(ctx, id, nil)
				if err != nil {
					return s.fail("Error querying node info: %v", err)
				}
				return s.nodeDetail(ctx, node, o)
			}
		},
	}
}

type nodeStatusOptions struct{ self, stats, allocs, short, verbose *bool }

// pageFlags are the flags of long lists.
type pageFlags struct {
	perPage       *int
	token, filter *string
}

func (f *flags) paging() *pageFlags {
	return &pageFlags{
		perPage: f.flagInt("per-page", "number", 0, "Show this many at a time."),
		token:   f.flagString("page-token", "token", "", "Where to go on, from the page before."),
		filter:  f.flagString("filter", "expression", "", "Show only what matches, as in 'Status == \"ready\"'."),
	}
}

func (p *pageFlags) query() *apiclient.Query {
	return &apiclient.Query{PerPage: *p.perPage, NextToken: *p.token, Filter: *p.filter}
}

// more says how to get the next page, if there is one.
func (s *session) more(meta *apiclient.Meta) {
	if meta.NextToken == "" {
		return
	}
	s.printf("\nResults have been paginated. To get the next page run:\n\n%s -page-token %s\n", "serai "+s.leaf.words+s.sameFlags("page-token"), meta.NextToken)
}

// sameFlags repeats the flags of this command line but one.
func (s *session) sameFlags(but string) string {
	var b strings.Builder
	s.flags.each(func(name, value string) {
		switch {
		case name == but || name == "token":
		case value == "true":
			b.WriteString(" -" + name)
		default:
			b.WriteString(" -" + name + " " + quoted(value))
		}
	})
	return b.String()
}

func quoted(value string) string {
	if strings.ContainsAny(value, " \"'`$\\") {
		return strconv.Quote(value)
	}
	return value
}

func predictNodes(s *session) complete.Predictor {
	return s.predict(func(ctx context.Context, prefix string) []string {
		all, _, err := s.api.Nodes(ctx, &apiclient.Query{Prefix: evenPrefix(prefix)})
		if err != nil {
			return nil
		}
		var out []string
		for _, n := range all {
			out = append(out, string(n.ID))
		}
		return out
	})
}

func (s *session) nodeList(ctx context.Context, page *pageFlags, out *output, os, quiet bool, o nodeStatusOptions) int {
	q := page.query()
	if os {
		q.Params = url.Values{"os": {"true"}}
	}
	if out.wanted() {
		return s.renderPath(ctx, out, "/v1/nodes", q, &[]*model.NodeListStub{})
	}
	nodes, meta, err := s.api.Nodes(ctx, q)
	if err != nil {
		return s.fail("Error querying node status: %v", err)
	}
	if len(nodes) == 0 {
		return exitOK
	}
	if quiet {
		for _, n := range nodes {
			s.println(string(n.ID))
		}
		return exitOK
	}
	columns := nodeColumns{verbose: *o.verbose, os: os}
	if *o.allocs {
		columns.allocs = map[model.NodeID]int{}
		for _, n := range nodes {
			running, err := s.runningAllocs(ctx, n.ID)
			if err != nil {
				return s.fail("Error querying node allocations: %v", err)
			}
			columns.allocs[n.ID] = len(running)
		}
	}
	s.println(s.nodeTable(nodes, columns))
	s.more(meta)
	return exitOK
}

func (s *session) runningAllocs(ctx context.Context, id model.NodeID) ([]*model.Allocation, error) {
	all, _, err := s.api.NodeAllocations(ctx, id, nil)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(a *model.Allocation) bool { return a.ClientStatus != model.AllocClientRunning }), nil
}

// drainText says if and how a node is being drained.
func (s *session) drainText(n *model.Node) string {
	d := n.DrainStrategy
	if d == nil {
		return fmt.Sprint(n.Drain)
	}
	parts := []string{"true"}
	switch {
	case d.Deadline < 0:
		parts = append(parts, "force drain")
	case d.Deadline == 0:
		parts = append(parts, "no deadline")
	default:
		parts = append(parts, s.clock(d.ForceDeadline)+" deadline")
	}
	if d.IgnoreSystemJobs {
		parts = append(parts, "ignoring system jobs")
	}
	return strings.Join(parts, "; ")
}

// driverNames lists a node's drivers, with a mark on those that cannot be used.
func driverNames(n *model.Node) string {
	var out []string
	for _, name := range sortedKeys(n.Drivers) {
		d := n.Drivers[name]
		switch {
		case !d.Detected:
		case !d.Healthy:
			out = append(out, name+" (unhealthy)")
		default:
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}

func (s *session) nodeDetail(ctx context.Context, n *model.Node, o nodeStatusOptions) int {
	running, err := s.runningAllocs(ctx, n.ID)
	if err != nil {
		return s.fail("Error querying node allocations: %v", err)
	}
	all, _, err := s.api.NodeAllocations(ctx, n.ID, nil)
	if err != nil {
		return s.fail("Error querying node allocations: %v", err)
	}
	stubs := make([]*model.AllocListStub, len(all))
	for i, a := range all {
		stubs[i] = a.Stub()
	}
	slices.SortStableFunc(stubs, func(a, b *model.AllocListStub) int { return cmp.Compare(b.CreateIndex, a.CreateIndex) })
	statsCtx, cancel := context.WithTimeout(ctx, nodeAnswerTimeout)
	defer cancel()
	var host *model.HostStats
	if n.Status == model.NodeStatusReady && !*o.short {
		// A node that does not answer is shown without figures.
		host, _ = s.api.NodeStats(statsCtx, n.ID, nil)
	}
	s.println(pairs(s.nodeRows(n, host, *o.short)...))
	if *o.short {
		s.title("Allocations")
		s.println(s.allocSection(stubs, *o.verbose))
		return exitOK
	}
	if *o.verbose {
		s.nodeTables(n)
	}
	s.nodeEvents(n, *o.verbose)
	s.nodeAllocated(n, running)
	if host != nil {
		s.nodeUtilization(statsCtx, n, running, host)
		if *o.stats {
			s.hostTables(host)
		}
	}
	s.title("Allocations")
	s.println(s.allocSection(stubs, *o.verbose))
	if *o.verbose {
		s.mapSection("Attributes", n.Attributes)
		s.deviceAttributes(n)
		s.mapSection("Meta", n.Meta)
	}
	return exitOK
}

func (s *session) nodeRows(n *model.Node, host *model.HostStats, brief bool) []string {
	rows := []string{
		"ID", string(n.ID),
		"Name", n.Name,
		"Node Pool", n.NodePool,
		"Class", n.NodeClass,
		"DC", n.Datacenter,
		"Drain", s.drainText(n),
		"Eligibility", s.paint(eligibilityColor(n.SchedulingEligibility), n.SchedulingEligibility),
		"Status", s.paint(statusColor(n.Status), n.Status),
		"CSI Controllers", strings.Join(sortedKeys(n.CSIControllerPlugins), ","),
		"CSI Drivers", strings.Join(sortedKeys(n.CSINodePlugins), ","),
	}
	if brief {
		return append(rows, "Drivers", driverNames(n))
	}
	if host != nil {
		rows = append(rows, "Uptime", uptime(host.Uptime))
	}
	return append(rows,
		"Host Volumes", strings.Join(sortedKeys(n.HostVolumes), ","),
		"Host Networks", strings.Join(sortedKeys(n.HostNetworks), ","),
		"CSI Volumes", "",
		"Driver Status", driverNames(n))
}

func eligibilityColor(e string) string {
	if e == model.NodeEligible {
		return ""
	}
	return yellow
}

// uptime renders seconds as hours, minutes and seconds.
func uptime(secs uint64) string { return fmt.Sprintf("%dh%dm%ds", secs/3600, secs/60%60, secs%60) }

func (s *session) nodeEvents(n *model.Node, verbose bool) {
	header := []string{"Time", "Subsystem", "Message"}
	if verbose {
		header = append(header, "Details")
	}
	rows := [][]string{header}
	for i := len(n.Events) - 1; i >= 0; i-- {
		e := n.Events[i]
		row := []string{s.clock(e.Timestamp), e.Subsystem, e.Message}
		if verbose {
			var details []string
			for _, k := range sortedKeys(e.Details) {
				details = append(details, k+" : "+e.Details[k])
			}
			row = append(row, orNone(strings.Join(details, ", ")))
		}
		rows = append(rows, row)
	}
	s.title("Node Events")
	s.println(table(rows...))
}

// nodeCapacity is what a node has for allocations: MHz, MiB, MiB.
func nodeCapacity(n *model.Node) (cpu, memory, disk int64) {
	if r := n.NodeResources; r != nil {
		cpu, memory, disk = r.Cpu.CpuShares, r.Memory.MemoryMB, r.Disk.DiskMB
	}
	if r := n.ReservedResources; r != nil {
		cpu, memory, disk = cpu-r.Cpu.CpuShares, memory-r.Memory.MemoryMB, disk-r.Disk.DiskMB
	}
	return cpu, memory, disk
}

func (s *session) nodeAllocated(n *model.Node, running []*model.Allocation) {
	var used model.Usage
	for _, a := range running {
		if a.AllocatedResources != nil {
			used.Add(a.AllocatedResources.Usage())
		}
	}
	cpu, memory, disk := nodeCapacity(n)
	count := fmt.Sprint(len(running))
	if n.NodeMaxAllocs > 0 {
		count += fmt.Sprintf("/%d", n.NodeMaxAllocs)
	}
	s.title("Allocated Resources")
	s.println(table([]string{"CPU", "Memory", "Disk", "Alloc Count"},
		[]string{fmt.Sprintf("%d/%d MHz", used.CPU, cpu), mib(used.MemoryMB) + "/" + mib(memory), mib(used.DiskMB) + "/" + mib(disk), count}))
}

func (s *session) nodeUtilization(ctx context.Context, n *model.Node, running []*model.Allocation, host *model.HostStats) {
	var ticks float64
	var bytes uint64
	for _, a := range running {
		if usage, err := s.api.AllocationStats(ctx, a.ID, nil); err == nil && usage != nil {
			t, b := usedOf(usage.ResourceUsage)
			ticks, bytes = ticks+t, bytes+b
		}
	}
	cpu, memory, _ := nodeCapacity(n)
	s.title("Allocation Resource Utilization")
	s.println(table([]string{"CPU", "Memory"}, []string{fmt.Sprintf("%.0f/%d MHz", ticks, cpu), bytesText(bytes) + "/" + mib(memory)}))

	total := int64(0)
	if n.NodeResources != nil {
		total = n.NodeResources.Cpu.CpuShares
	}
	row := []string{fmt.Sprintf("%.0f/%d MHz", host.CPUTicksConsumed, total), "", ""}
	if m := host.Memory; m != nil {
		row[1] = bytesText(m.Used) + "/" + bytesText(m.Total)
	}
	disk := host.AllocDirStats
	if disk == nil && len(host.DiskStats) > 0 {
		disk = host.DiskStats[0]
	}
	header := []string{"CPU", "Memory", "Disk"}
	if disk != nil {
		row[2] = fmt.Sprintf("%s/%s", bytesText(disk.Used), bytesText(disk.Size))
		if disk.Mountpoint != "" {
			header[2] = "Disk (" + disk.Mountpoint + ")"
		}
	}
	s.title("Host Resource Utilization")
	s.println(table(header, row))
}

// hostTables shows what is used of every core and disk.
func (s *session) hostTables(h *model.HostStats) {
	s.title("CPU Stats")
	for i, c := range h.CPU {
		if i > 0 {
			s.println("")
		}
		s.println(pairs("CPU", c.CPU, "User", percent(c.User), "System", percent(c.System), "Idle", percent(c.Idle)))
	}
	if m := h.Memory; m != nil {
		s.title("Memory Stats")
		s.println(pairs("Total", bytesText(m.Total), "Available", bytesText(m.Available), "Used", bytesText(m.Used), "Free", bytesText(m.Free)))
	}
	s.title("Disk Stats")
	for i, d := range h.DiskStats {
		if i > 0 {
			s.println("")
		}
		s.println(pairs("Device", d.Device, "MountPoint", d.Mountpoint, "Size", bytesText(d.Size), "Used", bytesText(d.Used),
			"Available", bytesText(d.Available), "Used Percent", percent(d.UsedPercent), "Inodes Percent", percent(d.InodesUsedPercent)))
	}
}

// nodeTables shows a node's volumes, networks and drivers in full.
func (s *session) nodeTables(n *model.Node) {
	if len(n.HostVolumes) > 0 {
		rows := [][]string{{"Name", "ReadOnly", "Source"}}
		for _, name := range sortedKeys(n.HostVolumes) {
			v := n.HostVolumes[name]
			rows = append(rows, []string{name, fmt.Sprint(v.ReadOnly), v.Path})
		}
		s.title("Host Volumes")
		s.println(table(rows...))
	}
	if len(n.HostNetworks) > 0 {
		rows := [][]string{{"Name", "CIDR", "Interface", "ReservedPorts"}}
		for _, name := range sortedKeys(n.HostNetworks) {
			h := n.HostNetworks[name]
			rows = append(rows, []string{name, orNone(h.CIDR), orNone(h.Interface), orNone(h.ReservedPorts)})
		}
		s.title("Host Networks")
		s.println(table(rows...))
	}
	rows := [][]string{{"Driver", "Detected", "Healthy", "Message", "Time"}}
	for _, name := range sortedKeys(n.Drivers) {
		d := n.Drivers[name]
		rows = append(rows, []string{name, fmt.Sprint(d.Detected), fmt.Sprint(d.Healthy), orNone(d.HealthDescription), s.clock(d.UpdateTime)})
	}
	s.title("Drivers")
	s.println(table(rows...))
}

func (s *session) mapSection(title string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	var rows []string
	for _, k := range sortedKeys(m) {
		rows = append(rows, k, m[k])
	}
	s.title(title)
	s.println(pairs(rows...))
}

func (s *session) deviceAttributes(n *model.Node) {
	if n.NodeResources == nil || len(n.NodeResources.Devices) == 0 {
		return
	}
	s.title("Device Group Attributes")
	for i, d := range n.NodeResources.Devices {
		if i > 0 {
			s.println("")
		}
		rows := []string{"Device Group", d.Vendor + "/" + d.Type + "/" + d.Name}
		for _, k := range sortedKeys(d.Attributes) {
			rows = append(rows, k, attributeText(d.Attributes[k]))
		}
		s.println(pairs(rows...))
	}
}

func attributeText(a *model.DeviceAttribute) string {
	text := ""
	switch {
	case a == nil:
		return ""
	case a.String != nil:
		text = *a.String
	case a.Int != nil:
		text = fmt.Sprint(*a.Int)
	case a.Float != nil:
		text = fmt.Sprint(*a.Float)
	case a.Bool != nil:
		text = fmt.Sprint(*a.Bool)
	}
	return strings.TrimSpace(text + " " + a.Unit)
}
