package sim

import (
	"fmt"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/state"
)

// Times of heartbeats: what servers grant with the grace they add, and what a
// new leader grants to all.
const (
	heartbeatTTL = 20 * time.Second
	failoverTTL  = 5 * time.Minute
)

// node is a machine that runs allocations in pretence.
type node struct {
	id      model.NodeID
	name    string
	silent  bool
	expires time.Time // when the servers miss a silent node; zero: they do not wait
	runners []*runner // in the order of their start
}

// NodeSpec is what a node offers. Zero members get the defaults of AddNode.
type NodeSpec struct {
	Name             string
	Datacenter       string
	CPU, MemoryMB    int64
	DiskMB           int64
	Ports, MaxAllocs int // dynamic ports, from 20000 on; allocations at most
	Meta             map[string]string
}

// AddNode registers a node and has it ready.
func (c *Cluster) AddNode(spec NodeSpec) error {
	if c.node(spec.Name) != nil {
		return model.Errorf(model.ErrConflict, "add node %s: there is one", spec.Name)
	}
	n := &node{id: model.NodeID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", len(c.nodes)+1)), name: spec.Name}
	def := func(v *int64, d int64) int64 {
		if *v == 0 {
			return d
		}
		return *v
	}
	if spec.Datacenter == "" {
		spec.Datacenter = "dc1"
	}
	if spec.Ports == 0 {
		spec.Ports = 12000
	}
	machine := &model.Node{
		ID: n.id, SecretID: string(n.id), Name: spec.Name, Datacenter: spec.Datacenter, NodePool: model.DefaultNodePool,
		Attributes: map[string]string{"kernel.name": "linux", "driver.mock": "1"}, Meta: spec.Meta,
		Drivers: map[string]*model.DriverInfo{"mock": {Detected: true, Healthy: true}},
		NodeResources: &model.NodeResources{
			Cpu:    model.NodeCPU{CpuShares: def(&spec.CPU, 4000), TotalCpuCores: 4, ReservableCpuCores: []uint16{0, 1, 2, 3}},
			Memory: model.NodeMemory{MemoryMB: def(&spec.MemoryMB, 8000)}, Disk: model.NodeDisk{DiskMB: def(&spec.DiskMB, 100000)},
			NodeNetworks: []*model.NodeNetwork{{Mode: "host", Device: "eth0", Addresses: []model.NodeNetworkAddress{
				{Family: "ipv4", Alias: "default", Address: fmt.Sprintf("10.0.%d.%d", len(c.nodes)/250, len(c.nodes)%250+1)},
			}}},
			MinDynamicPort: 20000, MaxDynamicPort: 20000 + spec.Ports - 1,
		},
		ReservedResources: &model.NodeReservedResources{}, NodeMaxAllocs: spec.MaxAllocs,
	}
	machine.ComputedClass = cluster.ComputeClass(machine)
	if _, err := c.propose(&fsm.RegisterNode{Node: machine, Event: c.event("Cluster", "Node registered")}); err != nil {
		return err
	}
	c.nodes = append(c.nodes, n)
	return c.settle()
}

func (c *Cluster) event(subsystem, message string) *model.NodeEvent {
	return &model.NodeEvent{Subsystem: subsystem, Message: message, Timestamp: c.now}
}

func (c *Cluster) node(name string) *node {
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

func (c *Cluster) mustNode(name string) (*node, error) {
	if n := c.node(name); n != nil {
		return n, nil
	}
	return nil, model.Errorf(model.ErrNotFound, "there is no node %s", name)
}

// Silence cuts a node off: it goes on running what it has, and nobody hears of
// it.
func (c *Cluster) Silence(name string) error {
	n, err := c.mustNode(name)
	if err != nil || n.silent {
		return err
	}
	n.silent, n.expires = true, c.now.Add(heartbeatTTL)
	return nil
}

// Return ends Silence.
func (c *Cluster) Return(name string) error {
	n, err := c.mustNode(name)
	if err != nil || !n.silent {
		return err
	}
	n.silent, n.expires = false, time.Time{}
	for _, r := range n.runners {
		r.dirty = true
	}
	return c.settle()
}

// Drain moves allocations off a node within the deadline; 0 is none.
func (c *Cluster) Drain(name string, deadline time.Duration) error {
	n, err := c.mustNode(name)
	if err != nil {
		return err
	}
	d := &model.DrainStrategy{Deadline: deadline, StartedAt: c.now}
	if deadline > 0 {
		d.ForceDeadline = c.now.Add(deadline)
	}
	cmd := &fsm.NodeDrain{
		NodeID: n.id, Drain: d, Event: c.event("Drain", "Node drain strategy set"),
		LastDrain: &model.DrainMetadata{StartedAt: c.now, UpdatedAt: c.now, Status: "draining"},
	}
	if _, err := c.propose(cmd); err != nil {
		return err
	}
	return c.settle()
}

// SetEligible lets new allocations come to a node, or not. A drain that is
// under way ends.
func (c *Cluster) SetEligible(name string, eligible bool) error {
	n, err := c.mustNode(name)
	if err != nil {
		return err
	}
	snap := c.State()
	old := snap.Node(nil, n.id)
	var cmd fsm.Command
	switch {
	case old.DrainStrategy != nil:
		d := &fsm.NodeDrain{NodeID: n.id, MarkEligible: eligible, Event: c.event("Drain", "Node drain disabled")}
		if eligible {
			d.Evals = c.nodeEvals(snap, old)
		}
		cmd = d
	case eligible:
		cmd = &fsm.NodeEligibility{NodeID: n.id, Eligibility: model.NodeEligible, Evals: c.nodeEvals(snap, old)}
	default:
		cmd = &fsm.NodeEligibility{NodeID: n.id, Eligibility: model.NodeIneligible}
	}
	if _, err := c.propose(cmd); err != nil {
		return err
	}
	return c.settle()
}

// EndAlloc has the tasks of an allocation that runs end by themselves.
func (c *Cluster) EndAlloc(id model.AllocID, failed bool) error {
	for _, n := range c.nodes {
		for _, r := range n.runners {
			if r.alloc.ID == id && !r.dead() {
				r.end(c.now, failed)
				return c.settle()
			}
		}
	}
	return model.Errorf(model.ErrNotFound, "end allocation %s: it does not run", id)
}

// moveNodes has the first node that has something to do, do it.
func (c *Cluster) moveNodes() (bool, error) {
	for _, n := range c.nodes {
		for _, r := range n.runners {
			r.step(c.now)
		}
		if n.silent {
			if !n.expires.IsZero() && !c.now.Before(n.expires) {
				return true, c.missed(n)
			}
			continue
		}
		if busy, err := c.heartbeat(n); busy || err != nil {
			return busy, err
		}
		n.pull(c.State(), c.now)
		if report := n.report(); len(report) > 0 {
			return true, c.updateAllocs(report)
		}
	}
	return false, nil
}

// missed takes a silent node for lost, or for cut off.
func (c *Cluster) missed(n *node) error {
	snap := c.State()
	stored := snap.Node(nil, n.id)
	n.expires = time.Time{}
	if stored.Status == model.NodeStatusDown {
		return nil
	}
	status := model.NodeStatusDown
	if stored.Status != model.NodeStatusDisconnected {
		until := time.Duration(0)
		for a := range snap.AllocsByNode(nil, n.id) {
			if g := a.Group(); !a.Terminal() && g != nil && g.Disconnect != nil && g.Disconnect.LostAfter > 0 {
				status, until = model.NodeStatusDisconnected, max(until, g.Disconnect.LostAfter)
			}
		}
		if until > 0 {
			n.expires = c.now.Add(until)
		}
	}
	_, err := c.propose(&fsm.NodeStatus{
		NodeID: n.id, Status: status, UpdatedAt: c.now.Unix(), Event: c.event("Cluster", "Node heartbeat missed"),
		Evals: c.nodeEvals(snap, stored),
	})
	return err
}

// heartbeat tells the servers that a node is there.
func (c *Cluster) heartbeat(n *node) (bool, error) {
	snap := c.State()
	stored := snap.Node(nil, n.id)
	want := model.NodeStatusReady
	if stored.LastMissedHeartbeatIndex > stored.LastAllocUpdateIndex && awaited(snap, n.id) {
		want = model.NodeStatusInit
	}
	if want == stored.Status {
		return false, nil
	}
	cmd := &fsm.NodeStatus{NodeID: n.id, Status: want, UpdatedAt: c.now.Unix()}
	if want != model.NodeStatusInit || stored.Status == model.NodeStatusDisconnected {
		cmd.Evals = c.nodeEvals(snap, stored)
	}
	_, err := c.propose(cmd)
	return true, err
}

// awaited reports whether a node that was away has anything to tell of before
// it may be given more.
func awaited(snap *state.Snapshot, id model.NodeID) bool {
	for a := range snap.AllocsByNode(nil, id) {
		if !a.ClientTerminal() {
			return true
		}
	}
	return false
}

// pull takes up what the servers want of the node.
func (n *node) pull(snap *state.Snapshot, now time.Time) {
	known := map[model.AllocID]*runner{}
	for _, r := range n.runners {
		known[r.alloc.ID] = r
	}
	kept := n.runners[:0:0]
	for _, r := range n.runners {
		if snap.Alloc(nil, r.alloc.ID) != nil {
			kept = append(kept, r)
		}
	}
	n.runners = kept
	for a := range snap.AllocsByNode(nil, n.id) {
		r := known[a.ID]
		switch {
		case r != nil:
			r.update(a, now)
		case a.ClientTerminal():
		default:
			n.runners = append(n.runners, newRunner(a, now))
		}
	}
}

// report lists what changed since the last report.
func (n *node) report() []*model.Allocation {
	var out []*model.Allocation
	for _, r := range n.runners {
		if r.dirty {
			r.dirty = false
			out = append(out, r.observed())
		}
	}
	return out
}

func (n *node) next() time.Time {
	var next time.Time
	for _, r := range n.runners {
		if t := r.next(); !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}
