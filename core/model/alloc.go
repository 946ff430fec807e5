package model

import (
	"strconv"
	"strings"
	"time"
)

// Desired status of an allocation: what the servers want.
const (
	AllocDesiredRun   = "run"
	AllocDesiredStop  = "stop"
	AllocDesiredEvict = "evict"
)

// Client status of an allocation: what its node observed.
const (
	AllocClientPending  = "pending"
	AllocClientRunning  = "running"
	AllocClientComplete = "complete"
	AllocClientFailed   = "failed"
	AllocClientLost     = "lost"
	AllocClientUnknown  = "unknown"
)

// An Allocation is a task group placed on a node.
type Allocation struct {
	ID        AllocID
	Namespace string
	EvalID    EvalID
	Name      string // <job>.<group>[<index>]
	NodeID    NodeID
	NodeName  string
	JobID     JobID
	TaskGroup string

	// Job is the job as it was when the allocation was last placed or
	// updated in place. Allocations of one version share one *Job. It is
	// left out (nil) of Raft commands and node updates, which carry each
	// job once beside the allocations.
	Job *Job
	// JobVersion is Job.Version; it stays when Job is left out.
	JobVersion uint64 `json:"-"`

	DesiredStatus      string
	DesiredDescription string            `json:",omitempty" msg:",omitempty"`
	DesiredTransition  DesiredTransition `json:",omitempty,omitzero" msg:",omitempty"`
	ClientStatus       string
	ClientDescription  string `json:",omitempty" msg:",omitempty"`

	AllocatedResources *AllocatedResources
	Metrics            *AllocMetric
	TaskStates         map[string]*TaskState `json:",omitempty" msg:",omitempty"`

	DeploymentID     DeploymentID           `json:",omitempty" msg:",omitempty"`
	DeploymentStatus *AllocDeploymentStatus `json:",omitempty" msg:",omitempty"`

	RescheduleTracker     *RescheduleTracker  `json:",omitempty" msg:",omitempty"`
	FollowupEvalID        EvalID              `json:",omitempty" msg:",omitempty"`
	PreviousAllocation    AllocID             `json:",omitempty" msg:",omitempty"`
	NextAllocation        AllocID             `json:",omitempty" msg:",omitempty"`
	PreemptedAllocations  []AllocID           `json:",omitempty" msg:",omitempty"`
	PreemptedByAllocation AllocID             `json:",omitempty" msg:",omitempty"`
	NetworkStatus         *AllocNetworkStatus `json:",omitempty" msg:",omitempty"`
	SigningKeyID          string              `json:",omitempty" msg:",omitempty"`

	// StateChanges remembers when the servers changed ClientStatus
	// themselves (lost, unknown), oldest first. It is not part of the API.
	StateChanges []AllocStateChange `json:"-" msg:",omitempty"`

	CreateIndex      uint64
	ModifyIndex      uint64
	AllocModifyIndex uint64 // does not move with what the node reports
	CreateTime       int64  // Unix nanoseconds
	ModifyTime       int64  // Unix nanoseconds
}

// AllocStateChange is one server-side change of an allocation's client status.
type AllocStateChange struct {
	ClientStatus string
	Time         time.Time
}

// DesiredTransition asks the scheduler to move an allocation.
type DesiredTransition struct {
	Migrate                 *bool
	Reschedule              *bool
	ForceReschedule         *bool
	NoShutdownDelay         *bool
	MigrateDisablePlacement *bool
}

// IsZero reports whether nothing is asked for; encoders then leave the whole
// object out.
func (d DesiredTransition) IsZero() bool { return d == DesiredTransition{} }

// IsCodecEmpty is IsZero, under the name that the API's encoder looks for.
func (d DesiredTransition) IsCodecEmpty() bool { return d.IsZero() }

// ShouldMigrate reports whether the allocation is to leave its node.
func (d DesiredTransition) ShouldMigrate() bool { return d.Migrate != nil && *d.Migrate }

// ShouldForceReschedule reports whether the allocation is to be placed anew
// whatever its policy says.
func (d DesiredTransition) ShouldForceReschedule() bool {
	return d.ForceReschedule != nil && *d.ForceReschedule
}

// AllocDeploymentStatus is the health of an allocation within its deployment.
type AllocDeploymentStatus struct {
	Healthy     *bool // nil: not known yet
	Timestamp   time.Time
	Canary      bool
	ModifyIndex uint64
}

// IsHealthy reports whether health is known and good. Nil is not healthy.
func (s *AllocDeploymentStatus) IsHealthy() bool {
	return s != nil && s.Healthy != nil && *s.Healthy
}

// IsUnhealthy reports whether health is known and bad.
func (s *AllocDeploymentStatus) IsUnhealthy() bool {
	return s != nil && s.Healthy != nil && !*s.Healthy
}

