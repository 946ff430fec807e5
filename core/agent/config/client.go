package config

import "time"

// Client configures the node half of an agent.
type Client struct {
	Enabled bool `hcl:"enabled"`
	// Servers are RPC addresses, host[:4647].
	Servers []string   `hcl:"servers,append"`
	Join    ServerJoin `hcl:"server_join"`

	// The folders default to places under (AllocMountsDir: beside) the agent's
	// data folder and are absolute after Load.
	StateDir            string `hcl:"state_dir"`
	AllocDir            string `hcl:"alloc_dir"`
	AllocMountsDir      string `hcl:"alloc_mounts_dir,inert"`
	HostVolumesDir      string `hcl:"host_volumes_dir,inert"`
	HostVolumePluginDir string `hcl:"host_volume_plugin_dir,inert"`
	CommonPluginDir     string `hcl:"common_plugin_dir,inert"`

	NodeClass string            `hcl:"node_class"`
	NodePool  string            `hcl:"node_pool"`
	Meta      map[string]string `hcl:"meta"`
	Options   map[string]string `hcl:"options"`

	NetworkInterface       string `hcl:"network_interface"`
	PreferredAddressFamily string `hcl:"preferred_address_family"`
	// NetworkSpeed is in MBits; zero means detected.
	NetworkSpeed int `hcl:"network_speed,inert"`

	// CPUTotalCompute (MHz), MemoryTotalMB and DiskTotalMB override what is
	// detected; zero means detect.
	CPUTotalCompute     int      `hcl:"cpu_total_compute"`
	MemoryTotalMB       int      `hcl:"memory_total_mb"`
	DiskTotalMB         int      `hcl:"disk_total_mb"`
	DiskFreeMB          int      `hcl:"disk_free_mb,inert"`
	CPUDisableDmidecode bool     `hcl:"cpu_disable_dmidecode,inert"`
	ReservableCores     string   `hcl:"reservable_cores"`
	Reserved            Reserved `hcl:"reserved"`

	MinDynamicPort int `hcl:"min_dynamic_port"`
	MaxDynamicPort int `hcl:"max_dynamic_port"`
	ClientMinPort  int `hcl:"client_min_port"`
	ClientMaxPort  int `hcl:"client_max_port"`
	NodeMaxAllocs  int `hcl:"node_max_allocs"`

	// MaxKillTimeout bounds every task's kill_timeout.
	MaxKillTimeout        time.Duration `hcl:"max_kill_timeout"`
	GCInterval            time.Duration `hcl:"gc_interval"`
	GCDiskUsageThreshold  float64       `hcl:"gc_disk_usage_threshold"`
	GCInodeUsageThreshold float64       `hcl:"gc_inode_usage_threshold,inert"`
	GCMaxAllocs           int           `hcl:"gc_max_allocs"`
	GCParallelDestroys    int           `hcl:"gc_parallel_destroys,inert"`
	GCVolumesOnNodeGC     bool          `hcl:"gc_volumes_on_node_gc,inert"`

	NoHostUUID                     bool `hcl:"no_host_uuid,tri,inert"`
	DisableRemoteExec              bool `hcl:"disable_remote_exec"`
	DefaultIneligible              bool `hcl:"default_ineligible"`
	NomadServiceDiscovery          bool `hcl:"nomad_service_discovery,tri"`
	BindWildcardDefaultHostNetwork bool `hcl:"bind_wildcard_default_host_network,tri,inert"`

	CNIPath                 string            `hcl:"cni_path,inert"`
	CNIConfigDir            string            `hcl:"cni_config_dir,inert"`
	BridgeNetworkName       string            `hcl:"bridge_network_name,inert"`
	BridgeNetworkSubnet     string            `hcl:"bridge_network_subnet,inert"`
	BridgeNetworkSubnetIPv6 string            `hcl:"bridge_network_subnet_ipv6,inert"`
	BridgeNetworkHairpin    bool              `hcl:"bridge_network_hairpin_mode,inert"`
	CgroupParent            string            `hcl:"cgroup_parent"`
	ChrootEnv               map[string]string `hcl:"chroot_env"`

	Users        Users               `hcl:"users,lenient,inert"`
	Fingerprints []*FingerprintRetry `hcl:"fingerprint,lenient,inert"`
	HostVolumes  []*HostVolume       `hcl:"host_volume,replace,lenient,inert"`
	HostNetworks []*HostNetwork      `hcl:"host_network,append,lenient"`
	Drain        *DrainOnShutdown    `hcl:"drain_on_shutdown,lenient,inert"`
	Artifact     Artifact            `hcl:"artifact,lenient,inert"`
	Template     Template            `hcl:"template,lenient,inert"`

	// IntroToken comes from the command line or the environment only.
	IntroToken string `hcl:"-,secret"`
}

