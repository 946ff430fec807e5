package rank

import (
	"math"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// Names of the parts of a score, as clients read them.
const (
	PartBinpack    = "binpack"
	PartDevices    = "devices"
	PartAnti       = "job-anti-affinity"
	PartReschedule = "node-reschedule-penalty"
	PartAffinity   = "node-affinity"
	PartSpread     = "allocation-spread"
	PartPreemption = "preemption"
)

// An Ask is what one allocation of a group wants of a node.
type Ask struct {
	model.Usage // CPU without that of reserved cores
	Cores       int
	Ports       []cluster.PortAsk
	Devices     bool
}

// CPUOn is the CPU wanted in MHz: that of reserved cores depends on the node.
func (a *Ask) CPUOn(n *cluster.Node) int64 { return a.CPU + int64(a.Cores)*n.CPUPerCore }

// Fits returns the dimension that the node has too little of, or nothing.
// Dynamic ports and devices are left to the placement itself.
func (a *Ask) Fits(n *cluster.Node) string {
	switch {
	case n.UsedCPU+a.CPUOn(n) > n.CPU:
		return cluster.DimensionCPU
	case n.UsedMemoryMB+a.MemoryMB > n.MemoryMB:
		return cluster.DimensionMemory
	case n.UsedDiskMB+a.DiskMB > n.DiskMB:
		return cluster.DimensionDisk
	case a.Cores > 0 && n.FreeCoreCount() < a.Cores:
		return cluster.DimensionCores
	case n.Node.NodeMaxAllocs > 0 && len(n.Allocs) >= n.Node.NodeMaxAllocs:
		return cluster.DimensionMaxAllocs
	}
	if len(a.Ports) == 0 {
		return ""
	}
	return n.StaticPortsFit(a.Ports)
}

// Packing scores how well the node is used once it has the allocation too: by
// default a full node is best, under the spread algorithm an empty one.
func (a *Ask) Packing(n *cluster.Node, spread bool) float64 {
	freeCPU := free(n.CPU, n.UsedCPU+a.CPUOn(n))
	freeMemory := free(n.MemoryMB, n.UsedMemoryMB+a.MemoryMB)
	sum := pow10(freeCPU) + pow10(freeMemory)
	if spread {
		return min(max(sum-2, 0), 18) / 18
	}
	return min(max(20-sum, 0), 18) / 18
}

func free(have, used int64) float64 {
	if have <= 0 {
		return 0
	}
	return 1 - float64(used)/float64(have)
}

func pow10(x float64) float64 { return math.Exp(x * math.Ln10) }

// parts are the parts of a node's score but for the spread.
type parts struct {
	packing, devices, anti, penalty, affinity float64
}

// sum adds up the parts and counts those that apply.
func (p *parts) sum(hasAffinity, hasDevices bool) (sum float64, n int) {
	sum, n = p.packing, 1
	if hasDevices {
		sum += p.devices
		n++
	}
	if p.anti != 0 {
		sum += p.anti
		n++
	}
	if p.penalty != 0 {
		sum += p.penalty
		n++
	}
	if hasAffinity {
		sum += p.affinity
		n++
	}
	return sum, n
}

// maxParts is more than the number of parts sum may count.
const maxParts = 6