// IsCanary reports whether the allocation is a canary that was not promoted.
func (s *AllocDeploymentStatus) IsCanary() bool { return s != nil && s.Canary }

// RescheduleTracker is the history of an allocation's rescheduling.
type RescheduleTracker struct {
	Events         []*RescheduleEvent `msg:",allownil"`
	LastReschedule string
}

// RescheduleEvent is one attempt to reschedule.
type RescheduleEvent struct {
	RescheduleTime int64 // Unix nanoseconds
	PrevAllocID    AllocID
	PrevNodeID     NodeID
	Delay          time.Duration
}

// AllocNetworkStatus is how the allocation's network namespace came out.
type AllocNetworkStatus struct {
	InterfaceName string
	Address       string
	AddressIPv6   string
	DNS           *DNSConfig
}

// AllocatedResources is what an allocation was given.
type AllocatedResources struct {
	Tasks          map[string]*AllocatedTaskResources `msg:",allownil"`
	TaskLifecycles map[string]*TaskLifecycle          `msg:",allownil"`
	Shared         AllocatedSharedResources
}

// AllocatedTaskResources is what one task was given.
type AllocatedTaskResources struct {
	Cpu      AllocatedCPU //nolint:revive // the key of the API
	Memory   AllocatedMemory
	Networks []*NetworkResource `msg:",allownil"`
	Devices  []*AllocatedDevice `msg:",allownil"`
}

// AllocatedCPU is a share in MHz, and cores that no one else uses.
type AllocatedCPU struct {
	CpuShares     int64    //nolint:revive // the key of the API
	ReservedCores []uint16 `msg:",allownil"`
}

// AllocatedMemory is in MB.
type AllocatedMemory struct {
	MemoryMB    int64
	MemoryMaxMB int64
}

// AllocatedDevice is a set of instances of one device group.
type AllocatedDevice struct {
	Vendor    string
	Type      string
	Name      string
	DeviceIDs []string `msg:",allownil"`
}

// AllocatedSharedResources belongs to the group as a whole.
type AllocatedSharedResources struct {
	DiskMB   int64
	Networks []*NetworkResource `json:",omitempty" msg:",omitempty"`
	Ports    []PortMapping      `json:",omitempty" msg:",omitempty"`
}

// Usage is what an allocation takes from a node: the sum that fits or does
// not. It follows task lifecycles: prestart tasks that end and poststop tasks
// do not run at the same time as main tasks, so the largest phase counts.
type Usage struct {
	CPU         int64 // MHz
	MemoryMB    int64
	MemoryMaxMB int64
	DiskMB      int64
	Cores       []uint16 `msg:",allownil"`
}

// Add adds o to u.
func (u *Usage) Add(o Usage) {
	u.CPU += o.CPU
	u.MemoryMB += o.MemoryMB
	u.MemoryMaxMB += o.MemoryMaxMB
	u.DiskMB += o.DiskMB
	u.Cores = append(u.Cores[:len(u.Cores):len(u.Cores)], o.Cores...)
}

// Usage sums up what the allocation takes at most at one time.
func (r *AllocatedResources) Usage() Usage {
	var sidecars, prestart, main, poststop Usage
	for name, t := range r.Tasks {
		into := &main
		if lc := r.TaskLifecycles[name]; lc != nil {
			switch {
			case lc.Hook == HookPrestart && lc.Sidecar, lc.Hook == HookPoststart && lc.Sidecar:
				into = &sidecars
			case lc.Hook == HookPrestart:
				into = &prestart
			case lc.Hook == HookPoststop:
				into = &poststop
			}
		}
		max := t.Memory.MemoryMaxMB
		if max < t.Memory.MemoryMB {
			max = t.Memory.MemoryMB
		}
		into.Add(Usage{CPU: t.Cpu.CpuShares, MemoryMB: t.Memory.MemoryMB, MemoryMaxMB: max, Cores: t.Cpu.ReservedCores})
	}
	total := Usage{
		CPU:         max(prestart.CPU, main.CPU, poststop.CPU),
		MemoryMB:    max(prestart.MemoryMB, main.MemoryMB, poststop.MemoryMB),
		MemoryMaxMB: max(prestart.MemoryMaxMB, main.MemoryMaxMB, poststop.MemoryMaxMB),
	}
	total.Cores = append(append(append(total.Cores, prestart.Cores...), main.Cores...), poststop.Cores...)
	total.Add(sidecars)
	total.DiskMB = r.Shared.DiskMB
	return total
}

// ServerTerminal reports whether the servers want the allocation gone.
func (a *Allocation) ServerTerminal() bool {
	return a.DesiredStatus == AllocDesiredStop || a.DesiredStatus == AllocDesiredEvict
}

// ClientTerminal reports whether the allocation ended on its node.
func (a *Allocation) ClientTerminal() bool {
	switch a.ClientStatus {
	case AllocClientComplete, AllocClientFailed, AllocClientLost:
		return true
	}
	return false
}

