package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/agent/config"
)

// agentFlag ties a flag of the agent to a key of the configuration.
type agentFlag struct {
	name, path, what, text string // what is empty for booleans
}

// agentFlags are the flags that stand for one key each, and take its place.
var agentFlags = []agentFlag{
	{"bind", "bind_addr", "addr", "The address to bind to."},
	{"data-dir", "data_dir", "path", "The folder for all state."},
	{"plugin-dir", "plugin_dir", "path", "The folder of plugins."},
	{"dc", "datacenter", "name", "The datacenter. Default: dc1."},
	{"region", "region", "name", "The region. Default: global."},
	{"node", "name", "name", "The agent's name. Default: the host's."},
	{"log-level", "log_level", "level", "OFF, ERROR, WARN, INFO, DEBUG or TRACE. Default: INFO."},
	{"log-json", "log_json", "", "Write log lines as JSON."},
	{"log-include-location", "log_include_location", "", "Add file and line to log lines."},
	{"eventlog", "eventlog.enabled", "", "Write to the Windows event log."},
	{"eventlog-level", "eventlog.level", "level", "The least level for the Windows event log."},
	{"server", "server.enabled", "", "Be a server."},
	{"bootstrap-expect", "server.bootstrap_expect", "number", "How many servers to wait for before the first election."},
	{"encrypt", "server.encrypt", "key", "The key for gossip between servers."},
	{"retry-max", "server.server_join.retry_max", "number", "How often to try to join. Default: for ever."},
	{"retry-interval", "server.server_join.retry_interval", "duration", "How long to wait between two tries to join."},
	{"rejoin", "server.rejoin_after_leave", "", "Join again at the next start after having left."},
	{"raft-protocol", "server.raft_protocol", "number", "The version of Raft's protocol; only 3 works."},
	{"client", "client.enabled", "", "Be a node, that is, run work."},
	{"state-dir", "client.state_dir", "path", "The folder for the node's state."},
	{"alloc-dir", "client.alloc_dir", "path", "The folder for allocations."},
	{"node-class", "client.node_class", "class", "The node's class."},
	{"node-pool", "client.node_pool", "pool", "The node's pool."},
	{"network-interface", "client.network_interface", "name", "The interface whose addresses tasks use."},
	{"preferred-address-family", "client.preferred_address_family", "family", "ipv4 or ipv6."},
	{"network-speed", "client.network_speed", "MBits", "The speed of the network."},
	{"host-volumes-dir", "client.host_volumes_dir", "path", "The folder for dynamic host volumes."},
	{"host-volume-plugin-dir", "client.host_volume_plugin_dir", "path", "The folder of host volume plugins."},
	{"acl-enabled", "acl.enabled", "", "Switch access control on."},
	{"acl-replication-token", "acl.replication_token", "token", "The token to copy access control from another region with."},
	{"consul-address", "consul.address", "addr", "The Consul agent."},
	{"consul-auth", "consul.auth", "user:password", "HTTP authentication for Consul."},
	{"consul-auto-advertise", "consul.auto_advertise", "", "Register the agent in Consul."},
	{"consul-ca-file", "consul.ca_file", "path", "The authority of Consul's certificate."},
	{"consul-cert-file", "consul.cert_file", "path", "The certificate to show to Consul."},
	{"consul-key-file", "consul.key_file", "path", "The key of that certificate."},
	{"consul-checks-use-advertise", "consul.checks_use_advertise", "", "Let Consul check the advertised addresses."},
	{"consul-client-auto-join", "consul.client_auto_join", "", "Let nodes find servers in Consul."},
	{"consul-client-service-name", "consul.client_service_name", "name", "The name of nodes in Consul."},
	{"consul-client-http-check-name", "consul.client_http_check_name", "name", "The name of the nodes' HTTP check."},
	{"consul-client-failures-before-critical", "consul.client_failures_before_critical", "number", "Failures before a node's check is critical."},
	{"consul-client-failures-before-warning", "consul.client_failures_before_warning", "number", "Failures before a node's check warns."},
	{"consul-server-auto-join", "consul.server_auto_join", "", "Let servers find each other in Consul."},
	{"consul-server-service-name", "consul.server_service_name", "name", "The name of servers in Consul."},
	{"consul-server-http-check-name", "consul.server_http_check_name", "name", "The name of the servers' HTTP check."},
	{"consul-server-serf-check-name", "consul.server_serf_check_name", "name", "The name of the servers' gossip check."},
	{"consul-server-rpc-check-name", "consul.server_rpc_check_name", "name", "The name of the servers' RPC check."},
	{"consul-server-failures-before-critical", "consul.server_failures_before_critical", "number", "Failures before a server's check is critical."},
	{"consul-server-failures-before-warning", "consul.server_failures_before_warning", "number", "Failures before a server's check warns."},
	{"consul-ssl", "consul.ssl", "", "Talk HTTPS to Consul."},
	{"consul-verify-ssl", "consul.verify_ssl", "", "Verify Consul's certificate."},
	{"consul-token", "consul.token", "token", "The token for Consul."},
	{"vault-enabled", "vault.enabled", "", "Use Vault."},
	{"vault-address", "vault.address", "addr", "The address of Vault."},
	{"vault-token", "vault.token", "token", "Accepted, without effect."},
	{"vault-create-from-role", "vault.create_from_role", "role", "The default role of tasks in Vault."},
	{"vault-allow-unauthenticated", "vault.allow_unauthenticated", "", "Accepted, without effect."},
	{"vault-ca-file", "vault.ca_file", "path", "The authority of Vault's certificate."},
	{"vault-ca-path", "vault.ca_path", "path", "A folder of authorities."},
	{"vault-cert-file", "vault.cert_file", "path", "The certificate to show to Vault."},
	{"vault-key-file", "vault.key_file", "path", "The key of that certificate."},
	{"vault-tls-skip-verify", "vault.tls_skip_verify", "", "Do not verify Vault's certificate."},
	{"vault-tls-server-name", "vault.tls_server_name", "name", "The name to verify in Vault's certificate."},
}

