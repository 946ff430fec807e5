package pluginhost

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/taskenv"
	"github.com/seraiproject/serai/core/node/taskrunner"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// taskConfig writes a request in the terms of the plugin contract. This is the
// only place where the two meet.
func taskConfig(r *taskrunner.StartRequest) *driver.TaskConfig {
	a, t := r.Alloc, r.Task
	return &driver.TaskConfig{
		Id:            r.ID,
		Name:          t.Name,
		Env:           r.Env.Map(),
		Resources:     resources(r),
		User:          t.User,
		AllocDir:      r.Dir.Alloc.Root,
		StdoutPath:    r.Dir.Stdout(),
		StderrPath:    r.Dir.Stderr(),
		TaskGroupName: a.TaskGroup,
		JobName:       a.Job.Name,
		JobId:         string(a.JobID),
		ParentJobId:   string(a.Job.ParentID),
		AllocId:       string(a.ID),
		Dns:           dns(a),
		Namespace:     a.Namespace,
		NodeName:      r.NodeName,
		NodeId:        string(r.NodeID),
	}
}

func resources(r *taskrunner.StartRequest) *driver.Resources {
	out := &driver.Resources{
		AllocatedResources: &driverpb.AllocatedTaskResources{
			Cpu: &driverpb.AllocatedCpuResources{}, Memory: &driverpb.AllocatedMemoryResources{},
		},
		LinuxResources: &driver.LinuxResources{CpusetCgroup: r.Cgroup},
	}
	alloc := r.Alloc.AllocatedResources
	if alloc == nil {
		return out
	}
	for _, p := range alloc.Shared.Ports {
		out.Ports = append(out.Ports, &driver.PortMapping{
			Label: p.Label, Value: int32(p.Value), To: int32(p.To), HostIp: p.HostIP,
		})
	}
	t := alloc.Tasks[r.Task.Name]
	if t == nil {
		return out
	}
	ar, lr := out.AllocatedResources, out.LinuxResources
	ar.Cpu.CpuShares = t.Cpu.CpuShares
	ar.Memory.MemoryMb, ar.Memory.MemoryMaxMb = t.Memory.MemoryMB, t.Memory.MemoryMaxMB
	for _, n := range t.Networks {
		ar.Networks = append(ar.Networks, network(n))
	}
	lr.CpuShares = t.Cpu.CpuShares
	if r.NodeMHz > 0 {
		lr.PercentTicks = float64(t.Cpu.CpuShares) / float64(r.NodeMHz)
	}
	limit := t.Memory.MemoryMB
	if t.Memory.MemoryMaxMB > limit {
		limit = t.Memory.MemoryMaxMB
	}
	lr.MemoryLimitBytes = limit << 20
	lr.CpusetCpus = taskenv.CPUList(t.Cpu.ReservedCores)
	return out
}

func network(n *model.NetworkResource) *driverpb.NetworkResource {
	out := &driverpb.NetworkResource{Device: n.Device, Cidr: n.CIDR, Ip: n.IP, Mbits: int32(n.MBits)}
	for _, p := range n.ReservedPorts {
		out.ReservedPorts = append(out.ReservedPorts, &driverpb.NetworkPort{Label: p.Label, Value: int32(p.Value)})
	}
	for _, p := range n.DynamicPorts {
		out.DynamicPorts = append(out.DynamicPorts, &driverpb.NetworkPort{Label: p.Label, Value: int32(p.Value)})
	}
	return out
}

// dns is what the group's network block says, in host networking too.
func dns(a *model.Allocation) *driver.DNSConfig {
	g := a.Group()
	if g == nil {
		return nil
	}
	for _, n := range g.Networks {
		if n.DNS != nil {
			return &driver.DNSConfig{Servers: n.DNS.Servers, Searches: n.DNS.Searches, Options: n.DNS.Options}
		}
	}
	return nil
}
