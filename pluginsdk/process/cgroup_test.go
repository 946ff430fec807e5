package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// files makes a directory with the control files of a cgroup.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[e.Name()] = string(b)
	}
	return m
}

// The machine that runs the tests mounts one version only, so both are tried
// on plain directories.
func TestLimits(t *testing.T) {
	limits := Limits{CPUShares: 1024, CPUs: "0-1", MemoryBytes: 1 << 20, MemoryReserveBytes: 1 << 19, PIDs: 7}
	t.Run("v2", func(t *testing.T) {
		dir := files(t, map[string]string{"cpu.weight": "", "cpuset.cpus": "", "memory.max": "", "memory.low": "", "memory.swap.max": "", "pids.max": ""})
		if err := (&Cgroup{Unified: dir}).SetLimits(limits); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"cpu.weight": "100", "cpuset.cpus": "0-1", "memory.max": "1048576", "memory.low": "524288", "memory.swap.max": "0", "pids.max": "7"}
		if d := cmp.Diff(want, contents(t, dir)); d != "" {
			t.Error(d)
		}
	})
	t.Run("v1", func(t *testing.T) {
		dir := files(t, map[string]string{"cpu.shares": "", "cpuset.cpus": "", "memory.limit_in_bytes": "", "memory.soft_limit_in_bytes": "", "pids.max": ""})
		c := &Cgroup{V1: map[string]string{"cpu": dir, "cpuset": dir, "memory": dir, "pids": dir}}
		if err := c.SetLimits(limits); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"cpu.shares": "1024", "cpuset.cpus": "0-1", "memory.limit_in_bytes": "1048576", "memory.soft_limit_in_bytes": "524288", "pids.max": "7"}
		if d := cmp.Diff(want, contents(t, dir)); d != "" {
			t.Error(d)
		}
	})
	t.Run("missing controller", func(t *testing.T) {
		err := (&Cgroup{Unified: t.TempDir()}).SetLimits(Limits{MemoryBytes: 1})
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "limit memory") {
			t.Errorf("error %v", err)
		}
	})
}

func TestFiguresOfCgroupV2(t *testing.T) {
	dir := files(t, map[string]string{
		"cpu.stat":            "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_throttled 4\nthrottled_usec 5\n",
		"memory.current":      "100\n",
		"memory.peak":         "200\n",
		"memory.swap.current": "3\n",
		"memory.stat":         "anon 40\nfile 50\nkernel 6\nfile_mapped 7\n",
		"memory.events":       "low 0\noom 1\noom_kill 2\n",
	})
	c := &Cgroup{Unified: dir}
	got, err := c.Usage()
	if err != nil {
		t.Fatal(err)
	}
	got.At = time.Time{}
	want := Usage{CPUTotal: 3 * time.Millisecond, CPUUser: 2 * time.Millisecond, CPUSystem: time.Millisecond,
		ThrottledPeriods: 4, ThrottledTime: 5 * time.Microsecond,
		RSS: 47, Cache: 50, Kernel: 6, Usage: 100, MaxUsage: 200, Swap: 3, Source: FromCgroupV2}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if n := c.OOMKills(); n != 2 {
		t.Errorf("%d OOM kills", n)
	}
}

func TestPinned(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root to make a cgroup")
	}
	spec := shell(t, "grep Cpus_allowed_list /proc/self/status | tr -d '\\t'")
	spec.Cgroup = newCgroup(t, Limits{CPUs: "0"})
	spec.Stdout = filepath.Join(t.TempDir(), "out")
	out := fifo(t, spec.Stdout)
	wait(t, start1(t, spec))
	if got := out(); got != "Cpus_allowed_list:0\n" {
		t.Errorf("%q", got)
	}
}

func TestKillAndRemove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root to make a cgroup")
	}
	spec := shell(t, "for i in 1 2 3; do setsid sleep 1000 & done; wait")
	start1(t, spec)
	eventually(t, "four processes", func() bool { pids, _ := spec.Cgroup.PIDs(); return len(pids) == 4 })
	below := filepath.Join(spec.Cgroup.listing(), "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := spec.Cgroup.Kill(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "removal", func() bool { return spec.Cgroup.Remove() == nil })
	if _, err := os.Stat(below); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cgroup remains: %v", err)
	}
}

func TestSweep(t *testing.T) {
	folder, anchor := t.TempDir(), t.TempDir()
	run := func(anchor string) *Process {
		spec := shell(t, "exec sleep 1000")
		spec.StateDir = StateDir(folder, anchor, "web", time.Now().String())
		spec.Anchor = anchor
		return start1(t, spec)
	}
	keep, orphan := run(anchor), run(filepath.Join(anchor, "gone"))
	unfinished := Record{ID: "unfinished", BootID: BootID(), StateDir: StateDir(folder, "x", "web", "1"), StarterPID: 1 << 30, StarterStartTime: 1}
	lost := Record{ID: "lost", BootID: "another boot", PID: 2, StateDir: StateDir(folder, "y", "web", "1"), Anchor: anchor}
	for _, r := range []Record{unfinished, lost} {
		if err := os.MkdirAll(r.StateDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := r.save(); err != nil {
			t.Fatal(err)
		}
	}
	if err := Sweep(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	if !keep.Running() {
		t.Error("a task with an anchor was swept")
	}
	if exit := wait(t, orphan); exit.Success() {
		t.Errorf("the orphan: %+v", exit)
	}
	for _, dir := range []string{orphan.Record().StateDir, unfinished.StateDir, lost.StateDir} {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s remains: %v", dir, err)
		}
	}
	if err := Sweep(t.Context(), filepath.Join(folder, "none")); err != nil {
		t.Errorf("no folder: %v", err)
	}
}

// An instance that a dead plugin started gives way to the next one; one of a
// living plugin does not.
func TestSupersede(t *testing.T) {
	folder := t.TempDir()
	spec := shell(t, "exec sleep 1000")
	spec.StateDir = StateDir(folder, "alloc", "web", "1")
	p := start1(t, spec)
	next := StateDir(folder, "alloc", "web", "2")
	if err := Supersede(t.Context(), next); err != nil || !p.Running() {
		t.Fatalf("error %v, running %v", err, p.Running())
	}
	r := p.Record()
	r.StarterPID = 1 << 30
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	if err := Supersede(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if exit := wait(t, p); exit.Success() {
		t.Errorf("exit %+v", exit)
	}
}
