package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var nodePoolName = regexp.MustCompile(`^[a-zA-Z0-9\-_]{1,128}$`)

// checker collects faults, each with the path of its key.
type checker struct{ errs []error }

func (k *checker) fail(path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	k.errs = append(k.errs, errors.New(text))
}

// check reports the text unless ok.
func (k *checker) check(ok bool, path, format string, args ...any) {
	if !ok {
		k.fail(path, format, args...)
	}
}

func (k *checker) oneOf(path, got string, want ...string) {
	if !slices.Contains(want, got) {
		k.fail(path, "%q is not one of %s", got, strings.Join(want, ", "))
	}
}

// Validate checks a resolved configuration and adds warnings to it. The error
// joins all faults.
func (c *Config) Validate() error {
	k := &checker{}
	if !c.Server.Enabled && !c.Client.Enabled && !c.DevMode {
		k.fail("", "Must specify either server, client or dev mode for the agent.")
	}
	if c.DataDir == "" && !c.DevMode {
		k.fail("", `Must specify "data_dir" config option or "data-dir" CLI flag`)
	}
	for _, d := range []struct{ path, dir string }{
		{"data_dir", c.DataDir}, {"plugin_dir", c.PluginDir},
		{"server.data_dir", c.Server.DataDir},
		{"client.alloc_dir", c.Client.AllocDir}, {"client.alloc_mounts_dir", c.Client.AllocMountsDir},
		{"client.state_dir", c.Client.StateDir}, {"client.host_volumes_dir", c.Client.HostVolumesDir},
		{"client.host_volume_plugin_dir", c.Client.HostVolumePluginDir},
		{"client.common_plugin_dir", c.Client.CommonPluginDir},
	} {
		if d.dir != "" && !filepath.IsAbs(d.dir) {
			key := d.path[strings.LastIndexByte(d.path, '.')+1:]
			k.fail("", "%s must be given as an absolute path: got %s", key, d.dir)
		}
	}
	k.oneOf("log_level", strings.ToUpper(c.LogLevel), "OFF", "TRACE", "DEBUG", "INFO", "WARN", "ERROR")
	k.check(c.LogRotateMaxFiles >= 0, "log_rotate_max_files", "%d is negative", c.LogRotateMaxFiles)
	k.check(c.LogRotateBytes >= 0, "log_rotate_bytes", "%d is negative", c.LogRotateBytes)
	for _, p := range []struct {
		path string
		port int
	}{{"ports.http", c.Ports.HTTP}, {"ports.rpc", c.Ports.RPC}, {"ports.serf", c.Ports.Serf}} {
		k.check(p.port >= 0 && p.port <= 65535, p.path, "%d is not a port", p.port)
	}
	for _, a := range []struct{ path, addr string }{
		{"bind_addr", c.BindAddr}, {"addresses.rpc", c.Addresses.RPC}, {"addresses.serf", c.Addresses.Serf},
	} {
		k.check(net.ParseIP(a.addr) != nil || a.addr == "localhost", a.path, "%q is not an IP address", a.addr)
	}
	k.limits(&c.Limits)
	k.tls(&c.TLSConfig)
	k.check(c.Telemetry.InMemoryRetentionPeriod >= c.Telemetry.InMemoryCollectionInterval,
		"telemetry.in_memory_retention_period", "%s is below in_memory_collection_interval, %s",
		c.Telemetry.InMemoryRetentionPeriod, c.Telemetry.InMemoryCollectionInterval)
	for _, f := range c.Telemetry.PrefixFilter {
		k.check(len(f) > 1 && (f[0] == '+' || f[0] == '-'), "telemetry.prefix_filter",
			"%q starts with neither + nor -", f)
	}
	k.keyrings(c.Keyrings)
	k.server(&c.Server)
	k.client(&c.Client)
	if len(k.errs) == 0 {
		c.remark()
	}
	return errors.Join(k.errs...)
}

