package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seraiproject/serai/core/model"
)

func TestTaskCgroup(t *testing.T) {
	parent := "serai-test-" + model.NewUUID()[:8]
	m, err := New(parent)
	if err != nil {
		t.Fatal(err)
	}
	if m == nil {
		if os.Geteuid() == 0 {
			if _, err := os.Stat("/sys/fs/cgroup/cpuset"); err == nil {
				t.Fatal("root and no manager")
			}
		}
		if m.Parent() != "" {
			t.Error("a parent without a hierarchy")
		}
		return
	}
	t.Cleanup(func() {
		for _, dir := range []string{m.share, m.reserve, ""} {
			if err := os.Remove(filepath.Join(m.parent, dir)); err != nil {
				t.Error(err)
			}
		}
	})
	if m.Parent() != parent {
		t.Errorf("parent %q", m.Parent())
	}
	for name, cores := range map[string][]uint16{"web server": nil, "pinned": {0}} {
		dir, err := m.Create("a", name, cores)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := m.Create("a", name, cores); err != nil || again != dir {
			t.Errorf("again: %s, %v", again, err)
		}
		if !strings.Contains(dir, "/"+parent+"/") || !strings.HasSuffix(strings.TrimSuffix(dir, ".scope"), "/a."+name) {
			t.Errorf("path %s", dir)
		}
		cpus, err := os.ReadFile(filepath.Join(dir, "cpuset.cpus"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(cpus)); cores != nil && got != "0" {
			t.Errorf("cores %q", got)
		}
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(cmd.Process.Pid)); err != nil {
			t.Fatal(err)
		}
		waited := make(chan error, 1)
		go func() { waited <- cmd.Wait() }()
		if n, err := m.Kill("a", name); n != 1 || err != nil {
			t.Errorf("killed %d, %v", n, err)
		}
		<-waited
		if n, err := m.Kill("a", name); n != 0 || err != nil {
			t.Errorf("second time: killed %d, %v", n, err)
		}
		// A driver may leave cgroups of its own inside.
		if err := os.Mkdir(filepath.Join(dir, "inner"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := m.Remove("a", name); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("still there: %v", err)
		}
		if err := m.Remove("a", name); err != nil {
			t.Errorf("second time: %v", err)
		}
	}
}
