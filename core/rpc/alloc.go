package rpc

import "github.com/seraiproject/serai/core/model"

// Calls about allocations.
var (
	AllocList         = method[*AllocListRequest, *AllocListResponse]("Alloc.List", Read)
	AllocGet          = method[*AllocQuery, *AllocResponse]("Alloc.Get", Read)
	AllocStop         = method[*AllocStopRequest, *AllocStopResponse]("Alloc.Stop", Write)
	AllocUpdateStatus = method[*AllocUpdateRequest, *WriteResponse]("Alloc.UpdateStatus", Write)
)

// AllocListRequest lists allocations.
type AllocListRequest struct {
	QueryOptions
	Resources  bool // include AllocatedResources
	TaskStates bool // include TaskStates
}

// AllocListResponse lists allocations.
type AllocListResponse struct {
	QueryMeta
	Allocs []*model.AllocListStub `msg:",allownil"`
}

// AllocQuery reads one allocation. The ID is complete.
type AllocQuery struct {
	QueryOptions
	AllocID model.AllocID
}

// AllocResponse answers with an allocation; nil when there is none.
type AllocResponse struct {
	QueryMeta
	Alloc *model.Allocation
}

// AllocStopRequest stops an allocation and lets its job be evaluated.
type AllocStopRequest struct {
	WriteRequest
	AllocID         model.AllocID
	NoShutdownDelay bool
	Reschedule      bool
}

// AllocStopResponse names the evaluation.
type AllocStopResponse struct {
	WriteMeta
	EvalID model.EvalID
}

// AllocUpdateRequest is what a node observed of its allocations: only ID,
// NodeID, JobID, Namespace, TaskGroup and the observed members are set
// (ClientStatus, ClientDescription, TaskStates, DeploymentStatus,
// NetworkStatus). An update whose content did not change is harmless.
type AllocUpdateRequest struct {
	WriteRequest
	NodeID   model.NodeID
	SecretID string
	Allocs   []*model.Allocation `msg:",allownil"`
}