// remark adds the warnings that are not tied to one line of a file.
func (c *Config) remark() {
	if c.DevMode {
		return
	}
	if !c.TLSConfig.EnableHTTP || !c.TLSConfig.EnableRPC {
		c.Warnings = append(c.Warnings, "mTLS is not configured - Serai is not secure without mTLS!")
	}
	cl := &c.Client
	if cl.Enabled && !c.Server.Enabled && len(cl.Servers)+len(cl.Join.StartJoin)+len(cl.Join.RetryJoin) == 0 {
		c.Warnings = append(c.Warnings, "This node knows no servers: set client.servers, or use -servers.")
	}
	if !c.Server.Enabled {
		return
	}
	switch n := c.Server.BootstrapExpect; {
	case n == 1:
		c.Warnings = append(c.Warnings, "Bootstrap mode enabled! Potentially unsafe operation.")
	case n == 0:
		c.Warnings = append(c.Warnings, "Number of bootstrap servers is zero: this server waits for others to join it.")
	case n%2 == 0:
		c.Warnings = append(c.Warnings, "Number of bootstrap servers should ideally be set to an odd number.")
	}
}

func (k *checker) limits(l *Limits) {
	k.check(l.HTTPSHandshakeTimeout >= 0, "limits.https_handshake_timeout", "%s is negative", l.HTTPSHandshakeTimeout)
	k.check(l.RPCHandshakeTimeout >= 0, "limits.rpc_handshake_timeout", "%s is negative", l.RPCHandshakeTimeout)
	k.check(l.HTTPMaxConnsPerClient >= 0, "limits.http_max_conns_per_client", "%d is negative", l.HTTPMaxConnsPerClient)
	n := l.RPCMaxConnsPerClient
	k.check(n == 0 || n > 25, "limits.rpc_max_conns_per_client", "must be > 25; found: %d", n)
}

func (k *checker) tls(t *TLS) {
	k.oneOf("tls.tls_min_version", t.TLSMinVersion, "tls10", "tls11", "tls12", "tls13")
	if t.EnableHTTP || t.EnableRPC {
		for _, f := range []struct{ path, file string }{
			{"tls.ca_file", t.CAFile}, {"tls.cert_file", t.CertFile}, {"tls.key_file", t.KeyFile},
		} {
			k.check(f.file != "", f.path, "required with tls.http or tls.rpc")
		}
	}
}

func (k *checker) keyrings(all []*Keyring) {
	active := 0
	for _, r := range all {
		k.oneOf("keyring", r.Type, "aead", "awskms", "azurekeyvault", "gcpckms", "transit")
		if r.Active {
			active++
		}
	}
	k.check(active <= 1, "keyring", "only one keyring can be active")
}

func (k *checker) server(s *Server) {
	if s.EncryptKey != "" {
		key, err := decodeGossipKey(s.EncryptKey)
		k.check(err == nil && len(key) == 32, "server.encrypt", "not 32 bytes in base64; make one with 'head -c 32 /dev/urandom | base64'")
	}
	for _, name := range s.EnabledSchedulers {
		k.check(slices.Contains([]string{"service", "batch", "system", "sysbatch", "_core"}, name),
			"server.enabled_schedulers", "unknown scheduler %q", name)
	}
	k.check(s.BootstrapExpect >= 0, "server.bootstrap_expect", "%d is negative", s.BootstrapExpect)
	k.check(s.NumSchedulers >= 0, "server.num_schedulers", "%d is negative", s.NumSchedulers)
	k.check(s.RaftProtocol == 3, "server.raft_protocol", "%d is not supported, only 3 is", s.RaftProtocol)
	k.check(s.RaftMultiplier >= 1 && s.RaftMultiplier <= 10, "server.raft_multiplier", "%d is not in 1 to 10", s.RaftMultiplier)
	k.check(s.EventBufferSize >= 0, "server.event_buffer_size", "%d is negative", s.EventBufferSize)
	k.check(s.JobMaxPriority >= 100 && s.JobMaxPriority <= 32766, "server.job_max_priority", "%d is not in 100 to 32766", s.JobMaxPriority)
	k.check(s.JobDefaultPriority >= 50 && s.JobDefaultPriority <= s.JobMaxPriority, "server.job_default_priority",
		"%d is not in 50 to %d", s.JobDefaultPriority, s.JobMaxPriority)
	k.check(s.JobMaxCount >= 0, "server.job_max_count", "%d is negative", s.JobMaxCount)
	k.check(s.JobTrackedVersions >= 1, "server.job_tracked_versions", "%d is below 1", s.JobTrackedVersions)
	k.check(s.MaxHeartbeatsPerSecond > 0, "server.max_heartbeats_per_second", "%g is not above 0", s.MaxHeartbeatsPerSecond)
	if d := s.DefaultSchedulerConfig; d != nil && d.SchedulerAlgorithm != "" {
		k.oneOf("server.default_scheduler_config.scheduler_algorithm", d.SchedulerAlgorithm, "binpack", "spread")
	}
	k.oneOf("server.client_introduction.enforcement", s.ClientIntroduction.Enforcement, "none", "warn", "strict")
	k.check(s.ClientIntroduction.MaxIdentityTTL >= s.ClientIntroduction.DefaultIdentityTTL,
		"server.client_introduction.max_identity_ttl", "below default_identity_ttl")
	if b := s.RaftLogStore.Backend; b != "" {
		k.oneOf("server.raft_logstore.backend", b, "boltdb", "wal")
	}
	k.check(len(s.StartJoin)+len(s.RetryJoin) == 0, "server",
		"start_join and retry_join cannot be used together with server_join; move them into the block")
}

