package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
)

func node(id string) *model.Node {
	return &model.Node{
		ID: model.NodeID(id), Name: id, Datacenter: "dc1", Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
		NodeResources: &model.NodeResources{
			Cpu: model.NodeCPU{CpuShares: 1000, TotalCpuCores: 2, ReservableCpuCores: []uint16{0, 1}}, Memory: model.NodeMemory{MemoryMB: 1000},
			Disk: model.NodeDisk{DiskMB: 1000},
			NodeNetworks: []*model.NodeNetwork{{Mode: "host", Device: "eth0", Addresses: []model.NodeNetworkAddress{
				{Alias: "default", Address: "10.0.0.1"}, {Alias: "public", Address: "1.2.3.4", ReservedPorts: "443"},
			}}},
			MinDynamicPort: 20000, MaxDynamicPort: 20003,
		},
		ReservedResources: &model.NodeReservedResources{
			Cpu: model.NodeReservedCPU{CpuShares: 100}, Networks: model.NodeReservedNetworks{ReservedHostPorts: "22, 8500-8600,x"},
		},
	}
}

func alloc(id, on string, cpu int64) *model.Allocation {
	return &model.Allocation{
		ID: model.AllocID(id), NodeID: model.NodeID(on), DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientRunning,
		AllocatedResources: &model.AllocatedResources{
			Tasks: map[string]*model.AllocatedTaskResources{"t": {
				Cpu: model.AllocatedCPU{CpuShares: cpu}, Memory: model.AllocatedMemory{MemoryMB: 10},
			}},
			Shared: model.AllocatedSharedResources{DiskMB: 5, Ports: []model.PortMapping{{Label: "p", Value: int(cpu), HostIP: "10.0.0.1"}}},
		},
	}
}

func TestViewsDoNotChange(t *testing.T) {
	ed := New().Edit()
	ed.PutNode(node("a"))
	ed.PutNode(node("b"))
	empty := ed.View()
	ed.ChangeAlloc(nil, alloc("1", "a", 300))
	one := ed.View()
	ed.ChangeAlloc(nil, alloc("2", "a", 200))
	ed.DeleteNode("b")
	two := ed.View()

	for name, c := range map[string]struct {
		v    *View
		used int64
		b    bool
	}{"empty": {empty, 0, true}, "one": {one, 300, true}, "two": {two, 500, false}} {
		if got := c.v.Node("a").UsedCPU; got != c.used {
			t.Errorf("%s: %d MHz used, want %d", name, got, c.used)
		}
		if got := c.v.Node("b") != nil; got != c.b {
			t.Errorf("%s: node b there: %v", name, got)
		}
	}
	stopped := *alloc("1", "a", 300)
	stopped.DesiredStatus = model.AllocDesiredStop
	last := two.Edit()
	last.ChangeAlloc(alloc("1", "a", 300), &stopped)
	if got := last.View().Node("a"); got.UsedCPU != 200 || len(got.ports) != 1 || len(got.Allocs) != 1 {
		t.Errorf("after a stop: %+v", got)
	}
}

func TestAllocationsOfMissingNodesComeBack(t *testing.T) {
	ed := New().Edit()
	ed.ChangeAlloc(nil, alloc("1", "a", 300))
	ed.ChangeAlloc(nil, alloc("2", "a", 100))
	ed.PutNode(node("a"))
	v := ed.View()
	if v.Node("a").UsedCPU != 400 {
		t.Fatalf("used %d", v.Node("a").UsedCPU)
	}
	ed = v.Edit()
	ed.DeleteNode("a")
	done := *alloc("1", "a", 300)
	done.ClientStatus = model.AllocClientComplete
	ed.ChangeAlloc(alloc("1", "a", 300), &done)
	ed.PutNode(node("b")) // takes the freed ordinal
	ed.PutNode(node("a"))
	v = ed.View()
	if v.Node("a").UsedCPU != 100 || v.Node("b").UsedCPU != 0 || v.Len() != 2 || len(v.orphans) != 0 {
		t.Errorf("a uses %d, b %d, length %d", v.Node("a").UsedCPU, v.Node("b").UsedCPU, v.Len())
	}
}

