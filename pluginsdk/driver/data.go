package driver

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/proto/structspb"
)

// The messages of the wire are the data types of the contract wherever they are pleasant enough: their
// getters work on nil, so task.GetResources().GetLinuxResources().GetCpuShares() needs no checks.
type (
	// TaskConfig is everything a driver learns of a task. It must not be changed.
	TaskConfig = driverpb.TaskConfig
	// Resources are a task's limits: MHz, bytes, cores, ports.
	Resources = driverpb.Resources
	// LinuxResources are the same in the kernel's terms.
	LinuxResources = driverpb.LinuxResources
	// PortMapping is one labelled port of a task.
	PortMapping = driverpb.PortMapping
	// Mount is a host path to be mounted into a task.
	Mount = driverpb.Mount
	// Device is a host device to be made available to a task.
	Device = driverpb.Device
	// NetworkIsolation is the network namespace to run a task in.
	NetworkIsolation = driverpb.NetworkIsolationSpec
	// NetworkMode is how a network namespace is shared.
	NetworkMode = driverpb.NetworkIsolationSpec_NetworkIsolationMode
	// NetworkOverride is an address of a task that is not the node's.
	NetworkOverride = driverpb.NetworkOverride
	// DNSConfig is what goes into a task's resolv.conf.
	DNSConfig = driverpb.DNSConfig
	// TaskHandle is what a host keeps to find a task again.
	TaskHandle = driverpb.TaskHandle
	// TaskState is how far a task has come.
	TaskState = driverpb.TaskState
	// Capabilities tell the host what it may ask for.
	Capabilities = driverpb.DriverCapabilities
	// FSIsolation is how a task's file system is set apart.
	FSIsolation = driverpb.DriverCapabilities_FSIsolation
	// Health is what a fingerprint concludes.
	Health = driverpb.FingerprintResponse_HealthState
	// Attribute is one fact of a fingerprint.
	Attribute = structspb.Attribute
	// Topology is the machine's processors.
	Topology = basepb.ClientTopology
	// CPUUsage counts percent of one core, MHz (ticks) and nanoseconds of throttling.
	CPUUsage = driverpb.CPUUsage
	// MemoryUsage is in bytes.
	MemoryUsage = driverpb.MemoryUsage
	// ResourceUsage is the usage of one process or of a whole task.
	ResourceUsage = driverpb.TaskResourceUsage
)

// How a task's file system is set apart.
const (
	// FSIsolationNone: tasks see the host's files; their directories are named by host paths.
	FSIsolationNone = driverpb.DriverCapabilities_NONE
	// FSIsolationChroot: the host prepares a root in the task's directory.
	FSIsolationChroot = driverpb.DriverCapabilities_CHROOT
	// FSIsolationImage: tasks bring their own root; the driver mounts the three directories.
	FSIsolationImage = driverpb.DriverCapabilities_IMAGE
	// FSIsolationUnveil: tasks see parts of the host's files.
	FSIsolationUnveil = driverpb.DriverCapabilities_UNVEIL
)

// How a network namespace is shared.
const (
	NetworkHost  = driverpb.NetworkIsolationSpec_HOST
	NetworkGroup = driverpb.NetworkIsolationSpec_GROUP
	NetworkTask  = driverpb.NetworkIsolationSpec_TASK
	NetworkNone  = driverpb.NetworkIsolationSpec_NONE
)

// What a fingerprint concludes.
const (
	// Undetected: what the driver needs is not on this machine.
	Undetected = driverpb.FingerprintResponse_UNDETECTED
	// Unhealthy: it is there and does not work.
	Unhealthy = driverpb.FingerprintResponse_UNHEALTHY
	// Healthy: tasks can run.
	Healthy = driverpb.FingerprintResponse_HEALTHY
)

// How far a task has come.
const (
	TaskUnknown = driverpb.TaskState_UNKNOWN
	TaskRunning = driverpb.TaskState_RUNNING
	TaskExited  = driverpb.TaskState_EXITED
)

