package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocrunner"
	"github.com/seraiproject/serai/core/node/cgroup"
	"github.com/seraiproject/serai/core/node/fingerprint"
	"github.com/seraiproject/serai/core/node/localstate"
	"github.com/seraiproject/serai/core/node/pluginhost"
	"github.com/seraiproject/serai/core/node/tasklog"
	"github.com/seraiproject/serai/core/node/taskrunner"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
)

// Node runs allocations on this machine. Its methods may be called from any
// goroutine.
type Node struct {
	config   Config
	caller   rpc.Caller
	log      *slog.Logger
	identity localstate.Identity
	state    *localstate.DB
	logs     *tasklog.Collector
	plugins  *pluginhost.Host
	machine  *fingerprint.Result
	base     *model.Node // without what drivers add
	tasks    *taskrunner.Node
	stats    hostStats

	runCtx    context.Context // ends the runners
	runCancel context.CancelFunc
	runners   sync.WaitGroup
	refresh   chan struct{} // the fingerprint changed
	reports   reports
	contact   time.Time // last heartbeat that was answered; keepAlive's own

	mu      sync.Mutex
	allocs  map[model.AllocID]*allocrunner.Runner
	removed map[model.AllocID]uint64 // AllocModifyIndex of those that ended and were removed
}

// New opens the node's state, looks at the machine, starts the plugins and the
// log collector, and takes up the allocations of an earlier agent. Call Run
// next. What New started is ended by Shutdown.
func New(c Config, caller rpc.Caller, log *slog.Logger) (*Node, error) {
	c.setDefaults()
	n := &Node{
		config: c, caller: caller, log: log, refresh: make(chan struct{}, 1),
		allocs: map[model.AllocID]*allocrunner.Runner{}, removed: map[model.AllocID]uint64{},
	}
	n.contact = time.Now()
	n.reports.init()
	n.runCtx, n.runCancel = context.WithCancel(context.Background())
	if err := n.open(); err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *Node) open() error {
	c := &n.config
	for _, dir := range []*string{&c.StateDir, &c.AllocDir} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return fmt.Errorf("start node: %w", err)
		}
		*dir = abs
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	if err := os.MkdirAll(c.AllocDir, 0o711); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	var setAside string
	var err error
	n.state, setAside, err = localstate.Open(filepath.Join(c.StateDir, "state.db"), localstate.BootID())
	if err != nil {
		return err
	}
	if setAside != "" {
		n.log.Warn("local state of a machine that went down is set aside; allocations come from the servers again", "file", setAside)
	}
	if n.identity, err = localstate.LoadIdentity(c.StateDir); err != nil {
		return err
	}
	n.machine, err = fingerprint.Run(&fingerprint.Config{
		AllocDir: c.AllocDir, NetworkInterface: c.NetworkInterface, AddressFamily: c.PreferredAddressFamily,
		HostNetworks: c.HostNetworks, ReservedPorts: c.Reserved.Ports, CPUTotalMHz: c.CPUTotalCompute,
		MemoryTotalMB: c.MemoryTotalMB, DiskTotalMB: c.DiskTotalMB, ReservableCores: c.ReservableCores,
		MinDynamicPort: c.MinDynamicPort, MaxDynamicPort: c.MaxDynamicPort, Version: c.Version, NomadVersion: c.NomadVersion,
		ServiceDiscovery: !c.NoServiceDiscovery, AdvertiseAddress: c.HTTPAddr,
	})
	if err != nil {
		return err
	}
	if n.stats.last, err = readTimes(); err != nil {
		return err
	}
	cgroups, err := cgroup.New(c.CgroupParent)
	if err != nil {
		n.log.Warn("tasks get no cgroup from the node", "error", err)
	}
	n.base = n.describe(cgroups.Parent())
	n.logs, err = tasklog.NewCollector(tasklog.Config{Dir: c.StateDir, Command: c.LogCollector, Log: n.log})
	if err != nil {
		return err
	}
	n.plugins, err = pluginhost.Start(pluginhost.Config{
		Dir: c.PluginDir, Blocks: c.Plugins, Allow: c.DriverAllow, Deny: c.DriverDeny,
		Node: driver.Node{
			MinPort: c.ClientMinPort, MaxPort: c.ClientMaxPort, Topology: topology(n.machine.Resources.Processors.Topology),
		},
		NodeMHz: n.machine.Resources.Cpu.CpuShares,
		Store:   n.state, Changed: n.changed, TaskEvent: n.taskEvent, Log: n.log,
	})
	if err != nil {
		return err
	}
	n.tasks = &taskrunner.Node{
		Node: n.base, Region: c.Region, MHz: n.machine.Resources.Cpu.CpuShares, MaxKillTimeout: c.MaxKillTimeout,
		HostEnv: hostEnv(c.EnvDeny), Drivers: n.plugins, Store: n.state, Logs: n.logs, Log: n.log,
		DeniedUser: func(driver, user string) bool {
			return slices.Contains(c.UserCheckedDrivers, driver) && slices.Contains(c.UserDeny, user)
		},
	}
	if cgroups != nil {
		n.tasks.Cgroups = cgroups
	}
	return n.restore()
}