// TestEditingEqualsCounting compares a view kept by random changes with one
// counted from the result.
func TestEditingEqualsCounting(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	v := New()
	nodes := map[string]bool{}
	allocs := map[string]*model.Allocation{}
	for step := range 3000 {
		ed := v.Edit()
		for range 1 + rnd.IntN(4) {
			id := fmt.Sprint("n", rnd.IntN(150))
			switch rnd.IntN(6) {
			case 0:
				ed.PutNode(node(id))
				nodes[id] = true
			case 1:
				ed.DeleteNode(model.NodeID(id))
				delete(nodes, id)
			default:
				key := fmt.Sprint("a", rnd.IntN(400))
				old := allocs[key]
				next := alloc(key, id, int64(rnd.IntN(50)))
				if old != nil {
					c := *old
					next = &c
					switch rnd.IntN(3) {
					case 0:
						next.ClientStatus = model.AllocClientFailed
					case 1:
						next = nil
					}
				}
				ed.ChangeAlloc(old, next)
				allocs[key] = next
			}
		}
		v = ed.View()
		if step%100 != 0 {
			continue
		}
		fresh := New().Edit()
		for id := range nodes {
			fresh.PutNode(node(id))
		}
		for _, a := range allocs {
			fresh.ChangeAlloc(nil, a)
		}
		want := fresh.View()
		for id := range nodes {
			a, b := v.Node(model.NodeID(id)), want.Node(model.NodeID(id))
			if a == nil || a.UsedCPU != b.UsedCPU || a.UsedDiskMB != b.UsedDiskMB || len(a.Allocs) != len(b.Allocs) || !cmp.Equal(a.ports, b.ports) && len(a.ports)+len(b.ports) > 0 {
				t.Fatalf("step %d, node %s: kept %+v, counted %+v", step, id, a, b)
			}
		}
		count := 0
		v.All(func(int32, *Node) { count++ })
		if count != len(nodes) {
			t.Fatalf("step %d: %d nodes, want %d", step, count, len(nodes))
		}
	}
}

func TestPorts(t *testing.T) {
	ed := New().Edit()
	ed.PutNode(node("a"))
	ed.ChangeAlloc(nil, alloc("1", "a", 80))
	n := ed.View().Node("a")
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name   string
		asks   []PortAsk
		reason string
		addr   []string
	}{
		{"free", []PortAsk{{Label: "p", Static: 81}}, "", []string{"10.0.0.1:81"}},
		{"taken", []PortAsk{{Label: "p", Static: 80}}, "network: reserved port collision p=80", nil},
		{"taken, but it may collide", []PortAsk{{Label: "p", Static: 80, IgnoreCollision: true}}, "", []string{"10.0.0.1:80"}},
		{"kept by the node", []PortAsk{{Label: "p", Static: 8550}}, "network: reserved port collision p=8550", nil},
		{"other network", []PortAsk{{Label: "p", Static: 80, Network: "public"}}, "", []string{"1.2.3.4:80"}},
		{"kept on that network", []PortAsk{{Label: "p", Static: 443, Network: "public"}}, "network: reserved port collision p=443", nil},
		{"no such network", []PortAsk{{Label: "p", Static: 1, Network: "lan"}}, "network: no addresses available for lan network", nil},
		{"twice", []PortAsk{{Label: "p", Static: 81}, {Label: "q", Static: 81}}, "network: reserved port collision q=81", nil},
		{"too many dynamic ones", make([]PortAsk, 5), "network: dynamic port selection failed", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			offer, reason := n.Ports(c.asks, rnd.IntN)
			var addr []string
			for _, p := range offer.Ports {
				addr = append(addr, p.Addr())
			}
			if reason != c.reason || !cmp.Equal(addr, c.addr) {
				t.Errorf("reason %q, ports %v", reason, addr)
			}
		})
	}
	offer, reason := n.Ports([]PortAsk{{Label: "a", To: -1}, {Label: "b", To: 9}, {Label: "c"}, {Label: "s", Static: 20001}}, rnd.IntN)
	seen := map[int]bool{}
	for _, p := range offer.Ports {
		if p.Value < 20000 || p.Value > 20003 || seen[p.Value] {
			t.Errorf("port %+v", p)
		}
		seen[p.Value] = true
		if p.Label == "a" && p.To != p.Value || p.Label == "b" && p.To != 9 || p.Label == "c" && p.To != 0 {
			t.Errorf("mapping %+v", p)
		}
	}
	if reason != "" || len(seen) != 4 || n.Device(offer) != "eth0" {
		t.Errorf("reason %q, %v on %q", reason, offer.Ports, n.Device(offer))
	}
}

