package model

import "time"

// Node status.
const (
	NodeStatusInit         = "initializing"
	NodeStatusReady        = "ready"
	NodeStatusDown         = "down"
	NodeStatusDisconnected = "disconnected"
)

// Scheduling eligibility.
const (
	NodeEligible   = "eligible"
	NodeIneligible = "ineligible"
)

// A Node is a machine that runs work.
type Node struct {
	ID                    NodeID
	SecretID              string // proves that a caller is the node; never shown
	Name                  string
	Datacenter            string
	NodeClass             string
	NodePool              string
	HTTPAddr              string
	TLSEnabled            bool
	CgroupParent          string
	Attributes            map[string]string `msg:",allownil"`
	Meta                  map[string]string `msg:",allownil"`
	Links                 map[string]string `msg:",allownil"`
	NodeResources         *NodeResources
	ReservedResources     *NodeReservedResources
	Drivers               map[string]*DriverInfo        `msg:",allownil"`
	HostVolumes           map[string]*HostVolumeConfig  `msg:",allownil"`
	HostNetworks          map[string]*HostNetworkConfig `msg:",allownil"`
	CSIControllerPlugins  map[string]*CSIInfo           `msg:",allownil"`
	CSINodePlugins        map[string]*CSIInfo           `msg:",allownil"`
	ComputedClass         string                        // nodes of one class are alike to the scheduler
	Drain                 bool
	DrainStrategy         *DrainStrategy
	SchedulingEligibility string // NodeEligible or NodeIneligible
	Status                string // NodeStatus…
	StatusDescription     string
	StatusUpdatedAt       int64        // Unix seconds
	Events                []*NodeEvent `msg:",allownil"`
	LastDrain             *DrainMetadata
	NodeMaxAllocs         int
	GCVolumesOnNodeGC     bool
	IdentitySigningKeyID  string

	LastAllocUpdateIndex     uint64
	LastMissedHeartbeatIndex uint64
	CreateIndex              uint64
	ModifyIndex              uint64
}

// Ready reports whether new allocations may be placed on the node.
func (n *Node) Ready() bool {
	return n.Status == NodeStatusReady && n.DrainStrategy == nil && n.SchedulingEligibility == NodeEligible
}

// NodeResources is what the machine has.
type NodeResources struct {
	Cpu            NodeCPU //nolint:revive // the key of the API
	Memory         NodeMemory
	Disk           NodeDisk
	Networks       []*NetworkResource `msg:",allownil"`
	NodeNetworks   []*NodeNetwork     `msg:",allownil"`
	Devices        []*NodeDevice      `msg:",allownil"`
	MinDynamicPort int
	MaxDynamicPort int
	Processors     NodeProcessors
}

// NodeCPU is the machine's processing power.
type NodeCPU struct {
	CpuShares          int64 //nolint:revive // the key of the API; MHz over all cores
	TotalCpuCores      uint16
	ReservableCpuCores []uint16 `msg:",allownil"`
}

// NodeMemory is in MB.
type NodeMemory struct {
	MemoryMB int64
}

// NodeDisk is in MB, free for allocations when the agent started.
type NodeDisk struct {
	DiskMB int64
}

// NodeProcessors describes the processors to placement that cares for NUMA.
type NodeProcessors struct {
	Topology *NodeTopology
}

// NodeTopology lists NUMA domains and cores.
type NodeTopology struct {
	Nodes                  []uint8    `msg:",allownil"`
	Cores                  []NodeCore `msg:",allownil"`
	OverrideTotalCompute   uint64
	OverrideWitholdCompute uint64
}

// NodeCore is one logical processor. Speeds are MHz.
type NodeCore struct {
	SocketID   uint8
	NodeID     uint8
	ID         uint16
	Grade      uint8
	Disable    bool
	BaseSpeed  uint64
	MaxSpeed   uint64
	GuessSpeed uint64
}

// NodeNetwork is a network interface of the machine.
type NodeNetwork struct {
	Mode       string
	Device     string
	MacAddress string
	Speed      int                  // Mbit/s
	Addresses  []NodeNetworkAddress `msg:",allownil"`
}

// NodeNetworkAddress is one address of an interface.
type NodeNetworkAddress struct {
	Family        string // ipv4 or ipv6
	Alias         string // host network; "default" for the usual one
	Address       string
	ReservedPorts string
	Gateway       string
}

// NodeDevice is a group of equal devices.
type NodeDevice struct {
	Vendor     string
	Type       string
	Name       string
	Instances  []*NodeDeviceInstance       `msg:",allownil"`
	Attributes map[string]*DeviceAttribute `msg:",allownil"`
}

// NodeDeviceInstance is one device.
type NodeDeviceInstance struct {
	ID                string
	Healthy           bool
	HealthDescription string
	Locality          *NodeDeviceLocality
}

// NodeDeviceLocality is where a device sits.
type NodeDeviceLocality struct {
	PciBusID string
}

// DeviceAttribute is a typed value with an optional unit.
type DeviceAttribute struct {
	Float  *float64 `json:",omitempty" msg:",omitempty"`
	Int    *int64   `json:",omitempty" msg:",omitempty"`
	String *string  `json:",omitempty" msg:",omitempty"`
	Bool   *bool    `json:",omitempty" msg:",omitempty"`
	Unit   string   `json:",omitempty" msg:",omitempty"`
}