// Terminal reports whether the allocation is at its end, or on the way there.
func (a *Allocation) Terminal() bool { return a.ServerTerminal() || a.ClientTerminal() }

// JobKey identifies the allocation's job.
func (a *Allocation) JobKey() JobKey { return JobKey{a.Namespace, a.JobID} }

// Group returns the allocation's task group, or nil when Job is left out.
func (a *Allocation) Group() *TaskGroup {
	if a.Job == nil {
		return nil
	}
	return a.Job.Group(a.TaskGroup)
}

// Index returns the number in brackets of the allocation's name, or -1.
func (a *Allocation) Index() int {
	l := strings.LastIndexByte(a.Name, '[')
	if l < 0 || !strings.HasSuffix(a.Name, "]") {
		return -1
	}
	n, err := strconv.Atoi(a.Name[l+1 : len(a.Name)-1])
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// AllocName is the name of allocation number index of a group.
func AllocName(job JobID, group string, index int) string {
	return string(job) + "." + group + "[" + strconv.Itoa(index) + "]"
}

// RanSuccessfully reports whether every task ended without failing.
func (a *Allocation) RanSuccessfully() bool {
	if len(a.TaskStates) == 0 {
		return a.ClientStatus == AllocClientComplete
	}
	for _, s := range a.TaskStates {
		if s.State != TaskStateDead || s.Failed {
			return false
		}
	}
	return true
}

// AllocMetric explains a placement, or why there was none.
type AllocMetric struct {
	NodesEvaluated     int
	NodesFiltered      int
	NodesInPool        int
	NodePool           string
	NodesAvailable     map[string]int `msg:",allownil"`
	ClassFiltered      map[string]int `msg:",allownil"`
	ConstraintFiltered map[string]int `msg:",allownil"`
	NodesExhausted     int
	ClassExhausted     map[string]int        `msg:",allownil"`
	DimensionExhausted map[string]int        `msg:",allownil"`
	QuotaExhausted     []string              `msg:",allownil"`
	ResourcesExhausted map[string]*Resources `msg:",allownil"`
	Scores             map[string]float64    `msg:",allownil"`
	ScoreMetaData      []*NodeScoreMeta      `msg:",allownil"`
	AllocationTime     time.Duration
	CoalescedFailures  int
}

// NodeScoreMeta is how one node was ranked.
type NodeScoreMeta struct {
	NodeID    NodeID
	Scores    map[string]float64 `msg:",allownil"`
	NormScore float64
}

// AllocListStub is an allocation as lists show it.
type AllocListStub struct {
	ID                    AllocID
	EvalID                EvalID
	Name                  string
	Namespace             string
	NodeID                NodeID
	NodeName              string
	JobID                 JobID
	JobType               string
	JobVersion            uint64
	TaskGroup             string
	AllocatedResources    *AllocatedResources `json:",omitempty" msg:",omitempty"`
	DesiredStatus         string
	DesiredDescription    string
	DesiredTransition     DesiredTransition
	ClientStatus          string
	ClientDescription     string
	TaskStates            map[string]*TaskState `msg:",allownil"`
	DeploymentStatus      *AllocDeploymentStatus
	FollowupEvalID        EvalID
	NextAllocation        AllocID
	RescheduleTracker     *RescheduleTracker
	PreemptedAllocations  []AllocID `msg:",allownil"`
	PreemptedByAllocation AllocID
	CreateIndex           uint64
	ModifyIndex           uint64
	CreateTime            int64
	ModifyTime            int64
}

// Stub returns the allocation as lists show it, without its resources.
func (a *Allocation) Stub() *AllocListStub {
	s := &AllocListStub{
		ID: a.ID, EvalID: a.EvalID, Name: a.Name, Namespace: a.Namespace,
		NodeID: a.NodeID, NodeName: a.NodeName, JobID: a.JobID, JobVersion: a.JobVersion,
		TaskGroup: a.TaskGroup, DesiredStatus: a.DesiredStatus,
		DesiredDescription: a.DesiredDescription, DesiredTransition: a.DesiredTransition,
		ClientStatus: a.ClientStatus, ClientDescription: a.ClientDescription,
		TaskStates: a.TaskStates, DeploymentStatus: a.DeploymentStatus,
		FollowupEvalID: a.FollowupEvalID, NextAllocation: a.NextAllocation,
		RescheduleTracker: a.RescheduleTracker, PreemptedAllocations: a.PreemptedAllocations,
		PreemptedByAllocation: a.PreemptedByAllocation,
		CreateIndex:           a.CreateIndex, ModifyIndex: a.ModifyIndex,
		CreateTime: a.CreateTime, ModifyTime: a.ModifyTime,
	}
	if a.Job != nil {
		s.JobType, s.JobVersion = a.Job.Type, a.Job.Version
	}
	return s
}
