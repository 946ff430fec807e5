//go:build inguest

package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
	"github.com/seraiproject/serai/pluginsdk/process/supervised/supervisedtest"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// mount is where the guest has its only cgroup hierarchy.
const mount = "/sys/fs/cgroup"

// slice is the parent of all tasks' cgroups.
const slice = mount + "/serai.slice"

func TestMain(m *testing.M) {
	code := m.Run()
	if left := leftovers(); len(left) > 0 {
		fmt.Printf("--- FAIL: leftovers\n    left behind by all tests: %q\n", left)
		code = 1
	}
	os.Exit(code)
}

// plugins are the drivers under test, and how they are set up.
var plugins = []struct {
	name   string
	config map[string]any
}{
	{"exec", map[string]any{"pids_limit": 24}},
	{"raw_exec", map[string]any{"enabled": true}},
}

// both runs a test with each driver, and sees to it that nothing is left.
func both(t *testing.T, test func(t *testing.T, h *supervisedtest.Host, name string)) {
	for _, p := range plugins {
		t.Run(p.name, func(t *testing.T) {
			t.Cleanup(func() {
				if left := leftovers(); len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
			})
			binary, err := filepath.Abs("plugins/" + p.name)
			if err != nil {
				t.Fatal(err)
			}
			test(t, supervisedtest.New(t, binary, p.config), p.name)
		})
	}
}

// leftovers are cgroups, state directories, mounts and supervisors of tasks.
func leftovers() []string {
	var all []string
	for _, pattern := range []string{slice + "/*/cgroup.procs", "/run/serai/*/*/*"} {
		found, err := filepath.Glob(pattern)
		all = append(all, found...)
		if err != nil {
			all = append(all, err.Error())
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		all = append(all, err.Error())
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "serai") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range commands {
		// A process that has ended meanwhile has no command line.
		if b, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(b), process.SupervisorName) {
			all = append(all, file+": "+strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return all
}

// shell is the config of a task that runs a script.
func shell(script string) map[string]any {
	return map[string]any{"command": "sh", "args": []string{"-c", script}}
}

// start runs a script that says "up" when it is ready, and waits for that.
func start(t *testing.T, h *supervisedtest.Host, script string, edit func(*driver.TaskConfig)) *supervisedtest.Task {
	t.Helper()
	task := h.Run(t, shell(script), edit)
	supervisedtest.Eventually(t, "the task to be up", func() bool { return strings.Contains(task.Stdout(), "up\n") })
	return task
}

// megabytes gives a task resources as an agent sends them.
func megabytes(memory, most, shares int64, cores string) func(*driver.TaskConfig) {
	return func(c *driver.TaskConfig) {
		c.Resources = &driver.Resources{
			LinuxResources: &driver.LinuxResources{MemoryLimitBytes: max(memory, most) << 20, CpuShares: shares, CpusetCpus: cores},
			AllocatedResources: &driverpb.AllocatedTaskResources{
				Memory: &driverpb.AllocatedMemoryResources{MemoryMb: memory, MemoryMaxMb: most}},
		}
	}
}

// pid reads a process id among the facts that a driver tells of a task.
func pid(t *testing.T, task *supervisedtest.Task, key string) int {
	t.Helper()
	n, err := strconv.Atoi(task.Attributes()[key])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// cgroup is the directory of the cgroup that a process is in.
func cgroup(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	path, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "0::")
	if !ok {
		t.Fatalf("process %d is in %q: not one cgroup of version 2", pid, b)
	}
	return filepath.Join(mount, path)
}

// read is a control file's content.
func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// processes are the members of a cgroup.
func processes(t *testing.T, dir string) []int {
	t.Helper()
	var pids []int
	for field := range strings.FieldsSeq(read(t, dir, "cgroup.procs")) {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, n)
	}
	slices.Sort(pids)
	return pids
}

func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