// hostEnv is the agent's environment without what is denied.
func hostEnv(deny []string) map[string]string {
	env := map[string]string{}
	for _, kv := range os.Environ() {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" && !slices.Contains(deny, k) {
			env[k] = v
		}
	}
	return env
}

// topology writes the processors in the terms of the plugin contract.
func topology(t *model.NodeTopology) *driver.Topology {
	out := &driver.Topology{OverrideTotalCompute: t.OverrideTotalCompute, OverrideWitholdCompute: t.OverrideWitholdCompute}
	for _, id := range t.Nodes {
		out.NodeIds = append(out.NodeIds, uint32(id))
	}
	for _, c := range t.Cores {
		out.Cores = append(out.Cores, &basepb.ClientTopologyCore{
			SocketId: uint32(c.SocketID), NodeId: uint32(c.NodeID), CoreId: uint32(c.ID), CoreGrade: basepb.CoreGrade(c.Grade),
			Disable: c.Disable, BaseSpeed: c.BaseSpeed, MaxSpeed: c.MaxSpeed, GuessSpeed: c.GuessSpeed,
		})
	}
	return out
}

// builtinMeta is metadata that every node has unless it is set otherwise.
var builtinMeta = map[string]string{
	"connect.sidecar_image":                           "docker.io/envoyproxy/envoy:v${NOMAD_envoy_version}",
	"connect.gateway_image":                           "docker.io/envoyproxy/envoy:v${NOMAD_envoy_version}",
	"connect.log_level":                               "info",
	"connect.proxy_concurrency":                       "1",
	"connect.transparent_proxy.default_uid":           "101",
	"connect.transparent_proxy.default_outbound_port": "15001",
}

// describe is the node as it registers, before drivers add to it.
func (n *Node) describe(cgroupParent string) *model.Node {
	c := &n.config
	meta := maps.Clone(builtinMeta)
	maps.Copy(meta, c.Meta)
	name := c.Name
	if name == "" {
		name = n.machine.Attributes["unique.hostname"]
	}
	usable := n.machine.Resources.Cpu.CpuShares - int64(c.Reserved.CPU)
	n.machine.Attributes["cpu.usablecompute"] = strconv.FormatInt(max(usable, 0), 10)
	eligibility := model.NodeEligible
	if c.DefaultIneligible {
		eligibility = model.NodeIneligible
	}
	return &model.Node{
		ID: n.identity.ID, SecretID: n.identity.Secret, Name: name, Datacenter: c.Datacenter, NodeClass: c.NodeClass,
		NodePool: c.NodePool, HTTPAddr: c.HTTPAddr, TLSEnabled: c.TLSEnabled, CgroupParent: cgroupParent,
		Attributes: n.machine.Attributes, Meta: meta, Links: map[string]string{}, NodeResources: n.machine.Resources,
		ReservedResources: &model.NodeReservedResources{
			Cpu:      model.NodeReservedCPU{CpuShares: int64(c.Reserved.CPU), ReservedCpuCores: c.Reserved.Cores},
			Memory:   model.NodeMemory{MemoryMB: int64(c.Reserved.MemoryMB)},
			Disk:     model.NodeDisk{DiskMB: int64(c.Reserved.DiskMB)},
			Networks: model.NodeReservedNetworks{ReservedHostPorts: c.Reserved.Ports},
		},
		HostVolumes: map[string]*model.HostVolumeConfig{}, HostNetworks: n.machine.HostNetworks,
		CSIControllerPlugins: map[string]*model.CSIInfo{}, CSINodePlugins: map[string]*model.CSIInfo{},
		SchedulingEligibility: eligibility, Status: model.NodeStatusInit, NodeMaxAllocs: c.NodeMaxAllocs,
	}
}

// Describe is the node as it is now, with what its drivers say. The caller
// owns it but for what it points to.
func (n *Node) Describe() *model.Node {
	d := *n.base
	drivers, attrs := n.plugins.Drivers()
	d.Drivers = drivers
	d.Attributes = maps.Clone(n.base.Attributes)
	maps.Copy(d.Attributes, attrs)
	return &d
}

// changed notes that the fingerprint changed.
func (n *Node) changed() {
	select {
	case n.refresh <- struct{}{}:
	default:
	}
}

// taskEvent shows what a driver tells of a task.
func (n *Node) taskEvent(e host.TaskEvent) {
	r := n.runner(model.AllocID(e.AllocID))
	if r == nil {
		return
	}
	if t := r.Task(e.TaskName); t != nil {
		t.DriverEvent(e.Time, e.Message, e.Annotations)
	}
}

