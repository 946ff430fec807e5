package cluster

import (
	"slices"
	"sort"
	"strings"

	"github.com/seraiproject/serai/core/model"
)

// A Node is a machine with what it has to give and what is used of it. Nodes
// of a View must not be changed: Clone first.
type Node struct {
	*hardware
	owner *token

	// What live allocations use. CPU is in MHz.
	UsedCPU, UsedMemoryMB, UsedMemoryMaxMB, UsedDiskMB int64
	usedCores                                          []uint16  // sorted
	ports                                              []portKey // sorted

	// Allocs are the live allocations, in no particular order.
	Allocs []*model.Allocation
}

// hardware is what a node has; it is shared by all versions of a Node until
// the node itself changes.
type hardware struct {
	Node *model.Node

	// What allocations may use: all there is less what is reserved.
	CPU, MemoryMB, DiskMB int64
	CPUPerCore            int64    // MHz
	cores                 []uint16 // that may be reserved, sorted
	addresses             []address
	reserved              []span
	minPort, maxPort      int

	// kind tells nodes apart that differ in anything but their unique
	// attributes.
	kind string
}

func newNode(n *model.Node, allocs []*model.Allocation, own *token) *Node {
	c := &Node{hardware: newHardware(n), owner: own}
	for _, a := range allocs {
		c.Add(a)
	}
	return c
}

func newHardware(n *model.Node) *hardware {
	h := &hardware{Node: n, minPort: 20000, maxPort: 32000, kind: kindOf(n)}
	if r := n.NodeResources; r != nil {
		h.CPU, h.MemoryMB, h.DiskMB = r.Cpu.CpuShares, r.Memory.MemoryMB, r.Disk.DiskMB
		if r.Cpu.TotalCpuCores > 0 {
			h.CPUPerCore = r.Cpu.CpuShares / int64(r.Cpu.TotalCpuCores)
		}
		h.cores = slices.Clone(r.Cpu.ReservableCpuCores)
		if r.MinDynamicPort > 0 {
			h.minPort = r.MinDynamicPort
		}
		if r.MaxDynamicPort > 0 {
			h.maxPort = r.MaxDynamicPort
		}
	}
	if r := n.ReservedResources; r != nil {
		h.CPU -= r.Cpu.CpuShares
		h.MemoryMB -= r.Memory.MemoryMB
		h.DiskMB -= r.Disk.DiskMB
		h.cores = slices.DeleteFunc(h.cores, func(c uint16) bool {
			return slices.Contains(r.Cpu.ReservedCpuCores, c)
		})
		h.reserved = parseSpans(r.Networks.ReservedHostPorts)
	}
	slices.Sort(h.cores)
	h.addresses = addressesOf(n)
	return h
}

// Clone returns a copy that may be changed with Add, Remove and Take.
func (n *Node) Clone() *Node {
	c := *n
	c.owner = nil
	c.usedCores = slices.Clip(c.usedCores)
	c.ports = slices.Clone(c.ports)
	c.Allocs = append(make([]*model.Allocation, 0, len(n.Allocs)+1), n.Allocs...)
	return &c
}

// Add counts a live allocation. The caller owns n.
func (n *Node) Add(a *model.Allocation) {
	n.Allocs = append(n.Allocs, a)
	if a.AllocatedResources == nil {
		return
	}
	n.count(a.AllocatedResources.Usage(), 1)
	n.eachPort(a.AllocatedResources, func(k portKey) { n.ports = insertPort(n.ports, k) })
}

// Take counts an allocation whose use the caller has summed up already: u, and
// the ports of the Offer that it was given.
func (n *Node) Take(a *model.Allocation, u model.Usage, ports Offer) {
	n.Allocs = append(n.Allocs, a)
	n.count(u, 1)
	for _, k := range ports.keys {
		n.ports = insertPort(n.ports, k)
	}
}