// agentArgs are the flags of the agent that are more than a key.
type agentArgs struct {
	configs, join, retryJoin, meta       *[]string
	servers, introToken                  *string
	dev, devConnect, devConsul, devVault *bool
}

func agentCommand() *leaf {
	return &leaf{
		words: "agent", synopsis: "Start an agent: a server, a node, or both", args: "[options]", offline: true,
		prose: `Starts an agent: a server, which decides what runs where, a node ("client"), which runs it, or with -dev both, for trying things out. The agent runs until it is told to stop by Ctrl-C.

Configuration comes from the files and folders given by -config, later ones stronger, and from the flags below, which are stronger than any file. SIGHUP makes the agent read its files again.`,
		complete: func(*session) complete.Predictor { return complete.PredictNothing },
		setup: func(f *flags) func(*session) int {
			a := agentArgs{
				configs:    f.flagStrings("config", "path", "A configuration file, or a folder of .hcl and .json files. May be given several times."),
				dev:        f.flagBool("dev", "Run a server and a node in one process, on loopback, keeping nothing.", false),
				devConnect: f.flagBool("dev-connect", "Like -dev, but on the machine's public interface.", false),
				devConsul:  f.flagBool("dev-consul", "With -dev, give tasks and services identities for Consul.", false),
				devVault:   f.flagBool("dev-vault", "With -dev, use the Vault on this machine.", false),
				join:       f.flagStrings("join", "addr", "A server to join at the start. May be given several times."),
				retryJoin:  f.flagStrings("retry-join", "addr", "A server to join, tried until it answers. May be given several times."),
				servers:    f.flagString("servers", "addr,addr", "", "The servers of a node."),
				meta:       f.flagStrings("meta", "key=value", "Metadata of the node. May be given several times."),
				introToken: f.flagString("client-intro-token", "token", "", "The token a new node shows. Environment: NOMAD_CLIENT_INTRO_TOKEN."),
			}
			for _, fl := range agentFlags {
				if fl.what == "" {
					f.flagBool(fl.name, fl.text, false)
				} else {
					f.flagString(fl.name, fl.what, "", fl.text)
				}
			}
			return func(s *session) int { return s.runAgent(&a) }
		},
	}
}

