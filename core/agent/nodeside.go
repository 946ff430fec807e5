package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/seraiproject/serai/core/agent/config"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node"
	"github.com/seraiproject/serai/core/node/pluginhost"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/version"
)

func (a *agent) startNode(ctx context.Context, caller rpc.Caller) (*node.Node, error) {
	c := a.cfg
	cl := c.Client
	cores, err := cpuList(cl.Reserved.Cores)
	if err != nil {
		return nil, fmt.Errorf("client.reserved.cores: %w", err)
	}
	reservable, err := cpuList(cl.ReservableCores)
	if err != nil {
		return nil, fmt.Errorf("client.reservable_cores: %w", err)
	}
	var networks []model.HostNetworkConfig
	for _, h := range cl.HostNetworks {
		networks = append(networks, model.HostNetworkConfig{
			Name: h.Name, CIDR: h.CIDR, Interface: h.Interface, ReservedPorts: h.ReservedPorts,
		})
	}
	n, err := node.New(node.Config{
		Name: c.NodeName, Region: c.Region, Datacenter: c.Datacenter,
		NodeClass: cl.NodeClass, NodePool: cl.NodePool, Meta: cl.Meta,
		StateDir: cl.StateDir, AllocDir: cl.AllocDir,
		PluginDir: c.PluginDir, Plugins: pluginBlocks(c),
		DriverAllow: list(cl.Options["driver.allowlist"]), DriverDeny: list(cl.Options["driver.denylist"]),
		EnvDeny:  list(cl.Options["env.denylist"]),
		UserDeny: list(cl.Options["user.denylist"]), UserCheckedDrivers: list(cl.Options["user.checked_drivers"]),
		HTTPAddr:         c.AdvertiseAddrs.HTTP,
		NetworkInterface: cl.NetworkInterface, PreferredAddressFamily: cl.PreferredAddressFamily, HostNetworks: networks,
		CPUTotalCompute: cl.CPUTotalCompute, MemoryTotalMB: cl.MemoryTotalMB, DiskTotalMB: cl.DiskTotalMB,
		ReservableCores: reservable,
		Reserved: node.Reserved{
			CPU: cl.Reserved.CPU, Cores: cores, MemoryMB: cl.Reserved.MemoryMB, DiskMB: cl.Reserved.DiskMB,
			Ports: cl.Reserved.ReservedPorts,
		},
		MinDynamicPort: cl.MinDynamicPort, MaxDynamicPort: cl.MaxDynamicPort,
		ClientMinPort: cl.ClientMinPort, ClientMaxPort: cl.ClientMaxPort, NodeMaxAllocs: cl.NodeMaxAllocs,
		CgroupParent: cl.CgroupParent, DefaultIneligible: cl.DefaultIneligible,
		MaxKillTimeout: cl.MaxKillTimeout, GCInterval: cl.GCInterval, GCMaxAllocs: cl.GCMaxAllocs,
		GCDiskUsageThreshold: cl.GCDiskUsageThreshold, DisableRemoteExec: cl.DisableRemoteExec,
		NoServiceDiscovery: !cl.NomadServiceDiscovery,
		Ephemeral:          c.DevMode,
		Version:            version.Version, NomadVersion: version.Compat,
	}, caller, a.log.With(subsystem, "node"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	a.stopNode = func() {
		cancel()
		<-done
	}
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil {
			a.failed <- fmt.Errorf("run node: %w", err)
		}
	}()
	return n, nil
}

// pluginBlocks are what the configuration says of plugins, the older client
// options and chroot_env among it. A plugin block wins over them.
func pluginBlocks(c *config.Config) []pluginhost.Block {
	var blocks []pluginhost.Block
	for _, p := range c.Plugins {
		blocks = append(blocks, pluginhost.Block{Name: p.Name, Args: p.Args, Config: p.Config})
	}
	add := func(plugin, key string, value any) {
		i := slices.IndexFunc(blocks, func(b pluginhost.Block) bool { return b.Name == plugin })
		if i < 0 {
			blocks = append(blocks, pluginhost.Block{Name: plugin})
			i = len(blocks) - 1
		}
		if _, set := blocks[i].Config[key]; set {
			return
		}
		blocks[i].Config = maps.Clone(blocks[i].Config)
		if blocks[i].Config == nil {
			blocks[i].Config = map[string]any{}
		}
		blocks[i].Config[key] = value
	}
	if on, err := strconv.ParseBool(c.Client.Options["driver.raw_exec.enable"]); err == nil && on {
		add("raw_exec", "enabled", true)
	}
	if len(c.Client.ChrootEnv) > 0 {
		env := map[string]any{}
		for from, to := range c.Client.ChrootEnv {
			env[from] = to
		}
		add("exec", "chroot_env", env)
	}
	return blocks
}

// list splits a client option; nil for none.
func list(option string) []string {
	var out []string
	for e := range strings.SplitSeq(option, ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

// cpuList parses "0-3,7"; nil for "".
func cpuList(text string) ([]uint16, error) {
	var out []uint16
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		lo, err1 := strconv.ParseUint(from, 10, 16)
		hi, err2 := strconv.ParseUint(to, 10, 16)
		if err1 != nil || err2 != nil || lo > hi {
			return nil, fmt.Errorf("%q is neither a core nor a range such as 0-3", part)
		}
		for n := lo; n <= hi; n++ {
			out = append(out, uint16(n))
		}
	}
	return out, nil
}
