package model

import "time"

// HostStats is what a machine uses.
type HostStats struct {
	Timestamp        int64 // Unix nanoseconds
	Uptime           uint64
	CPUTicksConsumed float64
	Memory           *HostMemoryStats
	CPU              []*HostCPUStats  `msg:",allownil"`
	DiskStats        []*HostDiskStats `msg:",allownil"`
	AllocDirStats    *HostDiskStats
	DeviceStats      []*DeviceGroupStats `msg:",allownil"`
}

// HostMemoryStats is in bytes.
type HostMemoryStats struct {
	Total     uint64
	Available uint64
	Used      uint64
	Free      uint64
}

// HostCPUStats is in percent, TotalTicks in MHz.
type HostCPUStats struct {
	CPU          string
	User         float64
	System       float64
	Idle         float64
	TotalPercent float64
	TotalTicks   float64
}

// HostDiskStats is in bytes.
type HostDiskStats struct {
	Device            string
	Mountpoint        string
	Size              uint64
	Used              uint64
	Available         uint64
	UsedPercent       float64
	InodesUsedPercent float64
}

// AllocResourceUsage is what an allocation uses.
type AllocResourceUsage struct {
	Timestamp     int64
	ResourceUsage *ResourceUsage
	Tasks         map[string]*TaskResourceUsage `msg:",allownil"`
}

// TaskResourceUsage is what a task uses.
type TaskResourceUsage struct {
	Timestamp     int64
	ResourceUsage *ResourceUsage
	Pids          map[string]*ResourceUsage `msg:",allownil"`
}

// ResourceUsage is one measurement.
type ResourceUsage struct {
	MemoryStats *MemoryStats
	CpuStats    *CPUStats           //nolint:revive // the key of the API
	DeviceStats []*DeviceGroupStats `msg:",allownil"`
}

// MemoryStats is in bytes. Measured names the members that mean something.
type MemoryStats struct {
	RSS            uint64
	Cache          uint64
	Swap           uint64
	Usage          uint64
	MaxUsage       uint64
	KernelUsage    uint64
	KernelMaxUsage uint64
	MappedFile     uint64
	Measured       []string `msg:",allownil"`
}

// CPUStats is in percent of one core, TotalTicks in MHz, ThrottledTime in
// nanoseconds. Measured names the members that mean something.
type CPUStats struct {
	SystemMode       float64
	UserMode         float64
	TotalTicks       float64
	Percent          float64
	ThrottledPeriods uint64
	ThrottledTime    uint64
	Measured         []string `msg:",allownil"`
}

// DeviceGroupStats is what a group of devices reports.
type DeviceGroupStats struct {
	Vendor        string
	Type          string
	Name          string
	InstanceStats map[string]*DeviceStats `msg:",allownil"`
}

// DeviceStats is what one device reports.
type DeviceStats struct {
	Summary   *StatValue
	Stats     *StatObject
	Timestamp time.Time
}

// StatObject is a tree of values.
type StatObject struct {
	Nested     map[string]*StatObject `msg:",allownil"`
	Attributes map[string]*StatValue  `msg:",allownil"`
}

// StatValue is a number (with a denominator, a share), a text or a bool.
type StatValue struct {
	FloatNumeratorVal   *float64 `json:",omitempty" msg:",omitempty"`
	FloatDenominatorVal *float64 `json:",omitempty" msg:",omitempty"`
	IntNumeratorVal     *int64   `json:",omitempty" msg:",omitempty"`
	IntDenominatorVal   *int64   `json:",omitempty" msg:",omitempty"`
	StringVal           *string  `json:",omitempty" msg:",omitempty"`
	BoolVal             *bool    `json:",omitempty" msg:",omitempty"`
	Unit                string   `json:",omitempty" msg:",omitempty"`
	Desc                string   `json:",omitempty" msg:",omitempty"`
}

// PluginInfo is one plugin of a node, as `serai plugin list` shows it.
type PluginInfo struct {
	Name     string
	Type     string // driver or device
	Version  string
	Protocol string
	Path     string
	PID      int // 0 while it is not running
	Health   string
	Tasks    int
	Restarts int
}
