package agent

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/version"
)

// facts is the agent as the API sees it; it implements httpapi.Agent.
type facts agent

func (f *facts) Name() string       { return f.cfg.NodeName }
func (f *facts) Region() string     { return f.cfg.Region }
func (f *facts) Datacenter() string { return f.cfg.Datacenter }
func (f *facts) IsServer() bool     { return f.server != nil }

func (f *facts) Join(addrs []string) (int, error) {
	return f.server.Join(withPort(addrs, defaultSerfPort))
}

func (f *facts) ForceLeave(name string, _ bool) error {
	f.server.ForceLeave(name) // one that is not known has left already
	return nil
}

func (f *facts) Servers() []string {
	if f.client != nil {
		return f.client.Servers()
	}
	return []string{f.server.Addr()}
}

func (f *facts) SetServers(addrs []string) error {
	if f.client == nil {
		return model.Errorf(model.ErrUnsupported, "this agent is a server itself and knows no others")
	}
	f.client.SetServers(withPort(addrs, defaultRPCPort))
	return nil
}

// Reload asks for what SIGHUP does: whoever started the agent reads the files
// again and hands the result to it.
func (f *facts) Reload() error { return unix.Kill(os.Getpid(), unix.SIGHUP) }

// Self is the body of /v1/agent/self.
func (f *facts) Self() map[string]any {
	return map[string]any{"config": f.config(), "member": f.member(), "stats": f.stats()}
}

// versionInfo is the version within the configuration.
type versionInfo struct {
	Version           string
	VersionPrerelease string
	VersionMetadata   string
	Revision          string
	BuildDate         time.Time
}

// config is the part of the configuration that clients of the API look at,
// without secrets.
func (f *facts) config() map[string]any {
	c := f.cfg
	server, client := c.Server, c.Client
	server.EncryptKey, client.IntroToken = "", ""
	return map[string]any{
		"ACL":                    c.ACL.Enabled,
		"Addresses":              c.Addresses,
		"AdvertiseAddrs":         c.AdvertiseAddrs,
		"BindAddr":               c.BindAddr,
		"Client":                 client,
		"DataDir":                c.DataDir,
		"Datacenter":             c.Datacenter,
		"DevMode":                c.DevMode,
		"EnableDebug":            c.EnableDebug,
		"HTTPAPIResponseHeaders": c.HTTPAPIResponseHeaders,
		"LeaveOnInt":             c.LeaveOnInterrupt,
		"LeaveOnTerm":            c.LeaveOnTerminate,
		"LogJson":                c.LogJSON,
		"LogLevel":               c.LogLevel,
		"NodeName":               c.NodeName,
		"PluginDir":              c.PluginDir,
		"Ports":                  c.Ports,
		"Region":                 c.Region,
		"Server":                 server,
		"Telemetry":              c.Telemetry,
		"Version":                versionInfo{Version: version.Version, Revision: version.Revision()},
	}
}

func (f *facts) member() *rpc.Member {
	none := &rpc.Member{Status: "none"}
	if f.server == nil {
		return none
	}
	resp, err := rpc.StatusMembers.Call(context.Background(), f.server.Caller(), &rpc.StatusRequest{})
	if err != nil {
		return none
	}
	for _, m := range resp.Members {
		if m.Name == f.cfg.NodeName+"."+f.cfg.Region {
			return m
		}
	}
	return none
}

// stats are counters for people, as texts.
func (f *facts) stats() map[string]map[string]string {
	out := map[string]map[string]string{}
	if f.server != nil {
		out = f.server.Stats()
	}
	if f.node != nil {
		out["client"] = map[string]string{
			"node_id": string(f.node.NodeID()), "known_servers": strings.Join(f.Servers(), ","),
		}
	}
	out["runtime"] = map[string]string{
		"arch":        runtime.GOARCH,
		"cpu_count":   strconv.Itoa(runtime.NumCPU()),
		"goroutines":  strconv.Itoa(runtime.NumGoroutine()),
		"kernel.name": runtime.GOOS,
		"max_procs":   strconv.Itoa(runtime.GOMAXPROCS(0)),
		"version":     runtime.Version(),
	}
	return out
}
