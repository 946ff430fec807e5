package node

import (
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/pluginhost"
)

// Config of a Node. StateDir, AllocDir, Region and Datacenter are required;
// zero values of the rest mean the default that is named.
type Config struct {
	Name       string // default: the host's name
	Region     string
	Datacenter string
	NodeClass  string
	NodePool   string // default: "default"
	Meta       map[string]string

	StateDir string
	AllocDir string
	// PluginDir holds the drivers' executables.
	PluginDir string
	Plugins   []pluginhost.Block
	// DriverAllow and DriverDeny are the driver.allowlist and .denylist; a nil
	// DriverAllow allows all.
	DriverAllow, DriverDeny []string
	// EnvDeny are variables of the agent that tasks do not inherit; nil means
	// DefaultEnvDeny.
	EnvDeny []string
	// UserDeny are users that tasks of the drivers in UserCheckedDrivers may
	// not run as; nil means root and Administrator, and exec, qemu and java.
	UserDeny, UserCheckedDrivers []string

	// HTTPAddr is where other agents reach this agent's HTTP API.
	HTTPAddr   string
	TLSEnabled bool

	NetworkInterface       string // default: the one of the default route
	PreferredAddressFamily string
	HostNetworks           []model.HostNetworkConfig
	CPUTotalCompute        int // MHz; 0: detected
	MemoryTotalMB          int
	DiskTotalMB            int
	ReservableCores        []uint16 // nil: all
	Reserved               Reserved
	MinDynamicPort         int // default: 20000
	MaxDynamicPort         int // default: 32000
	ClientMinPort          int // default: 14000
	ClientMaxPort          int // default: 14512
	NodeMaxAllocs          int
	CgroupParent           string
	DefaultIneligible      bool

	MaxKillTimeout       time.Duration // default: 30 s
	GCInterval           time.Duration // default: 1 min
	GCMaxAllocs          int           // default: 50
	GCDiskUsageThreshold float64       // percent; default: 80
	DisableRemoteExec    bool
	// NoServiceDiscovery takes back the attribute that services of provider
	// nomad need.
	NoServiceDiscovery bool

	// Ephemeral nodes end their tasks when the agent stops, and forget them:
	// -dev.
	Ephemeral bool

	Version      string // of this agent
	NomadVersion string // whose behaviour job files may count on

	// LogCollector starts the log collector; the default is this program with
	// the argument log-collector.
	LogCollector []string
}

// Reserved is kept from allocations.
type Reserved struct {
	CPU      int // MHz
	Cores    []uint16
	MemoryMB int
	DiskMB   int
	Ports    string // such as "22,8000-8010"
}

// DefaultEnvDeny are variables of the agent that tasks do not inherit.
var DefaultEnvDeny = []string{
	"CONSUL_TOKEN", "CONSUL_HTTP_TOKEN", "CONSUL_HTTP_TOKEN_FILE", "NOMAD_TOKEN", "VAULT_TOKEN",
	"CONSUL_LICENSE", "CONSUL_LICENSE_PATH", "NOMAD_LICENSE", "NOMAD_LICENSE_PATH", "VAULT_LICENSE", "VAULT_LICENSE_PATH",
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_METADATA_URL", "GOOGLE_APPLICATION_CREDENTIALS",
	"GOOGLE_OAUTH_ACCESS_TOKEN",
}

func (c *Config) setDefaults() {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&c.MinDynamicPort, 20000)
	set(&c.MaxDynamicPort, 32000)
	set(&c.ClientMinPort, 14000)
	set(&c.ClientMaxPort, 14512)
	set(&c.GCMaxAllocs, 50)
	if c.NodePool == "" {
		c.NodePool = model.DefaultNodePool
	}
	if c.MaxKillTimeout <= 0 {
		c.MaxKillTimeout = 30 * time.Second
	}
	if c.GCInterval <= 0 {
		c.GCInterval = time.Minute
	}
	if c.GCDiskUsageThreshold <= 0 {
		c.GCDiskUsageThreshold = 80
	}
	if c.EnvDeny == nil {
		c.EnvDeny = DefaultEnvDeny
	}
	if c.UserDeny == nil {
		c.UserDeny = []string{"root", "Administrator"}
	}
	if c.UserCheckedDrivers == nil {
		c.UserCheckedDrivers = []string{"exec", "qemu", "java"}
	}
}