// restore takes up the allocations of an earlier agent.
func (n *Node) restore() error {
	records, faults, err := n.state.Allocs()
	if err != nil {
		return err
	}
	for _, err := range faults {
		n.log.Error("an allocation of the local state is given up", "error", err)
	}
	for _, r := range records {
		if err := n.start(r.Alloc, r.Health, true); err != nil {
			n.log.Error("allocation is not taken up again", "alloc", r.Alloc.ID, "error", err)
		}
	}
	err = n.logs.Retain(func(s tasklog.Stream) bool {
		r := n.runner(model.AllocID(filepath.Base(s.AllocDir)))
		if r == nil {
			return false
		}
		t := r.Task(s.Task)
		return t != nil && !t.Finished()
	})
	if err != nil {
		n.log.Warn("log collector holds pipes of unknown allocations", "error", err)
	}
	return nil
}

// start begins to run an allocation.
func (n *Node) start(a *model.Allocation, health *model.AllocDeploymentStatus, restore bool) error {
	r, err := allocrunner.New(allocrunner.Config{
		Node: n.tasks, Store: n.state, Dir: n.config.AllocDir, Alloc: a, Health: health, Restore: restore,
		Changed: n.report, Previous: n.runner,
	})
	if err != nil {
		return err
	}
	if !restore {
		if err := n.state.PutAlloc(a); err != nil {
			return err
		}
	}
	n.mu.Lock()
	n.allocs[a.ID] = r
	n.mu.Unlock()
	if restore {
		n.report(r)
	}
	n.runners.Go(func() { r.Run(n.runCtx) })
	return nil
}

// runner finds the runner of an allocation; nil when there is none.
func (n *Node) runner(id model.AllocID) *allocrunner.Runner {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.allocs[id]
}

// all returns every runner.
func (n *Node) all() []*allocrunner.Runner {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.allocs))
}

const (
	// pluginsFirst is how long registering waits for the plugins.
	pluginsFirst = 3 * time.Second
	// lastReports bounds the reports of an agent that stops.
	lastReports = 2 * time.Second
)

// Run registers the node and keeps it registered, follows what the servers
// want, and reports, until ctx is done. It returns nil then. Call Shutdown
// afterwards.
func (n *Node) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	timer := time.NewTimer(pluginsFirst)
	defer timer.Stop()
	select {
	case <-n.plugins.Settled():
	case <-timer.C:
		n.log.Warn("some plugins are slow to start; the node registers without them")
	case <-ctx.Done():
		return nil
	}
	registered := make(chan struct{})
	work.Go(func() { n.keepAlive(ctx, registered) })
	select {
	case <-registered:
	case <-ctx.Done():
		return nil
	}
	work.Go(func() { n.watch(ctx) })
	work.Go(func() { n.sendReports(ctx) })
	work.Go(func() { n.collect(ctx) })
	<-ctx.Done()
	return nil
}

// stopTime bounds the end of the tasks of an ephemeral node.
const stopTime = 40 * time.Second

// Shutdown ends what New started. Tasks keep running, but for those of an
// ephemeral node, which are ended as by a stopped job; ctx bounds the wait for
// them.
func (n *Node) Shutdown(ctx context.Context) error {
	if n.config.Ephemeral {
		ctx, cancel := context.WithTimeout(ctx, stopTime)
		n.stopAll(ctx)
		cancel()
	}
	return n.close()
}

// stopAll ends all tasks and removes what they leave.
func (n *Node) stopAll(ctx context.Context) {
	runners := n.all()
	for _, r := range runners {
		r.Stop()
	}
	for _, r := range runners {
		select {
		case <-r.Done():
			if err := r.Destroy(); err != nil {
				n.log.Warn("allocation is not removed", "alloc", r.Alloc().ID, "error", err)
			}
		case <-ctx.Done():
			n.log.Warn("allocation did not end in time", "alloc", r.Alloc().ID)
		}
	}
}

func (n *Node) close() error {
	n.runCancel()
	n.runners.Wait()
	if n.plugins != nil {
		n.plugins.Stop()
	}
	if n.logs != nil {
		n.logs.Close()
	}
	var err error
	if n.state != nil {
		err = n.state.Close()
	}
	return err
}

// NodeID implements httpapi.NodeBackend.
func (n *Node) NodeID() model.NodeID { return n.identity.ID }

// Secret proves to servers that a call comes from this node.
func (n *Node) Secret() string { return n.identity.Secret }

// errGone says that this node does not have an allocation.
func errGone(id model.AllocID) error {
	return model.Errorf(model.ErrNotFound, "Unknown allocation %q", id)
}

// ignoreDone drops the error of a context that is done: the caller knows.
func ignoreDone(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
