package config

import (
	"time"
)

// Size is a number of bytes, written in files as a number or with a unit
// ("1M", "100GB", "64 KiB").
type Size int64

// Config is the configuration of one agent. [Default] and [Dev] give the values
// that hold before any file is read. A Config is plain data: whoever holds it
// may change it until it is handed to an agent, after which nobody may.
type Config struct {
	// Region and Datacenter place the agent; NodeName is unique per region on
	// servers and defaults to the host's name.
	Region     string `hcl:"region"`
	Datacenter string `hcl:"datacenter"`
	NodeName   string `hcl:"name"`

	// DataDir is absolute and created if absent. In development mode it may be
	// empty until the agent gives itself a temporary one.
	DataDir string `hcl:"data_dir"`
	// PluginDir is where driver and device plugins are found; by default the
	// folder "plugins" beside the executable.
	PluginDir string `hcl:"plugin_dir"`

	// BindAddr is the base for Addresses. It may be a go-sockaddr template until
	// Load has resolved it.
	BindAddr string `hcl:"bind_addr"`

	LogLevel           string        `hcl:"log_level"`
	LogIncludeLocation bool          `hcl:"log_include_location"`
	LogJSON            bool          `hcl:"log_json"`
	LogFile            string        `hcl:"log_file"`
	LogRotateBytes     int           `hcl:"log_rotate_bytes"`
	LogRotateDuration  time.Duration `hcl:"log_rotate_duration"`
	LogRotateMaxFiles  int           `hcl:"log_rotate_max_files"`
	EnableSyslog       bool          `hcl:"enable_syslog,inert"`
	SyslogFacility     string        `hcl:"syslog_facility,inert"`
	EnableDebug        bool          `hcl:"enable_debug,inert"`

	LeaveOnInterrupt bool `hcl:"leave_on_interrupt"`
	LeaveOnTerminate bool `hcl:"leave_on_terminate"`

	// The next two switch off calls home that Serai never makes.
	DisableUpdateCheck        bool `hcl:"disable_update_check,tri"`
	DisableAnonymousSignature bool `hcl:"disable_anonymous_signature"`

	// HTTPAPIResponseHeaders are added to every HTTP response.
	HTTPAPIResponseHeaders map[string]string `hcl:"http_api_response_headers"`

	// Addresses are what the listeners bind to, without ports. AdvertiseAddrs are
	// told to others; after Load they are ip:port.
	Addresses      Addresses `hcl:"addresses"`
	AdvertiseAddrs Addresses `hcl:"advertise"`
	Ports          Ports     `hcl:"ports"`

	Server    Server    `hcl:"server"`
	Client    Client    `hcl:"client"`
	Plugins   []*Plugin `hcl:"plugin,lenient"`
	Telemetry Telemetry `hcl:"telemetry"`
	TLSConfig TLS       `hcl:"tls,inert"`
	Limits    Limits    `hcl:"limits,lenient"`
	RPC       RPC       `hcl:"rpc,lenient"`
	UI        UI        `hcl:"ui,lenient,inert"`
	Autopilot Autopilot `hcl:"autopilot,inert"`
	ACL       ACL       `hcl:"acl"`

	Audit     Audit      `hcl:"audit,inert"`
	Consuls   []*Consul  `hcl:"consul,selfnamed,lenient,inert"`
	Vaults    []*Vault   `hcl:"vault,selfnamed,lenient,inert"`
	Keyrings  []*Keyring `hcl:"keyring,inert,lenient"`
	Reporting Reporting  `hcl:"reporting,lenient,inert"`
	Sentinel  Sentinel   `hcl:"sentinel,lenient,inert"`
	Eventlog  Eventlog   `hcl:"eventlog,lenient,inert"`

	// DevMode says that this is a development agent: nothing outlives it.
	DevMode bool `hcl:"-"`
	// Files are the configuration files read, in order.
	Files []string `hcl:"-"`
	// Warnings are remarks for the operator, one line each, in the order found.
	Warnings []string `hcl:"-"`
}

// Addresses are one address per protocol. HTTP may hold several, separated by
// spaces, when it says what to bind to.
type Addresses struct {
	HTTP string `hcl:"http"`
	RPC  string `hcl:"rpc"`
	Serf string `hcl:"serf"`
}

// Ports are the ports per protocol. Serf is the gossip port, TCP and UDP.
type Ports struct {
	HTTP int `hcl:"http"`
	RPC  int `hcl:"rpc"`
	Serf int `hcl:"serf"`
}

// Plugin is what the operator says about one plugin, found by its name.
type Plugin struct {
	Name string   `hcl:",label"`
	Args []string `hcl:"args"`
	// Config goes to the plugin as it is, to be checked against its own schema:
	// blocks are map[string]any (repeated ones []any), numbers int64 or float64.
	Config map[string]any `hcl:"config,replace"`
}

// Limits bound what one peer may hold open. Zero means no limit.
type Limits struct {
	HTTPSHandshakeTimeout time.Duration `hcl:"https_handshake_timeout,zero,inert"`
	HTTPMaxConnsPerClient int           `hcl:"http_max_conns_per_client,zero"`
	RPCHandshakeTimeout   time.Duration `hcl:"rpc_handshake_timeout,zero,inert"`
	RPCMaxConnsPerClient  int           `hcl:"rpc_max_conns_per_client,zero,inert"`
}

// RPC tunes the transport between agents.
type RPC struct {
	AcceptBacklog          int           `hcl:"accept_backlog,inert"`
	KeepAliveInterval      time.Duration `hcl:"keep_alive_interval,inert"`
	ConnectionWriteTimeout time.Duration `hcl:"connection_write_timeout,inert"`
	MaxStreamWindowSize    int           `hcl:"max_stream_window_size,inert"`
	StreamOpenTimeout      time.Duration `hcl:"stream_open_timeout,inert"`
	StreamCloseTimeout     time.Duration `hcl:"stream_close_timeout,inert"`
	DialTimeout            time.Duration `hcl:"dial_timeout,inert"`
}

// Plugin returns the block for the named plugin, or nil if there is none.
func (c *Config) Plugin(name string) *Plugin {
	for _, p := range c.Plugins {
		if p.Name == name {
			return p
		}
	}
	return nil
}
