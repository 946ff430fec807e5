package supervised

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

func TestParseSignal(t *testing.T) {
	cases := []struct {
		name string
		want syscall.Signal
	}{
		{"SIGTERM", syscall.SIGTERM}, {"sighup", syscall.SIGHUP}, {"INT", syscall.SIGINT}, {"9", syscall.SIGKILL},
		{"", 0}, {"SIG", 0}, {"SIGNONSENSE", 0}, {"0", 0}, {"-1", 0}, {"999", 0},
	}
	for _, c := range cases {
		got, err := ParseSignal(c.name)
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%q: %v, %v", c.name, got, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	task := &driver.TaskConfig{Env: map[string]string{"B": "2", "A": "1", "AWS_KEY": "x", "MY_TOKEN": "y", "HOME": "z", "XSECRETX": "s"}}
	got := Environment(task, "AWS_*", "*_TOKEN", "HOME", "*SECRET*")
	if d := cmp.Diff([]string{"A=1", "B=2"}, got); d != "" {
		t.Error(d)
	}
}

func TestLimits(t *testing.T) {
	resources := func(limit, memory, most, shares int64) *driver.TaskConfig {
		return &driver.TaskConfig{Resources: &driver.Resources{
			LinuxResources: &driver.LinuxResources{MemoryLimitBytes: limit << 20, CpuShares: shares},
			AllocatedResources: &driverpb.AllocatedTaskResources{
				Memory: &driverpb.AllocatedMemoryResources{MemoryMb: memory, MemoryMaxMb: most}},
		}}
	}
	cases := []struct {
		name string
		task *driver.TaskConfig
		want process.Limits
	}{
		{"nothing", &driver.TaskConfig{}, process.Limits{}},
		{"memory", resources(64, 64, 0, 100), process.Limits{MemoryBytes: 64 << 20, CPUShares: 100}},
		{"memory_max", resources(128, 64, 128, 100), process.Limits{MemoryBytes: 128 << 20, MemoryReserveBytes: 64 << 20, CPUShares: 100}},
		{"no limit", resources(64, 64, -1, 100), process.Limits{CPUShares: 100}},
		{"few shares", resources(0, 0, 0, 1), process.Limits{CPUShares: 2}},
		{"many shares", resources(0, 0, 0, 1<<30), process.Limits{CPUShares: 262144}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, Limits(c.task)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestIDRanges(t *testing.T) {
	r, err := ParseIDRanges(" 0, 1000-1999,3 ")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[uint32]bool{0: true, 1: false, 3: true, 999: false, 1000: true, 1999: true, 2000: false} {
		if r.Contains(id) != want {
			t.Errorf("%d: %v", id, !want)
		}
	}
	for _, bad := range []string{"x", "5-1", "-1", "1-", "1,y"} {
		if _, err := ParseIDRanges(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	d, err := ParseDenied("0", "5-6")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []process.Credential{{UID: 0}, {UID: 1, GID: 5}, {UID: 1, GID: 1, Groups: []uint32{6}}} {
		if d.Check(c) == nil {
			t.Errorf("%+v was allowed", c)
		}
	}
	if err := d.Check(process.Credential{UID: 1, GID: 1, Groups: []uint32{7}}); err != nil {
		t.Error(err)
	}
	if _, err := ParseDenied("x", "y"); err == nil || !strings.Contains(err.Error(), "denied_host_uids") || !strings.Contains(err.Error(), "denied_host_gids") {
		t.Errorf("not all faults: %v", err)
	}
}

func FuzzParseIDRanges(f *testing.F) {
	f.Add("0,1-2")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseIDRanges(text)
		if err != nil {
			return
		}
		for _, v := range r {
			if v.First > v.Last || !r.Contains(v.First) || !r.Contains(v.Last) {
				t.Errorf("%q: %+v", text, v)
			}
		}
	})
}

func TestLookupUser(t *testing.T) {
	dir := t.TempDir()
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	if err := os.WriteFile(passwd, []byte("root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(group, []byte("video:x:44:web\nnone:x:45:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := LookupUser("web", passwd, group)
	want := &User{Credential: process.Credential{UID: 33, GID: 34, Groups: []uint32{44}}, Name: "web", Home: "/srv"}
	if err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v, %s", err, cmp.Diff(want, got))
	}
	if got, err := LookupUser("80001", passwd, group); err != nil || got.UID != 80001 || got.Name != "" {
		t.Errorf("number: %+v, %v", got, err)
	}
	if _, err := LookupUser("nobody", passwd, group); err == nil {
		t.Error("found nobody")
	}
}

func TestCoreMHz(t *testing.T) {
	node := &driver.Node{Topology: &driver.Topology{}}
	if CoreMHz(nil) <= 0 || CoreMHz(node) <= 0 {
		t.Error("no speed without a topology")
	}
	node.Topology.Cores = append(node.Topology.Cores, nil, nil)
	node.Topology.OverrideTotalCompute = 5000
	if got := CoreMHz(node); got != 2500 {
		t.Errorf("%v MHz", got)
	}
}