// Remove stops counting an allocation. It reports whether it was counted. The
// caller owns n.
func (n *Node) Remove(id model.AllocID) bool {
	for i, a := range n.Allocs {
		if a.ID != id {
			continue
		}
		n.Allocs = slices.Delete(n.Allocs, i, i+1)
		if r := a.AllocatedResources; r != nil {
			n.count(r.Usage(), -1)
			n.eachPort(r, func(k portKey) { n.ports = removePort(n.ports, k) })
		}
		return true
	}
	return false
}

// swap replaces an allocation by one that uses the same.
func (n *Node) swap(a *model.Allocation) {
	for i := range n.Allocs {
		if n.Allocs[i].ID == a.ID {
			n.Allocs[i] = a
			return
		}
	}
	n.Add(a)
}

func (n *Node) count(u model.Usage, sign int64) {
	n.UsedCPU += sign * u.CPU
	n.UsedMemoryMB += sign * u.MemoryMB
	n.UsedMemoryMaxMB += sign * u.MemoryMaxMB
	n.UsedDiskMB += sign * u.DiskMB
	if len(u.Cores) == 0 {
		return
	}
	if sign > 0 {
		n.usedCores = append(slices.Clone(n.usedCores), u.Cores...)
		slices.Sort(n.usedCores)
		return
	}
	left := slices.Clone(n.usedCores)
	for _, c := range u.Cores {
		if i, ok := slices.BinarySearch(left, c); ok {
			left = slices.Delete(left, i, i+1)
		}
	}
	n.usedCores = left
}

// FreeCores returns cores that may be reserved and are not, lowest first.
func (n *Node) FreeCores() []uint16 {
	var free []uint16
	for _, c := range n.cores {
		if _, used := slices.BinarySearch(n.usedCores, c); !used {
			free = append(free, c)
		}
	}
	return free
}

// FreeCoreCount is how many cores may still be reserved.
func (n *Node) FreeCoreCount() int {
	if len(n.usedCores) == 0 {
		return len(n.cores)
	}
	return len(n.FreeCores())
}

// UsedDevices returns the IDs of device instances in use, keyed by
// vendor/type/name.
func (n *Node) UsedDevices() map[string]map[string]int {
	used := map[string]map[string]int{}
	for _, a := range n.Allocs {
		if a.AllocatedResources == nil {
			continue
		}
		for _, t := range a.AllocatedResources.Tasks {
			for _, d := range t.Devices {
				key := d.Vendor + "/" + d.Type + "/" + d.Name
				if used[key] == nil {
					used[key] = map[string]int{}
				}
				for _, id := range d.DeviceIDs {
					used[key][id]++
				}
			}
		}
	}
	return used
}

// kindOf is equal for nodes that the scheduler may treat alike as long as it
// does not look at unique attributes.
func kindOf(n *model.Node) string {
	var b strings.Builder
	class := n.ComputedClass
	if class == "" {
		class = ComputeClass(n)
	}
	b.WriteString(class)
	names := make([]string, 0, len(n.Drivers))
	for name := range n.Drivers {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if d := n.Drivers[name]; d != nil && d.Detected && d.Healthy {
			b.WriteString("\x00d")
			b.WriteString(name)
		}
	}
	names = names[:0]
	for name, v := range n.HostVolumes {
		if v != nil && v.ReadOnly {
			name += "\x01"
		}
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		b.WriteString("\x00v")
		b.WriteString(name)
	}
	names = names[:0]
	if r := n.NodeResources; r != nil {
		for _, w := range r.NodeNetworks {
			names = append(names, "m"+w.Mode)
			for _, a := range w.Addresses {
				names = append(names, "a"+a.Alias)
			}
		}
		for _, w := range r.Networks {
			names = append(names, "m"+w.Mode)
		}
		for _, d := range r.Devices {
			healthy := 0
			for _, i := range d.Instances {
				if i.Healthy {
					healthy++
				}
			}
			names = append(names, "g"+d.Vendor+"/"+d.Type+"/"+d.Name+string(rune('0'+min(healthy, 1000))))
		}
	}
	for name := range n.HostNetworks {
		names = append(names, "h"+name)
	}
	sort.Strings(names)
	for _, name := range slices.Compact(names) {
		b.WriteString("\x00")
		b.WriteString(name)
	}
	return b.String()
}
