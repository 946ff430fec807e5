//go:build inguest

package inside

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
	"github.com/seraiproject/serai/pluginsdk/process/supervised/supervisedtest"
)

// The tests below would prove nothing on another machine.
func TestMachine(t *testing.T) {
	var fs unix.Statfs_t
	if err := unix.Statfs(mount, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
		t.Fatalf("%s: type %x, %v", mount, fs.Type, err)
	}
	if got := process.CgroupVersion(); got != 2 {
		t.Errorf("cgroup version %d", got)
	}
	offered := strings.Fields(read(t, mount, "cgroup.controllers"))
	for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !slices.Contains(offered, controller) {
			t.Errorf("the kernel offers only %v", offered)
		}
	}
}

func TestLimits(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, name string) {
		task := start(t, h, "grep Cpus_allowed_list /proc/self/status; echo up; exec sleep 1000", megabytes(64, 128, 250, "0"))
		dir := cgroup(t, pid(t, task, "pid"))
		if !strings.HasPrefix(dir, slice+"/"+name+"-") || !strings.HasSuffix(dir, ".scope") {
			t.Errorf("the task is in %s", dir)
		}
		delegated := strings.Fields(read(t, slice, "cgroup.subtree_control"))
		for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
			if !slices.Contains(delegated, controller) {
				t.Errorf("controllers of tasks are %v", delegated)
			}
		}
		pids := map[string]string{"exec": "24", "raw_exec": "max"}
		// 250 shares are below the default of 1024, which is a weight of 100.
		for file, want := range map[string]string{"memory.max": "134217728", "memory.low": "67108864", "memory.high": "max",
			"memory.swap.max": "0", "cpu.weight": "34", "cpu.max": "max 100000", "cpuset.cpus.effective": "0", "pids.max": pids[name]} {
			// A kernel that has no swap has no limit of it.
			if file == "memory.swap.max" && missing(dir+"/"+file) {
				continue
			}
			if got := read(t, dir, file); got != want {
				t.Errorf("%s is %s, want %s", file, got, want)
			}
		}
		if got := task.Stdout(); got != "Cpus_allowed_list:\t0\nup\n" {
			t.Errorf("the task says %q", got)
		}
		if own := cgroup(t, pid(t, task, "supervisor_pid")); strings.HasPrefix(own, dir) {
			t.Errorf("the supervisor is in the task's cgroup %s", own)
		}
	})
}

func TestNoLimits(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, _ string) {
		task := start(t, h, "echo up; exec sleep 1000", nil)
		dir := cgroup(t, pid(t, task, "pid"))
		for file, want := range map[string]string{"memory.max": "max", "memory.low": "0", "cpu.weight": "100", "cpuset.cpus": ""} {
			if got := read(t, dir, file); got != want {
				t.Errorf("%s is %s, want %s", file, got, want)
			}
		}
	})
}

func TestOOM(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, _ string) {
		task := h.Run(t, map[string]any{"command": "dd", "args": []string{"if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"}}, megabytes(16, 0, 100, ""))
		if got, want := task.Wait(), (driver.ExitResult{Code: 137, Signal: 9, OOMKilled: true}); got != want {
			t.Errorf("a task over its limit: %+v, want %+v", got, want)
		}
		task = h.Run(t, shell("dd if=/dev/zero of=/dev/null bs=100M count=1; echo $?; exit 0"), megabytes(16, 0, 100, ""))
		if got := task.Wait(); got.OOMKilled {
			t.Errorf("a task that coped with the loss of a child: %+v", got)
		}
		if got := task.Output(); got != "137\n" {
			t.Errorf("output %q", got)
		}
	})
}

func TestTooManyProcesses(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, name string) {
		task := start(t, h, "(for i in $(seq 40); do sleep 1000 & done) 2>/dev/null; echo up; exec sleep 1000", nil)
		dir := cgroup(t, pid(t, task, "pid"))
		refused := read(t, dir, "pids.events") != "max 0"
		running := len(processes(t, dir))
		if limited := name == "exec"; refused != limited || limited && running > 24 || !limited && running != 41 {
			t.Errorf("%d processes run, refused others: %v", running, refused)
		}
	})
}

