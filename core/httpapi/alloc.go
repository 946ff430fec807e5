package httpapi

import (
	"errors"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

func allocList(r *request) (any, error) {
	in := &rpc.AllocListRequest{QueryOptions: r.read, TaskStates: true}
	var err error
	if in.Resources, err = r.flag("resources"); err != nil {
		return nil, err
	}
	if r.query.Has("task_states") {
		if in.TaskStates, err = r.flag("task_states"); err != nil {
			return nil, err
		}
	}
	return r.allocs(rpc.AllocList.Call(r.ctx(), r.caller(), in))
}

// allocView is an allocation as the API shows it: with the older forms of its
// resources, which clients still read.
type allocView struct {
	*model.Allocation
	Resources       *model.Resources
	SharedResources *model.Resources
	TaskResources   map[string]*model.Resources
}

func viewAlloc(a *model.Allocation) *allocView {
	v := &allocView{Allocation: a}
	ar := a.AllocatedResources
	if ar == nil {
		return v
	}
	shared := &model.Resources{DiskMB: int(ar.Shared.DiskMB), Networks: ar.Shared.Networks}
	total := &model.Resources{DiskMB: shared.DiskMB, Networks: shared.Networks}
	v.TaskResources = make(map[string]*model.Resources, len(ar.Tasks))
	for name, t := range ar.Tasks {
		v.TaskResources[name] = &model.Resources{
			CPU: int(t.Cpu.CpuShares), MemoryMB: int(t.Memory.MemoryMB), MemoryMaxMB: int(t.Memory.MemoryMaxMB),
			Cores: len(t.Cpu.ReservedCores), Networks: t.Networks,
		}
		total.CPU += int(t.Cpu.CpuShares)
		total.Cores += len(t.Cpu.ReservedCores)
		total.MemoryMB += int(t.Memory.MemoryMB)
		total.MemoryMaxMB += int(max(t.Memory.MemoryMaxMB, t.Memory.MemoryMB))
	}
	v.Resources, v.SharedResources = total, shared
	return v
}

func allocRead(r *request) (any, error) {
	if err := r.uuid("alloc"); err != nil {
		return nil, err
	}
	resp, err := rpc.AllocGet.Call(r.ctx(), r.caller(), &rpc.AllocQuery{QueryOptions: r.read, AllocID: model.AllocID(r.id)})
	if err != nil {
		return nil, err
	}
	r.meta(&resp.QueryMeta)
	if resp.Alloc == nil {
		return nil, notFound("alloc not found")
	}
	return viewAlloc(resp.Alloc), nil
}

func allocStop(r *request) (any, error) {
	in := &rpc.AllocStopRequest{WriteRequest: r.write(), AllocID: model.AllocID(r.id)}
	var err error
	if in.NoShutdownDelay, err = r.flag("no_shutdown_delay"); err != nil {
		return nil, err
	}
	if in.Reschedule, err = r.flag("reschedule"); err != nil {
		return nil, err
	}
	resp, err := rpc.AllocStop.Call(r.ctx(), r.caller(), in)
	if errors.Is(err, model.ErrNotFound) {
		return nil, notFound("allocation not found")
	}
	if err != nil {
		return nil, err
	}
	r.index(resp.Index)
	return struct {
		EvalID model.EvalID
		Index  uint64
	}{resp.EvalID, resp.Index}, nil
}
