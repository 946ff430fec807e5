package cluster

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/seraiproject/serai/core/model"
)

// Dimensions of a node that can be exhausted.
const (
	DimensionCPU       = "cpu"
	DimensionMemory    = "memory"
	DimensionDisk      = "disk"
	DimensionCores     = "cores"
	DimensionMaxAllocs = "max allocation exceeded"
	DimensionDevices   = "device oversubscribed"
)

// Overfull returns the first dimension in which more of the node is used than
// it has, or nothing.
func (n *Node) Overfull() string {
	switch {
	case n.UsedCPU > n.CPU:
		return DimensionCPU
	case n.UsedMemoryMB > n.MemoryMB:
		return DimensionMemory
	case n.UsedDiskMB > n.DiskMB:
		return DimensionDisk
	case n.Node.NodeMaxAllocs > 0 && len(n.Allocs) > n.Node.NodeMaxAllocs:
		return DimensionMaxAllocs
	}
	for i, c := range n.usedCores {
		if i > 0 && n.usedCores[i-1] == c {
			return DimensionCores
		}
		if _, ok := slices.BinarySearch(n.cores, c); !ok {
			return DimensionCores
		}
	}
	for i := 1; i < len(n.ports); i++ {
		if n.ports[i] == n.ports[i-1] {
			return "reserved alloc port collision: " + strconv.Itoa(int(n.ports[i]&0xffff))
		}
	}
	return ""
}

// CheckPlan checks every node of a plan on its own, as the plan applier must
// against the latest state, and returns why nodes are to be left out of the
// commit. An empty result means that the plan may be committed whole.
func CheckPlan(v *View, p *model.Plan) map[model.NodeID]string {
	rejected := map[model.NodeID]string{}
	for id, places := range p.NodeAllocation {
		if reason := v.Check(model.NodeID(id), p.NodeUpdate[id], p.NodePreemptions[id], places); reason != "" {
			rejected[model.NodeID(id)] = reason
		}
	}
	return rejected
}

// Check reports why a node cannot take allocations (new ones, or new versions
// of what it has) once those stopped and preempted are gone. Empty: it can.
func (v *View) Check(id model.NodeID, stops, preempted, places []*model.Allocation) string {
	places = slices.DeleteFunc(slices.Clone(places), (*model.Allocation).Terminal) // bookkeeping
	if len(places) == 0 {
		return ""
	}
	at := v.Node(id)
	if at == nil {
		return "node does not exist"
	}
	if reason := admits(at, places); reason != "" {
		return reason
	}
	n := at.Clone()
	for _, a := range stops {
		n.Remove(a.ID)
	}
	for _, a := range preempted {
		n.Remove(a.ID)
	}
	grows := false
	for _, a := range places {
		old := n.find(a.ID)
		if old == nil || old.AllocatedResources != a.AllocatedResources {
			grows = true
		}
		if old != nil {
			n.Remove(a.ID)
		}
		n.Add(a)
	}
	if !grows {
		return "" // what was there before stays, even on a node that shrank
	}
	if reason := n.Overfull(); reason != "" {
		return reason
	}
	return n.checkNew(places)
}

// admits checks the state of the node against what is to be written on it.
func admits(n *Node, places []*model.Allocation) string {
	fresh := false
	for _, a := range places {
		if n.find(a.ID) == nil {
			fresh = true
		}
	}
	switch n.Node.Status {
	case model.NodeStatusReady:
	case model.NodeStatusDisconnected:
		for _, a := range places {
			if a.ClientStatus != model.AllocClientUnknown {
				return "node is disconnected and contains invalid updates"
			}
		}
		return ""
	case model.NodeStatusDown:
		for _, a := range places {
			if a.ClientStatus != model.AllocClientLost && a.ClientStatus != model.AllocClientUnknown {
				return "node is down and contains invalid updates"
			}
		}
		return ""
	default:
		return "node is not ready for placements"
	}
	if fresh && !n.Node.Ready() {
		return "node is not eligible"
	}
	return ""
}

// checkNew checks what is not a plain sum: ports that the node keeps for
// itself, and devices.
func (n *Node) checkNew(places []*model.Allocation) string {
	devices := false
	for _, a := range places {
		r := a.AllocatedResources
		if r == nil {
			continue
		}
		reason := ""
		n.eachPort(r, func(k portKey) {
			at, port := int(k>>16), int(k&0xffff)
			if inSpans(n.reserved, port) || at < len(n.addresses) && inSpans(n.addresses[at].reserved, port) {
				reason = fmt.Sprintf("reserved node port collision: %d", port)
			}
		})
		if reason != "" {
			return reason
		}
		for _, t := range r.Tasks {
			devices = devices || len(t.Devices) > 0
		}
	}
	if !devices {
		return ""
	}
	return n.checkDevices()
}

func (n *Node) checkDevices() string {
	healthy := map[string]bool{}
	if r := n.Node.NodeResources; r != nil {
		for _, d := range r.Devices {
			for _, i := range d.Instances {
				healthy[d.Vendor+"/"+d.Type+"/"+d.Name+"/"+i.ID] = i.Healthy
			}
		}
	}
	for group, ids := range n.UsedDevices() {
		for id, count := range ids {
			if _, known := healthy[group+"/"+id]; !known || count > 1 {
				return DimensionDevices
			}
		}
	}
	return ""
}

func (n *Node) find(id model.AllocID) *model.Allocation {
	for _, a := range n.Allocs {
		if a.ID == id {
			return a
		}
	}
	return nil
}