// options turns the command line into what the configuration is loaded from.
func (a *agentArgs) options(f *flags) (config.Options, error) {
	o := config.Options{Dev: *a.dev || *a.devConnect || *a.devConsul || *a.devVault, Paths: *a.configs}
	set := func(path, value string) { o.Overrides = append(o.Overrides, config.Override{Path: path, Value: value}) }
	if *a.devConnect {
		set("bind_addr", "0.0.0.0")
	}
	if *a.devVault {
		set("vault.enabled", "true")
		set("vault.address", "http://localhost:8200")
	}
	f.each(func(name, value string) {
		if i := slices.IndexFunc(agentFlags, func(fl agentFlag) bool { return fl.name == name }); i >= 0 {
			set(agentFlags[i].path, value)
		}
	})
	for _, addr := range *a.join {
		set("server.server_join.start_join", addr)
	}
	for _, addr := range *a.retryJoin {
		set("server.server_join.retry_join", addr)
	}
	for addr := range strings.SplitSeq(*a.servers, ",") {
		if addr = strings.TrimSpace(addr); addr != "" {
			set("client.servers", addr)
		}
	}
	for _, kv := range *a.meta {
		key, value, ok := strings.Cut(kv, "=")
		if !ok || key == "" {
			return o, fmt.Errorf("Error parsing Client.Meta value: %q is not of the form key=value", kv) //nolint:staticcheck // shown as it is
		}
		set("client.meta."+key, value)
	}
	return o, nil
}

// loadAgent reads the configuration and prints its warnings by way of line.
func (s *session) loadAgent(o config.Options, a *agentArgs, line func(string)) (*config.Config, error) {
	cfg, err := config.Load(o)
	if err != nil {
		return nil, err
	}
	identity := func(aud string) *config.Identity {
		return &config.Identity{Audience: []string{aud}, TTL: 3600 * 1e9}
	}
	if *a.devConsul {
		cfg.Consuls[0].ServiceIdentity, cfg.Consuls[0].TaskIdentity = identity("consul.io"), identity("consul.io")
	}
	if *a.devVault {
		cfg.Vaults[0].DefaultIdentity = identity("vault.io")
	}
	cfg.Client.IntroToken = *a.introToken
	if token := s.deps.Getenv("NOMAD_CLIENT_INTRO_TOKEN"); token != "" {
		cfg.Client.IntroToken = token
	}
	for _, w := range cfg.Warnings {
		line(s.paint(yellow, "==> WARNING: "+w))
	}
	return cfg, nil
}

// runAgent starts the agent and stays until it has ended.
func (s *session) runAgent(a *agentArgs) int {
	o, err := a.options(s.flags)
	if err != nil {
		return s.fail("%v", err)
	}
	cfg, err := s.loadAgent(o, a, s.println)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			s.fail("==> Error %s", line)
		}
		return exitError
	}
	if len(cfg.Files) > 0 {
		s.printf("==> Loaded configuration from %s\n", strings.Join(cfg.Files, ", "))
	} else {
		s.println("==> No configuration files loaded")
	}
	s.println("==> Starting Serai agent...")

	signals, stop := s.deps.signals(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	reload := make(chan *config.Config, 1)
	leave := make(chan struct{})
	log := &logGate{to: s.deps.Stdout, indent: !cfg.LogJSON}
	if cfg.LogFile != "" {
		file, err := openLogFile(cfg.LogFile, cfg.LogRotateBytes, cfg.LogRotateDuration, cfg.LogRotateMaxFiles, s.deps.Now)
		if err != nil {
			return s.fail("==> Error starting agent: %v", err)
		}
		defer file.Close()
		log.file = file
	}
	ended := make(chan error, 1)
	go func() {
		ended <- s.deps.RunAgent(ctx, cfg, config.Host{
			Log: log, Reload: reload, Leave: leave,
			Ready: func(info config.Info) { log.open(s.banner(cfg, info)) },
		})
	}()
	stopping := false
	for {
		select {
		case err := <-ended:
			log.open("")
			if err != nil && !stopping {
				return s.fail("==> Error starting agent: %v", err)
			}
			if err != nil {
				return s.fail("==> Error stopping agent: %v", err)
			}
			return exitOK
		case sig := <-signals:
			log.line(fmt.Sprintf("==> Caught signal: %s", sig))
			switch {
			case sig == syscall.SIGHUP:
				s.reloadAgent(o, a, reload, log)
			case stopping:
				// A second signal: the user will not wait.
				return exitError
			case sig == os.Interrupt && cfg.LeaveOnInterrupt, sig == syscall.SIGTERM && cfg.LeaveOnTerminate:
				stopping = true
				log.line("==> Gracefully shutting down agent...")
				close(leave)
			default:
				stopping = true
				cancel()
			}
		}
	}
}