// Two tasks on one processor share it by their weights.
func TestShareOfProcessor(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, _ string) {
		used := func(task *supervisedtest.Task) (microseconds float64) {
			_, err := fmt.Sscanf(read(t, cgroup(t, pid(t, task, "pid")), "cpu.stat"), "usage_usec %f", &microseconds)
			if err != nil {
				t.Fatal(err)
			}
			return microseconds
		}
		script := "echo up; while :; do :; done"
		little := start(t, h, script, megabytes(16, 0, 100, "0"))
		much := start(t, h, script, megabytes(16, 0, 4000, "0"))
		little0, much0 := used(little), used(much)
		var littleUsed, muchUsed float64
		supervisedtest.Eventually(t, "two seconds of processor time", func() bool {
			littleUsed, muchUsed = used(little)-little0, used(much)-much0
			return littleUsed+muchUsed > 2e6
		})
		if t.Logf("%.0f and %.0f ms", littleUsed/1e3, muchUsed/1e3); muchUsed < 4*littleUsed {
			t.Errorf("40 times the share brought %.1f times the processor", muchUsed/littleUsed)
		}
	})
}

func TestFigures(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, _ string) {
		task := start(t, h, "x=$(head -c 2097152 /dev/zero | tr '\\0' x); echo up; while :; do :; done", megabytes(64, 0, 500, ""))
		ctx, cancel := context.WithTimeout(t.Context(), supervisedtest.Patience)
		defer cancel()
		for u, err := range h.Client.TaskStats(ctx, task.Config.GetId(), 300*time.Millisecond) {
			if err != nil {
				t.Fatal(err)
			}
			m, c := u.Memory, u.CPU
			if c.GetPercent() < 20 || c.GetTotalTicks() == 0 {
				continue // the task has just begun to be busy
			}
			if m.GetUsage() < 2<<20 || m.GetUsage() > 64<<20 || m.GetMaxUsage() < m.GetUsage() || m.GetRss() < 2<<20 || m.GetKernelUsage() == 0 {
				t.Errorf("memory %v", m)
			}
			// That this one is missing is how version 2 differs.
			if slices.Contains(m.GetMeasuredFields(), driver.MemoryKernelMax) || !slices.Contains(m.GetMeasuredFields(), driver.MemoryMax) {
				t.Errorf("measured %v", m.GetMeasuredFields())
			}
			if c.GetPercent() > 250 || c.GetUserMode() > c.GetPercent()+1 || !slices.Contains(c.GetMeasuredFields(), driver.CPUThrottledTime) {
				t.Errorf("processor %v", c)
			}
			return
		}
		t.Error("no figures of a busy task")
	})
}

// Whatever a task has started ends with it, and its cgroup goes.
func TestKillLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, _ string) {
		task := start(t, h, `trap '' INT TERM HUP
			for i in 1 2 3; do setsid sh -c "trap '' INT TERM HUP; sleep 1000 & while :; do sleep 1000; done" & done
			echo up; while :; do sleep 1000; done`, nil)
		dir, supervisor := cgroup(t, pid(t, task, "pid")), pid(t, task, "supervisor_pid")
		var pids []int
		supervisedtest.Eventually(t, "all processes", func() bool { pids = processes(t, dir); return len(pids) >= 8 })
		if err := h.Client.StopTask(t.Context(), task.Config.GetId(), 200*time.Millisecond, "SIGTERM"); err != nil {
			t.Fatal(err)
		}
		if got := task.Wait(); got.Signal != int(syscall.SIGKILL) || got.OOMKilled {
			t.Errorf("result %+v", got)
		}
		for _, pid := range append(pids, supervisor) {
			supervisedtest.Eventually(t, fmt.Sprintf("the end of process %d", pid), func() bool { return gone(pid) })
		}
		if err := h.Client.DestroyTask(t.Context(), task.Config.GetId(), false); err != nil {
			t.Fatal(err)
		}
		if !missing(dir) {
			t.Errorf("%s remains", dir)
		}
	})
}

// A job may bring a cgroup of its own, which stays.
func TestOwnCgroup(t *testing.T) {
	dir := mount + "/own"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	h := supervisedtest.New(t, "./plugins/raw_exec", map[string]any{"enabled": true})
	config := shell("sleep 1000 & echo up; wait")
	config["cgroup_v2_override"] = "own"
	task := h.Run(t, config, nil)
	supervisedtest.Eventually(t, "the task to be up", func() bool { return task.Stdout() == "up\n" })
	if got := cgroup(t, pid(t, task, "pid")); got != dir {
		t.Errorf("the task is in %s", got)
	}
	if err := h.Client.StopTask(t.Context(), task.Config.GetId(), 0, ""); err != nil {
		t.Fatal(err)
	}
	task.Wait()
	if err := h.Client.DestroyTask(t.Context(), task.Config.GetId(), true); err != nil {
		t.Fatal(err)
	}
	supervisedtest.Eventually(t, "the end of the task's processes", func() bool { return len(processes(t, dir)) == 0 })
}
