package fingerprint

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/taskenv"
)

// defaultMHz is taken for a core whose speed the kernel does not tell, so that
// no driver divides by zero.
const defaultMHz = 1000

func (r *Result) processors(c *Config) {
	const sys = "/sys/devices/system/"
	guess, modelName := c.cpuinfo()
	online := ParseList(c.read(sys + "cpu/online"))
	if len(online) == 0 {
		for i := range guess {
			online = append(online, uint16(i))
		}
	}
	if len(online) == 0 {
		online = []uint16{0}
	}
	nodeOf := map[uint16]uint8{}
	topology := &model.NodeTopology{}
	nodes, _ := filepath.Glob(c.Root + sys + "node/node[0-9]*")
	for _, dir := range nodes {
		n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "node"))
		if err != nil || n > 255 {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "cpulist"))
		if err != nil {
			continue
		}
		for _, core := range ParseList(strings.TrimSpace(string(b))) {
			nodeOf[core] = uint8(n)
		}
		topology.Nodes = append(topology.Nodes, uint8(n))
	}
	if len(topology.Nodes) == 0 {
		topology.Nodes = []uint8{0}
	}
	slices.Sort(topology.Nodes)

	total, fastest := uint64(0), uint64(0)
	for _, id := range online {
		dir := fmt.Sprintf("%scpu/cpu%d/", sys, id)
		core := model.NodeCore{
			ID: id, NodeID: nodeOf[id],
			SocketID:   uint8(max(0, number(c.read(dir+"topology/physical_package_id")))),
			BaseSpeed:  uint64(number(c.read(dir+"cpufreq/base_frequency"))) / 1000,
			MaxSpeed:   uint64(number(c.read(dir+"cpufreq/cpuinfo_max_freq"))) / 1000,
			GuessSpeed: uint64(defaultMHz),
		}
		if int(id) < len(guess) && guess[id] > 0 {
			core.GuessSpeed = guess[id]
		}
		speed := core.BaseSpeed
		if speed == 0 {
			speed = core.MaxSpeed
		}
		if speed == 0 {
			speed = core.GuessSpeed
		}
		total += speed
		fastest = max(fastest, speed)
		topology.Cores = append(topology.Cores, core)
	}
	if c.CPUTotalMHz > 0 {
		total = uint64(c.CPUTotalMHz)
		topology.OverrideTotalCompute = total
	}
	reservable := c.ReservableCores
	if reservable == nil {
		reservable = online
	}
	r.Resources.Cpu = model.NodeCPU{
		CpuShares: int64(total), TotalCpuCores: uint16(len(online)), ReservableCpuCores: reservable,
	}
	r.Resources.Processors.Topology = topology

	a := r.Attributes
	a["cpu.modelname"] = modelName
	a["cpu.numcores"] = strconv.Itoa(len(online))
	a["cpu.frequency"] = strconv.FormatUint(fastest, 10)
	a["cpu.reservablecores"] = strconv.Itoa(len(reservable))
	a["cpu.totalcompute"] = strconv.FormatUint(total, 10)
	a["cpu.usablecompute"] = strconv.FormatUint(total, 10)
	a["numa.node.count"] = strconv.Itoa(len(topology.Nodes))
	for _, n := range topology.Nodes {
		var cores []uint16
		for _, core := range topology.Cores {
			if core.NodeID == n {
				cores = append(cores, core.ID)
			}
		}
		a[fmt.Sprintf("numa.node%d.cores", n)] = taskenv.CPUList(cores)
	}
}

// cpuinfo returns the MHz of each processor in order, and the model's name.
func (c *Config) cpuinfo() (mhz []uint64, name string) {
	for line := range strings.Lines(c.read("/proc/cpuinfo")) {
		k, v, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		switch k {
		case "processor":
			mhz = append(mhz, 0)
		case "model name":
			name = v
		case "cpu MHz":
			if f, err := strconv.ParseFloat(v, 64); err == nil && len(mhz) > 0 {
				mhz[len(mhz)-1] = uint64(f)
			}
		}
	}
	return mhz, name
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// ParseList reads a list of cores such as "0-2,7". What is not a number is
// left out.
func ParseList(s string) []uint16 {
	var list []uint16
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, ranged := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.ParseUint(lo, 10, 16)
		if err != nil {
			continue
		}
		b := a
		if ranged {
			if b, err = strconv.ParseUint(hi, 10, 16); err != nil {
				continue
			}
		}
		for n := a; n <= b; n++ {
			list = append(list, uint16(n))
		}
	}
	return list
}