// reloadAgent reads the configuration again and hands it to the agent. reload
// has room for one, and only this function sends on it.
func (s *session) reloadAgent(o config.Options, a *agentArgs, reload chan *config.Config, log *logGate) {
	log.line("==> Reloading configuration...")
	cfg, err := s.loadAgent(o, a, log.line)
	if err != nil {
		log.line("==> Error " + strings.ReplaceAll(err.Error(), "\n", "\n==> Error "))
		return
	}
	// One that the agent has not taken yet is out of date.
	select {
	case <-reload:
	default:
	}
	reload <- cfg
}

// banner says what was started.
func (s *session) banner(cfg *config.Config, info config.Info) string {
	or := func(given, configured string) string {
		if given != "" {
			return given
		}
		return configured
	}
	bound := info.HTTP
	if len(bound) == 0 {
		bound = cfg.BindHTTP()
	}
	bind := "HTTP: [" + strings.Join(bound, " ") + "]"
	advertise := "HTTP: " + or(info.AdvertiseHTTP, cfg.AdvertiseAddrs.HTTP)
	if cfg.Server.Enabled {
		bind += "; RPC: " + or(info.RPC, cfg.BindRPC()) + "; Serf: " + or(info.Serf, cfg.BindSerf())
		advertise += "; RPC: " + or(info.AdvertiseRPC, cfg.AdvertiseAddrs.RPC) + "; Serf: " + or(info.AdvertiseSerf, cfg.AdvertiseAddrs.Serf)
	}
	rows := []string{
		"Advertise Addrs", advertise,
		"Bind Addrs", bind,
		"Client", strconv.FormatBool(cfg.Client.Enabled),
		"Log Level", strings.ToUpper(cfg.LogLevel),
	}
	if info.ServerID != "" {
		rows = append(rows, "Node Id", info.ServerID)
	}
	rows = append(rows,
		"Region", fmt.Sprintf("%s (DC: %s)", cfg.Region, cfg.Datacenter),
		"Server", strconv.FormatBool(cfg.Server.Enabled),
		"Version", s.deps.Version)
	var b strings.Builder
	b.WriteString("==> Serai agent configuration:\n\n")
	for i := 0; i < len(rows); i += 2 {
		fmt.Fprintf(&b, "%22s: %s\n", rows[i], rows[i+1])
	}
	b.WriteString("\n==> Serai agent started! Log data will stream in below:\n\n")
	return b.String()
}

// logGate holds log lines back until the banner was printed, then lets them
// through, indented on a console. It is safe for concurrent use.
type logGate struct {
	mu     sync.Mutex
	to     io.Writer
	indent bool
	file   io.Writer // takes the same lines at once, as they are; may be nil
	opened bool
	held   []byte // before the gate opens: whole lines; after it: never
	part   []byte // a line without its end
}

func (g *logGate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.part = append(g.part, p...)
	end := bytes.LastIndexByte(g.part, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	if g.file != nil {
		if _, err := g.file.Write(g.part[:end]); err != nil {
			return 0, err
		}
	}
	var out []byte
	for line := range bytes.Lines(g.part[:end]) {
		if g.indent {
			out = append(out, "    "...)
		}
		out = append(out, line...)
	}
	g.part = append(g.part[:0], g.part[end:]...)
	if !g.opened {
		g.held = append(g.held, out...)
		return len(p), nil
	}
	if _, err := g.to.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// open prints the text and whatever was held back, and lets through what comes.
func (g *logGate) open(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened {
		return
	}
	g.opened = true
	_, _ = io.WriteString(g.to, text)
	_, _ = g.to.Write(g.held)
	g.held = nil
}

// line prints a line that is not the agent's.
func (g *logGate) line(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, _ = io.WriteString(g.to, text+"\n")
}
