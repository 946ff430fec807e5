package fingerprint

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
)

func TestThisMachine(t *testing.T) {
	start := time.Now()
	r, err := Run(&Config{
		AllocDir: t.TempDir(), NetworkInterface: "lo", NomadVersion: "2.0.6", Version: "0.1.0", ServiceDiscovery: true,
		MinDynamicPort: 20000, MaxDynamicPort: 32000, AdvertiseAddress: "127.0.0.1:4646",
		HostNetworks: []model.HostNetworkConfig{{Name: "inside", CIDR: "127.0.0.0/8"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 100*time.Millisecond {
		t.Errorf("took %v; a node must be ready in 500 ms", d)
	}
	for _, name := range []string{
		"cpu.arch", "cpu.numcores", "cpu.frequency", "cpu.totalcompute", "memory.totalbytes", "kernel.name", "kernel.version",
		"kernel.arch", "os.name", "os.signals", "unique.hostname", "unique.host_id", "unique.network.ip-address", "nomad.version",
		"nomad.service_discovery", "unique.storage.volume", "unique.storage.bytestotal", "unique.advertise.address", "numa.node.count",
	} {
		if r.Attributes[name] == "" {
			t.Errorf("attribute %s is missing", name)
		}
	}
	if got := r.Attributes["kernel.name"]; got != runtime.GOOS {
		t.Errorf("kernel.name = %s", got)
	}
	res := r.Resources
	if res.Cpu.CpuShares <= 0 || res.Cpu.TotalCpuCores == 0 || res.Memory.MemoryMB <= 0 || res.Disk.DiskMB <= 0 {
		t.Errorf("resources %+v", res)
	}
	if res.Networks[0].IP != "127.0.0.1" || res.Networks[0].CIDR != "127.0.0.1/32" || res.Networks[0].MBits != 1000 {
		t.Errorf("network %+v", res.Networks[0])
	}
	var aliases []string
	for _, n := range res.NodeNetworks {
		for _, a := range n.Addresses {
			if a.Family == "ipv4" {
				aliases = append(aliases, n.Device+" "+a.Alias+" "+a.Address)
			}
		}
	}
	if d := cmp.Diff([]string{"lo default 127.0.0.1", "lo inside 127.0.0.1"}, aliases); d != "" {
		t.Error(d)
	}
	for _, s := range []string{"SIGINT", "SIGHUP", "SIGUSR1", "SIGKILL", "SIGTERM"} {
		if !strings.Contains(","+r.Attributes["os.signals"]+",", ","+s+",") {
			t.Errorf("os.signals lacks %s", s)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	_, err := Run(&Config{AllocDir: t.TempDir(), NetworkInterface: "nope0"})
	if err == nil || !strings.Contains(err.Error(), "no interface nope0; correct client.network_interface") {
		t.Error(err)
	}
}

func TestParseList(t *testing.T) {
	for in, want := range map[string][]uint16{
		"": nil, "0": {0}, "0-2,7": {0, 1, 2, 7}, "3-1": nil, "x,2": {2}, " 1 , 3 ": {1, 3},
	} {
		if d := cmp.Diff(want, ParseList(in)); d != "" {
			t.Errorf("%q: %s", in, d)
		}
	}
}
