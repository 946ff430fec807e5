package scheduler

import (
	"math/rand/v2"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/feasible"
	"github.com/seraiproject/serai/core/scheduler/rank"
)

// shape is what every allocation of a group is given, but for what differs:
// ports, cores and devices.
type shape struct {
	tg      *model.TaskGroup
	ask     rank.Ask
	devices bool
	cores   bool
	common  *model.AllocatedResources
	// whole is set when allocations do not differ at all and share common.
	whole bool
	// taskPorts is how many of ask.Ports are, in order, those of the group;
	// the rest belong to tasks (an old form of job).
	groupPorts int
}

func newShape(tg *model.TaskGroup, oversubscribe bool) *shape {
	s := &shape{tg: tg, devices: feasible.WantsDevices(tg)}
	res := &model.AllocatedResources{
		Tasks:          make(map[string]*model.AllocatedTaskResources, len(tg.Tasks)),
		TaskLifecycles: make(map[string]*model.TaskLifecycle, len(tg.Tasks)),
	}
	for _, t := range tg.Tasks {
		res.TaskLifecycles[t.Name] = t.Lifecycle
		got := &model.AllocatedTaskResources{}
		res.Tasks[t.Name] = got
		want := t.Resources
		if want == nil {
			continue
		}
		got.Memory.MemoryMB = int64(want.MemoryMB + want.SecretsMB)
		if oversubscribe && want.MemoryMaxMB != 0 {
			got.Memory.MemoryMaxMB = int64(want.MemoryMaxMB)
		}
		if want.Cores > 0 {
			s.cores = true
			s.ask.Cores += want.Cores
		} else {
			got.Cpu.CpuShares = int64(want.CPU)
		}
	}
	if tg.EphemeralDisk != nil {
		res.Shared.DiskMB = int64(tg.EphemeralDisk.SizeMB)
	}
	for _, n := range tg.Networks {
		s.addPorts(n)
	}
	s.groupPorts = len(s.ask.Ports)
	for _, t := range tg.Tasks {
		if t.Resources != nil {
			for _, n := range t.Resources.Networks {
				s.addPorts(n)
			}
		}
	}
	s.common = res
	s.ask.Usage = res.Usage()
	s.ask.Devices = s.devices
	s.whole = !s.cores && !s.devices && len(s.ask.Ports) == 0 && len(tg.Networks) == 0
	return s
}

func (s *shape) addPorts(n *model.NetworkResource) {
	for _, p := range n.ReservedPorts {
		s.ask.Ports = append(s.ask.Ports, cluster.PortAsk{
			Label: p.Label, Static: p.Value, To: p.To, Network: p.HostNetwork, IgnoreCollision: p.IgnoreCollision,
		})
	}
	for _, p := range n.DynamicPorts {
		s.ask.Ports = append(s.ask.Ports, cluster.PortAsk{Label: p.Label, To: p.To, Network: p.HostNetwork})
	}
}

// give chooses ports, cores and devices on a node. The reason is the dimension
// that is exhausted, if any.
func (s *shape) give(n *cluster.Node, random *rand.Rand) (*model.AllocatedResources, cluster.Offer, string) {
	if s.whole {
		return s.common, cluster.Offer{}, ""
	}
	offer, reason := n.Ports(s.ask.Ports, random.IntN)
	if reason != "" {
		return nil, offer, reason
	}
	var devices map[string][]*model.AllocatedDevice
	if s.devices {
		ok := false
		if devices, ok = feasible.Devices(s.tg, n); !ok {
			return nil, offer, "devices"
		}
	}
	res := *s.common
	perTask := s.cores || len(devices) > 0 || s.groupPorts < len(s.ask.Ports)
	if perTask {
		res.Tasks = make(map[string]*model.AllocatedTaskResources, len(s.common.Tasks))
		var free []uint16
		if s.cores {
			if free = n.FreeCores(); len(free) < s.ask.Cores {
				return nil, offer, cluster.DimensionCores
			}
		}
		for _, t := range s.tg.Tasks {
			got := *s.common.Tasks[t.Name]
			got.Devices = devices[t.Name]
			if t.Resources != nil && t.Resources.Cores > 0 {
				got.Cpu.ReservedCores = append([]uint16(nil), free[:t.Resources.Cores]...)
				got.Cpu.CpuShares = int64(t.Resources.Cores) * n.CPUPerCore
				free = free[t.Resources.Cores:]
			}
			if t.Resources != nil {
				for _, w := range t.Resources.Networks {
					got.Networks = append(got.Networks, s.network(w, n, offer))
				}
			}
			res.Tasks[t.Name] = &got
		}
	}
	if len(s.tg.Networks) > 0 {
		for _, w := range s.tg.Networks {
			res.Shared.Networks = append(res.Shared.Networks, s.network(w, n, offer))
		}
		for _, p := range offer.Ports {
			if s.ofGroup(p.Label) {
				res.Shared.Ports = append(res.Shared.Ports, p)
			}
		}
	}
	return &res, offer, ""
}

func (s *shape) ofGroup(label string) bool {
	for _, p := range s.ask.Ports[:s.groupPorts] {
		if p.Label == label {
			return true
		}
	}
	return false
}

// network is a wanted network with the ports that were chosen.
func (s *shape) network(w *model.NetworkResource, n *cluster.Node, offer cluster.Offer) *model.NetworkResource {
	c := *w
	c.Device = n.Device(offer)
	fill := func(ports []model.Port) []model.Port {
		filled := append([]model.Port(nil), ports...)
		for i := range filled {
			for _, p := range offer.Ports {
				if p.Label == filled[i].Label {
					filled[i].Value, filled[i].To = p.Value, p.To
					c.IP = p.HostIP
				}
			}
		}
		return filled
	}
	c.ReservedPorts = fill(w.ReservedPorts)
	c.DynamicPorts = fill(w.DynamicPorts)
	return &c
}