// NodeReservedResources is kept from allocations.
type NodeReservedResources struct {
	Cpu      NodeReservedCPU //nolint:revive // the key of the API
	Memory   NodeMemory
	Disk     NodeDisk
	Networks NodeReservedNetworks
}

// NodeReservedCPU is in MHz.
type NodeReservedCPU struct {
	CpuShares        int64    //nolint:revive // the key of the API
	ReservedCpuCores []uint16 `msg:",allownil"`
}

// NodeReservedNetworks lists host ports, such as "22,80,8500-8600".
type NodeReservedNetworks struct {
	ReservedHostPorts string
}

// DriverInfo is what a driver plugin says of itself.
type DriverInfo struct {
	Attributes        map[string]string `msg:",allownil"`
	Detected          bool
	Healthy           bool
	HealthDescription string
	UpdateTime        time.Time
}

// HostVolumeConfig is a directory that the node offers as a volume.
type HostVolumeConfig struct {
	Path     string
	ReadOnly bool
	ID       string
}

// HostNetworkConfig names addresses of the machine.
type HostNetworkConfig struct {
	Name          string
	CIDR          string
	Interface     string
	ReservedPorts string
}

// CSIInfo is a CSI plugin as one node sees it.
type CSIInfo struct {
	PluginID                 string
	AllocID                  AllocID
	Healthy                  bool
	HealthDescription        string
	UpdateTime               time.Time
	RequiresControllerPlugin bool
	RequiresTopologies       bool
}

// DrainStrategy moves allocations off a node.
type DrainStrategy struct {
	Deadline         time.Duration // negative: at once; 0: no deadline
	IgnoreSystemJobs bool
	ForceDeadline    time.Time
	StartedAt        time.Time
}

// DrainMetadata is the last drain of a node.
type DrainMetadata struct {
	StartedAt  time.Time
	UpdatedAt  time.Time
	Status     string
	AccessorID string
	Meta       map[string]string `msg:",allownil"`
}

// MaxNodeEvents is how many events of a node are kept.
const MaxNodeEvents = 10

// NodeEvent is one step in the life of a node.
type NodeEvent struct {
	Message     string
	Subsystem   string
	Details     map[string]string `msg:",allownil"`
	Timestamp   time.Time
	CreateIndex uint64
}

// NodeListStub is a node as lists show it.
type NodeListStub struct {
	ID                    NodeID
	Address               string
	Attributes            map[string]string `json:",omitempty" msg:",omitempty"`
	Datacenter            string
	Name                  string
	NodeClass             string
	NodePool              string
	Version               string
	Drain                 bool
	SchedulingEligibility string
	Status                string
	StatusDescription     string
	Drivers               map[string]*DriverInfo       `msg:",allownil"`
	HostVolumes           map[string]*HostVolumeConfig `msg:",allownil"`
	NodeResources         *NodeResources               `json:",omitempty" msg:",omitempty"`
	ReservedResources     *NodeReservedResources       `json:",omitempty" msg:",omitempty"`
	LastDrain             *DrainMetadata
	CreateIndex           uint64
	ModifyIndex           uint64
}

// NodePool is a set of nodes that jobs choose by name.
type NodePool struct {
	Name                   string
	Description            string
	Meta                   map[string]string `msg:",allownil"`
	NodeIdentityTTL        time.Duration
	SchedulerConfiguration *NodePoolSchedulerConfig
	Hash                   []byte `msg:",allownil"`
	CreateIndex            uint64
	ModifyIndex            uint64
}

// NodePoolSchedulerConfig overrides the scheduler's configuration in a pool.
type NodePoolSchedulerConfig struct {
	SchedulerAlgorithm            string
	MemoryOversubscriptionEnabled *bool
}

// Namespace separates jobs of different teams.
type Namespace struct {
	Name         string
	Description  string
	Quota        string
	Capabilities *NamespaceCapabilities
	Meta         map[string]string `msg:",allownil"`
	Hash         []byte            `msg:",allownil"`
	CreateIndex  uint64
	ModifyIndex  uint64
}

// NamespaceCapabilities limit what a namespace's jobs may use.
type NamespaceCapabilities struct {
	EnabledTaskDrivers   []string `msg:",allownil"`
	DisabledTaskDrivers  []string `msg:",allownil"`
	EnabledNetworkModes  []string `msg:",allownil"`
	DisabledNetworkModes []string `msg:",allownil"`
}

// SchedulerConfiguration holds the operator's choices for scheduling.
type SchedulerConfiguration struct {
	SchedulerAlgorithm            string // binpack or spread
	PreemptionConfig              PreemptionConfig
	MemoryOversubscriptionEnabled bool
	RejectJobRegistration         bool
	PauseEvalBroker               bool
	NodeLimitForFeasibilityChecks uint64
	CreateIndex                   uint64
	ModifyIndex                   uint64
}

// PreemptionConfig says which schedulers may preempt.
type PreemptionConfig struct {
	SystemSchedulerEnabled   bool
	SysBatchSchedulerEnabled bool
	BatchSchedulerEnabled    bool
	ServiceSchedulerEnabled  bool
}