func TestCheck(t *testing.T) {
	cores := func(id string, c ...uint16) *model.Allocation {
		a := alloc(id, "a", 0)
		a.AllocatedResources.Tasks["t"].Cpu.ReservedCores = c
		a.AllocatedResources.Shared.Ports = nil
		return a
	}
	for _, c := range []struct {
		name        string
		change      func(*model.Node)
		stop, place []*model.Allocation
		want        string
	}{
		{name: "fits", place: []*model.Allocation{alloc("2", "a", 400)}},
		{name: "cpu", place: []*model.Allocation{alloc("2", "a", 401)}, want: "cpu"},
		{name: "in place of another", stop: []*model.Allocation{alloc("1", "a", 500)}, place: []*model.Allocation{alloc("2", "a", 900)}},
		{name: "port", place: []*model.Allocation{func() *model.Allocation {
			a := alloc("2", "a", 1)
			a.AllocatedResources.Shared.Ports[0].Value = 500
			return a
		}()}, want: "reserved alloc port collision: 500"},
		{name: "port kept by the node", place: []*model.Allocation{alloc("2", "a", 22)}, want: "reserved node port collision: 22"},
		{name: "cores", place: []*model.Allocation{cores("2", 0), cores("3", 0)}, want: "cores"},
		{name: "a core that is not there", place: []*model.Allocation{cores("2", 5)}, want: "cores"},
		{name: "too many", change: func(n *model.Node) { n.NodeMaxAllocs = 1 }, place: []*model.Allocation{alloc("2", "a", 1)}, want: "max allocation exceeded"},
		{name: "not ready", change: func(n *model.Node) { n.Status = model.NodeStatusInit }, place: []*model.Allocation{alloc("2", "a", 1)}, want: "node is not ready for placements"},
		{name: "not eligible", change: func(n *model.Node) { n.SchedulingEligibility = model.NodeIneligible }, place: []*model.Allocation{alloc("2", "a", 1)}, want: "node is not eligible"},
		{name: "not eligible, update of what is there", change: func(n *model.Node) { n.SchedulingEligibility = model.NodeIneligible }, place: []*model.Allocation{alloc("1", "a", 500)}},
		{name: "disconnected", change: func(n *model.Node) { n.Status = model.NodeStatusDisconnected }, place: []*model.Allocation{alloc("1", "a", 500)}, want: "node is disconnected and contains invalid updates"},
		{name: "down", change: func(n *model.Node) { n.Status = model.NodeStatusDown }, place: []*model.Allocation{alloc("1", "a", 500)}, want: "node is down and contains invalid updates"},
		{name: "shrunk below what it has, update", change: func(n *model.Node) { n.NodeResources.Cpu.CpuShares = 200 }, place: []*model.Allocation{{
			ID: "1", NodeID: "a", DesiredStatus: "run", ClientStatus: "running", AllocatedResources: first.AllocatedResources}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := node("a")
			if c.change != nil {
				c.change(n)
			}
			ed := New().Edit()
			ed.PutNode(n)
			ed.ChangeAlloc(nil, first)
			if got := ed.View().Check("a", c.stop, nil, c.place); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

var first = alloc("1", "a", 500)

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"dc1", "dc1", true}, {"dc1", "dc11", false}, {"*", "", true}, {"d*1", "dc1", true}, {"d*1", "dc2", false},
		{"*c*", "abcd", true}, {"a*b*c", "a-b-b-c", true}, {"a*b", "ab", true}, {"ab*ba", "aba", false},
	} {
		if got := matchGlob(c.pattern, c.text); got != c.want {
			t.Errorf("%s, %s: %v", c.pattern, c.text, got)
		}
	}
}

func TestKindsIgnoreUniqueAttributes(t *testing.T) {
	a, b, c := node("a"), node("b"), node("c")
	a.Attributes = map[string]string{"unique.hostname": "x", "arch": "amd64"}
	b.Attributes = map[string]string{"unique.hostname": "y", "arch": "amd64"}
	c.Attributes = map[string]string{"arch": "arm64"}
	if ComputeClass(a) != ComputeClass(b) || ComputeClass(a) == ComputeClass(c) {
		t.Errorf("classes %s, %s, %s", ComputeClass(a), ComputeClass(b), ComputeClass(c))
	}
	ed := New().Edit()
	for _, n := range []*model.Node{a, b, c} {
		ed.PutNode(n)
	}
	v := ed.View()
	if k := v.Kinds(); k.Len != 2 || k.Of[0] != k.Of[1] || k.Of[0] == k.Of[2] {
		t.Errorf("kinds %+v", k)
	}
	sick := *b
	sick.Drivers = map[string]*model.DriverInfo{"exec": {Detected: true, Healthy: true}}
	ed.PutNode(&sick)
	if k := ed.View().Kinds(); k.Len != 3 {
		t.Errorf("kinds with another driver %+v", k)
	}
}