func decodeGossipKey(s string) ([]byte, error) {
	if key, err := base64.StdEncoding.DecodeString(s); err == nil {
		return key, nil
	}
	return base64.URLEncoding.DecodeString(s)
}

// GossipKey is the decoded Server.EncryptKey, nil when none is set. It is valid
// on a checked configuration.
func (s *Server) GossipKey() []byte {
	if s.EncryptKey == "" {
		return nil
	}
	key, err := decodeGossipKey(s.EncryptKey)
	if err != nil {
		return nil
	}
	return key
}

func (k *checker) client(c *Client) {
	k.check(nodePoolName.MatchString(c.NodePool) && c.NodePool != "all", "client.node_pool",
		"%q is not a node's pool: want 1 to 128 letters, digits, - or _, and not \"all\"", c.NodePool)
	if c.PreferredAddressFamily != "" {
		k.oneOf("client.preferred_address_family", c.PreferredAddressFamily, "ipv4", "ipv6")
	}
	port := func(path string, n int) { k.check(n > 0 && n <= 65535, path, "%d is not a port", n) }
	port("client.min_dynamic_port", c.MinDynamicPort)
	port("client.max_dynamic_port", c.MaxDynamicPort)
	k.check(c.MinDynamicPort <= c.MaxDynamicPort, "client.min_dynamic_port", "%d is above max_dynamic_port, %d",
		c.MinDynamicPort, c.MaxDynamicPort)
	if _, err := ParsePorts(c.Reserved.ReservedPorts); err != nil {
		k.fail("client.reserved.reserved_ports", "%v", err)
	}
	for _, n := range []struct {
		path  string
		value int
	}{
		{"client.reserved.cpu", c.Reserved.CPU}, {"client.reserved.memory", c.Reserved.MemoryMB},
		{"client.reserved.disk", c.Reserved.DiskMB}, {"client.cpu_total_compute", c.CPUTotalCompute},
		{"client.memory_total_mb", c.MemoryTotalMB}, {"client.disk_total_mb", c.DiskTotalMB},
		{"client.node_max_allocs", c.NodeMaxAllocs}, {"client.gc_max_allocs", c.GCMaxAllocs},
		{"client.gc_parallel_destroys", c.GCParallelDestroys},
	} {
		k.check(n.value >= 0, n.path, "%d is negative", n.value)
	}
	for _, v := range c.HostVolumes {
		k.check(v.Path != "", "client.host_volume."+v.Name+".path", "a host volume needs a path")
	}
	for _, n := range c.HostNetworks {
		path := "client.host_network." + n.Name
		if n.CIDR != "" {
			_, _, err := net.ParseCIDR(n.CIDR)
			k.check(err == nil, path+".cidr", "%q is not a network such as 10.0.0.0/8", n.CIDR)
		}
		if _, err := ParsePorts(n.ReservedPorts); err != nil {
			k.fail(path+".reserved_ports", "%v", err)
		}
	}
	a := &c.Artifact
	for _, d := range []struct {
		path  string
		value int64
	}{
		{"http_read_timeout", int64(a.HTTPReadTimeout)}, {"gcs_timeout", int64(a.GCSTimeout)},
		{"git_timeout", int64(a.GitTimeout)}, {"hg_timeout", int64(a.HgTimeout)}, {"s3_timeout", int64(a.S3Timeout)},
		{"decompression_file_count_limit", int64(a.DecompressionFileCountLimit)},
	} {
		k.check(d.value >= 0, "client.artifact."+d.path, "is negative")
	}
}