// Figures of a CPUUsage that were really measured.
const (
	CPUSystem           = driverpb.CPUUsage_SYSTEM_MODE
	CPUUser             = driverpb.CPUUsage_USER_MODE
	CPUTicks            = driverpb.CPUUsage_TOTAL_TICKS
	CPUThrottledPeriods = driverpb.CPUUsage_THROTTLED_PERIODS
	CPUThrottledTime    = driverpb.CPUUsage_THROTTLED_TIME
	CPUPercent          = driverpb.CPUUsage_PERCENT
)

// Figures of a MemoryUsage that were really measured.
const (
	MemoryRSS       = driverpb.MemoryUsage_RSS
	MemoryCache     = driverpb.MemoryUsage_CACHE
	MemoryMax       = driverpb.MemoryUsage_MAX_USAGE
	MemoryKernel    = driverpb.MemoryUsage_KERNEL_USAGE
	MemoryKernelMax = driverpb.MemoryUsage_KERNEL_MAX_USAGE
	MemoryTotal     = driverpb.MemoryUsage_USAGE
	MemorySwap      = driverpb.MemoryUsage_SWAP
)

// ExitResult is how a task or a command ended. All zero is success. Signal is the number of the signal that
// killed it, with Code 0 or 128 + Signal.
type ExitResult struct {
	Code      int
	Signal    int
	OOMKilled bool
}

// Successful says that the task ended by itself, with code 0.
func (r ExitResult) Successful() bool { return r == ExitResult{} }

// Usage is what a task used at one moment.
type Usage struct {
	// Time of the measurement; zero is now.
	Time time.Time
	// CPU and Memory of the whole task; nil is nothing measured.
	CPU    *CPUUsage
	Memory *MemoryUsage
	// Processes may give the same by pid.
	Processes map[string]*ResourceUsage
}

// Fingerprint is what a driver says of itself and its machine.
type Fingerprint struct {
	Health Health
	// Description says why, in a few words ("Healthy", "must run as root").
	Description string
	// Attributes are put on the node as they are named here, by custom "driver.<name>.<fact>".
	Attributes map[string]*Attribute
}

// TextAttribute is a fact in words.
func TextAttribute(v string) *Attribute {
	return &Attribute{Value: &structspb.Attribute_StringVal{StringVal: v}}
}

// BoolAttribute is a fact that holds or not.
func BoolAttribute(v bool) *Attribute {
	return &Attribute{Value: &structspb.Attribute_BoolVal{BoolVal: v}}
}

// IntAttribute is a quantity, with a unit such as "MiB", "MHz" or "GB/s", or none.
func IntAttribute(v int64, unit string) *Attribute {
	return &Attribute{Value: &structspb.Attribute_IntVal{IntVal: v}, Unit: unit}
}

// FloatAttribute is a quantity that is not whole.
func FloatAttribute(v float64, unit string) *Attribute {
	return &Attribute{Value: &structspb.Attribute_FloatVal{FloatVal: v}, Unit: unit}
}

// Node is what a host tells a driver of itself.
type Node struct {
	// MinPort and MaxPort are a loopback range that the driver's own processes may listen in.
	MinPort, MaxPort int
	// Topology may be nil.
	Topology *Topology
}

// SavedState is what Task.State gave, as bytes.
type SavedState []byte

// Decode fills the value that v points to.
func (s SavedState) Decode(v any) error {
	if err := json.Unmarshal(s, v); err != nil {
		return fmt.Errorf("decode saved task state: %w", err)
	}
	return nil
}

// TaskDirs are the host paths of a task's directories.
type TaskDirs struct {
	// Alloc is the allocation's root, Shared the part that its tasks share, Logs the folder of the FIFOs.
	Alloc, Shared, Logs string
	// Task is the task's root, with Local, Secrets, Private and Tmp in it.
	Task, Local, Secrets, Private, Tmp string
}

// Dirs are the directories of a task. They follow from its allocation directory and its name.
func Dirs(t *TaskConfig) TaskDirs {
	alloc := t.GetAllocDir()
	task := filepath.Join(alloc, t.GetName())
	return TaskDirs{
		Alloc:   alloc,
		Shared:  filepath.Join(alloc, "alloc"),
		Logs:    filepath.Join(alloc, "alloc", "logs"),
		Task:    task,
		Local:   filepath.Join(task, "local"),
		Secrets: filepath.Join(task, "secrets"),
		Private: filepath.Join(task, "private"),
		Tmp:     filepath.Join(task, "tmp"),
	}
}
