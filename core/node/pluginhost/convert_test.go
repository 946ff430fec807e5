package pluginhost

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
	"github.com/seraiproject/serai/core/node/taskenv"
	"github.com/seraiproject/serai/core/node/taskrunner"
)

// notSent are fields of the contract that this node has nothing for yet, or
// leaves empty on purpose.
var notSent = map[string]bool{
	"TaskConfig.msgpack_driver_config":  true, // set by Start
	"TaskConfig.device_env":             true,
	"TaskConfig.mounts":                 true,
	"TaskConfig.devices":                true,
	"TaskConfig.network_isolation_spec": true,
	"LinuxResources.cpu_period":         true,
	"LinuxResources.cpu_quota":          true,
	"LinuxResources.oom_score_adj":      true,
}

// TestEveryFieldArrives fills a request and looks for fields that stayed
// empty: a new one of the contract is not forgotten.
func TestEveryFieldArrives(t *testing.T) {
	ports := []model.Port{{Label: "p", Value: 1}}
	task := &model.Task{Name: "main", User: "me", Env: map[string]string{"A": "b"}}
	a := &model.Allocation{
		ID: "a", Namespace: "ns", JobID: "j", TaskGroup: "g",
		Job: &model.Job{ID: "j", Name: "job", ParentID: "parent", TaskGroups: []*model.TaskGroup{{
			Name: "g", Tasks: []*model.Task{task},
			Networks: []*model.NetworkResource{{DNS: &model.DNSConfig{Servers: []string{"1"}, Searches: []string{"2"}, Options: []string{"3"}}}},
		}}},
		AllocatedResources: &model.AllocatedResources{
			Tasks: map[string]*model.AllocatedTaskResources{"main": {
				Cpu: model.AllocatedCPU{CpuShares: 1, ReservedCores: []uint16{0, 1}}, Memory: model.AllocatedMemory{MemoryMB: 1, MemoryMaxMB: 2},
				Networks: []*model.NetworkResource{{Device: "lo", CIDR: "c", IP: "i", MBits: 1, ReservedPorts: ports, DynamicPorts: ports}},
			}},
			Shared: model.AllocatedSharedResources{Ports: []model.PortMapping{{Label: "p", Value: 1, To: 2, HostIP: "h"}}},
		},
	}
	c := taskConfig(&taskrunner.StartRequest{
		ID: "id", Alloc: a, Task: task, Dir: allocdir.Dir{Root: "/a"}.Task("main"), NodeID: "n", NodeName: "nn", NodeMHz: 10,
		Cgroup: "/cg", Env: taskenv.New(&taskenv.Config{Alloc: a, Task: task, Node: &model.Node{}}),
	})
	var walk func(m protoreflect.Message)
	walk = func(m protoreflect.Message) {
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			name := string(m.Descriptor().Name()) + "." + string(f.Name())
			switch {
			case m.Has(f) == notSent[name]:
				t.Errorf("%s: sent %v", name, m.Has(f))
			case !m.Has(f) || f.Message() == nil || f.IsMap():
			case f.IsList():
				for j := range m.Get(f).List().Len() {
					walk(m.Get(f).List().Get(j).Message())
				}
			default:
				walk(m.Get(f).Message())
			}
		}
	}
	walk(c.ProtoReflect())
	if got := c.GetResources().GetLinuxResources().GetMemoryLimitBytes(); got != 2<<20 {
		t.Errorf("memory limit %d", got)
	}
}