// Reserved is what the node keeps for itself.
type Reserved struct {
	// CPU is in MHz, MemoryMB and DiskMB in MB.
	CPU      int    `hcl:"cpu"`
	Cores    string `hcl:"cores"`
	MemoryMB int    `hcl:"memory"`
	DiskMB   int    `hcl:"disk"`
	// ReservedPorts are single ports and ranges, "22,8000-8010".
	ReservedPorts string `hcl:"reserved_ports"`
}

// Users is the range of user IDs handed to tasks that ask for a dynamic one.
type Users struct {
	DynamicUserMin int `hcl:"dynamic_user_min"`
	DynamicUserMax int `hcl:"dynamic_user_max"`
}

// FingerprintRetry says how often one fingerprinter tries again.
type FingerprintRetry struct {
	Name          string        `hcl:",label"`
	RetryAttempts int           `hcl:"retry_attempts"`
	RetryInterval time.Duration `hcl:"retry_interval"`
	ExitOnFailure bool          `hcl:"exit_on_failure,tri"`
}

// HostVolume is a folder of the host that jobs may mount by name.
type HostVolume struct {
	Name     string `hcl:",label"`
	Path     string `hcl:"path"`
	ReadOnly bool   `hcl:"read_only"`
}

// HostNetwork names some of the host's addresses for use by ports.
type HostNetwork struct {
	Name          string `hcl:",label"`
	CIDR          string `hcl:"cidr"`
	Interface     string `hcl:"interface"`
	ReservedPorts string `hcl:"reserved_ports"`
}

// DrainOnShutdown asks for a drain before a node agent leaves.
type DrainOnShutdown struct {
	Deadline         time.Duration `hcl:"deadline"`
	Force            bool          `hcl:"force"`
	IgnoreSystemJobs bool          `hcl:"ignore_system_jobs"`
}

// Artifact bounds downloads into task folders. Zero timeouts mean none.
type Artifact struct {
	HTTPReadTimeout               time.Duration `hcl:"http_read_timeout,zero"`
	HTTPMaxSize                   Size          `hcl:"http_max_size,zero"`
	GCSTimeout                    time.Duration `hcl:"gcs_timeout,zero"`
	GitTimeout                    time.Duration `hcl:"git_timeout,zero"`
	HgTimeout                     time.Duration `hcl:"hg_timeout,zero"`
	S3Timeout                     time.Duration `hcl:"s3_timeout,zero"`
	DecompressionSizeLimit        Size          `hcl:"decompression_size_limit,zero"`
	DecompressionFileCountLimit   int           `hcl:"decompression_file_count_limit,zero"`
	DisableArtifactInspection     bool          `hcl:"disable_artifact_inspection,tri"`
	DisableFilesystemIsolation    bool          `hcl:"disable_filesystem_isolation,tri"`
	FilesystemIsolationExtraPaths []string      `hcl:"filesystem_isolation_extra_paths"`
	SetEnvironmentVariables       string        `hcl:"set_environment_variables"`
}

// Template bounds the rendering of task templates.
type Template struct {
	FunctionDenylist          []string      `hcl:"function_denylist"`
	DisableFileSandbox        bool          `hcl:"disable_file_sandbox"`
	MaxStale                  time.Duration `hcl:"max_stale"`
	BlockQueryWait            time.Duration `hcl:"block_query_wait"`
	Wait                      TemplateWait  `hcl:"wait,lenient"`
	WaitBounds                *TemplateWait `hcl:"wait_bounds,lenient"`
	ConsulRetry               TemplateRetry `hcl:"consul_retry,lenient"`
	VaultRetry                TemplateRetry `hcl:"vault_retry,lenient"`
	NomadRetry                TemplateRetry `hcl:"nomad_retry,lenient"`
	VaultDefaultLeaseDuration time.Duration `hcl:"vault_default_lease_duration"`
	UseClientConsulToken      bool          `hcl:"use_client_consul_token,tri"`
}

// TemplateWait is how long to wait for data to settle.
type TemplateWait struct {
	Min time.Duration `hcl:"min"`
	Max time.Duration `hcl:"max"`
}

// TemplateRetry is how a template's source is asked again.
type TemplateRetry struct {
	Attempts   int           `hcl:"attempts,zero"`
	Backoff    time.Duration `hcl:"backoff"`
	MaxBackoff time.Duration `hcl:"max_backoff"`
}
