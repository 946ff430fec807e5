package rawexec_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
	"github.com/seraiproject/serai/pluginsdk/process/supervised"
	"github.com/seraiproject/serai/pluginsdk/process/supervised/supervisedtest"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "raw_exec")
	if err == nil {
		binary, err = supervisedtest.Build(dir, "cmd/serai-driver-raw_exec")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newHost(t testing.TB) *supervisedtest.Host {
	return supervisedtest.New(t, binary, map[string]any{"enabled": true})
}

func shell(script string) map[string]any {
	return map[string]any{"command": "sh", "args": []string{"-c", script}}
}

func TestRun(t *testing.T) {
	h := newHost(t)
	cases := []struct {
		name, script string
		want         driver.ExitResult
		stdout       string
		stderr       string
	}{
		{"success", "echo out; echo err >&2", driver.ExitResult{}, "out\n", "err\n"},
		{"exit code", "exit 7", driver.ExitResult{Code: 7}, "", ""},
		{"signal", "kill -9 $$", driver.ExitResult{Code: 137, Signal: 9}, "", ""},
		{"directory", `[ "$PWD" = "$(readlink -f /proc/self/cwd)" ] && basename "$PWD"`, driver.ExitResult{}, "web\n", ""},
		{"environment", "echo $NOMAD_TASK_NAME", driver.ExitResult{}, "web\n", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			task := h.Run(t, shell(c.script), nil)
			if d := cmp.Diff(c.want, task.Wait()); d != "" {
				t.Error(d)
			}
			if got := task.Output(); got != c.stdout {
				t.Errorf("stdout %q", got)
			}
			if got := task.Stderr(); got != c.stderr {
				t.Errorf("stderr %q", got)
			}
		})
	}
}

func TestStopAndSignal(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell(`trap 'echo hup' HUP; trap 'echo int; exit 3' INT; echo up; while :; do sleep 0.01; done`), nil)
	supervisedtest.Eventually(t, "start", func() bool { return strings.Contains(task.Stdout(), "up\n") })
	if err := h.Client.SignalTask(t.Context(), task.Config.GetId(), "SIGHUP"); err != nil {
		t.Fatal(err)
	}
	supervisedtest.Eventually(t, "SIGHUP", func() bool { return strings.Contains(task.Stdout(), "hup\n") })
	if err := h.Client.SignalTask(t.Context(), task.Config.GetId(), "SIGNONSENSE"); err == nil || !strings.Contains(err.Error(), "unknown signal") {
		t.Errorf("nonsense signal: %v", err)
	}
	if err := h.Client.StopTask(t.Context(), task.Config.GetId(), supervisedtest.Patience, ""); err != nil {
		t.Fatal(err)
	}
	if got := task.Wait(); got.Code != 3 {
		t.Errorf("result %+v", got)
	}
}

// A plugin that is killed finds its task again, and the exit code even if the
// task ended in between.
func TestPluginKilled(t *testing.T) {
	for _, between := range []bool{false, true} {
		t.Run(fmt.Sprintf("ends in between=%v", between), func(t *testing.T) {
			h := newHost(t)
			task := h.Run(t, shell("echo up; read x <go; echo done; exit 9"), func(c *driver.TaskConfig) {
				if err := syscall.Mkfifo(filepath.Join(driver.Dirs(c).Task, "go"), 0o600); err != nil {
					t.Fatal(err)
				}
			})
			supervisedtest.Eventually(t, "start", func() bool { return task.Stdout() == "up\n" })
			before := task.Attributes()
			finish := func() {
				if err := os.WriteFile(filepath.Join(driver.Dirs(task.Config).Task, "go"), []byte("\n"), 0); err != nil {
					t.Fatal(err)
				}
			}
			h.Kill()
			if between {
				finish()
				pid, _ := strconv.Atoi(before["supervisor_pid"])
				supervisedtest.Eventually(t, "the end of the supervisor", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
			}
			h.Restart()
			if err := task.Recover(); err != nil {
				t.Fatal(err)
			}
			if !between {
				if after := task.Attributes(); after["pid"] != before["pid"] || after["supervisor_pid"] != before["supervisor_pid"] {
					t.Errorf("recovered as %v, was %v", after, before)
				}
				finish()
			}
			if got := task.Wait(); got.Code != 9 {
				t.Errorf("result %+v", got)
			}
			if got := task.Output(); got != "up\ndone\n" {
				t.Errorf("output %q", got)
			}
		})
	}
}

// A plugin that dies among many starts: what the host heard of is recovered,
// the rest goes when its directories have gone.
func TestPluginKilledDuringStarts(t *testing.T) {
	for _, after := range []time.Duration{3, 8, 20} {
		h := newHost(t)
		var tasks []*supervisedtest.Task
		var starts sync.WaitGroup
		for range 20 {
			task := h.Task(t, map[string]any{"command": "/bin/sleep", "args": []string{"1000"}}, nil)
			tasks = append(tasks, task)
		}
		for _, task := range tasks {
			starts.Go(func() { _ = task.Start() })
		}
		timer := time.NewTimer(after * time.Millisecond)
		<-timer.C
		h.Kill()
		starts.Wait()
		var unheard []*supervisedtest.Task
		for _, task := range tasks {
			if task.Handle == nil {
				unheard = append(unheard, task)
				if err := os.RemoveAll(task.Config.GetAllocDir()); err != nil {
					t.Fatal(err)
				}
			}
		}
		h.Restart()
		for _, task := range tasks {
			if task.Handle == nil {
				continue
			}
			if err := task.Recover(); err != nil {
				t.Errorf("recover: %v", err)
			} else if pid, _ := strconv.Atoi(task.Attributes()["pid"]); syscall.Kill(pid, 0) != nil {
				t.Errorf("recovered task %d is not there", pid)
			}
		}
		for _, task := range unheard {
			stateDir := process.StateDir(supervised.StateFolder("raw_exec"), task.Config.GetAllocDir(), task.Config.GetName(), task.Config.GetId())
			cgroup, err := process.CgroupAt(supervised.CgroupName("raw_exec", stateDir))
			if err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{stateDir, cgroup.Unified, cgroup.V1["memory"]} {
				if _, err := os.Stat(dir); dir != "" && err == nil {
					t.Errorf("killed after %d ms: %s remains", after, dir)
				}
			}
		}
		t.Logf("killed after %d ms: %d of %d starts were heard of", after, len(tasks)-len(unheard), len(tasks))
	}
}

func TestExec(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("sleep 1000"), nil)
	var out, errs bytes.Buffer
	got, err := task.Exec(driver.ExecCommand{Args: []string{"sh", "-c", "cat; echo $NOMAD_TASK_NAME; echo err >&2; exit 4"},
		Stdin: strings.NewReader("in\n"), Stdout: &out, Stderr: &errs})
	if err != nil || got.Code != 4 || out.String() != "in\nweb\n" || errs.String() != "err\n" {
		t.Errorf("result %+v, %v, stdout %q, stderr %q", got, err, &out, &errs)
	}
	out.Reset()
	resize := make(chan driver.TerminalSize, 1)
	resize <- driver.TerminalSize{Height: 33, Width: 111}
	got, err = task.Exec(driver.ExecCommand{Args: []string{"sh", "-c", "tty >/dev/null && until [ \"$(stty size)\" = '33 111' ]; do sleep 0.01; done; echo sized"},
		TTY: true, Resize: resize, Stdout: &out})
	if err != nil || got.Code != 0 || out.String() != "sized\r\n" {
		t.Errorf("tty: result %+v, %v, output %q", got, err, &out)
	}
	if _, err := task.Exec(driver.ExecCommand{Args: []string{"no-such-command"}}); err == nil {
		t.Error("a missing command ran")
	}
}

func TestStats(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("while :; do :; done"), nil)
	ctx, cancel := context.WithTimeout(t.Context(), supervisedtest.Patience)
	defer cancel()
	for u, err := range h.Client.TaskStats(ctx, task.Config.GetId(), 150*time.Millisecond) {
		if err != nil {
			t.Fatal(err)
		}
		if u.CPU.GetPercent() > 20 && u.CPU.GetTotalTicks() > 0 && u.Memory.GetRss() > 0 && u.Memory.GetUsage() > 0 {
			return
		}
	}
	t.Error("no plausible figures")
}

func TestLimitsAndLeftovers(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("setsid sleep 1000 & cat /proc/self/cgroup; echo end; wait"), func(c *driver.TaskConfig) {
		c.Resources = &driver.Resources{LinuxResources: &driver.LinuxResources{CpuShares: 250, MemoryLimitBytes: 64 << 20}}
	})
	supervisedtest.Eventually(t, "start", func() bool { return strings.Contains(task.Stdout(), "end\n") })
	limits := map[string]string{"memory.limit_in_bytes": strconv.Itoa(64 << 20), "cpu.shares": "250",
		"memory.max": strconv.Itoa(64 << 20)}
	found := 0
	var dirs []string
	for line := range strings.Lines(task.Stdout()) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || !strings.Contains(parts[2], "serai") {
			continue
		}
		controller := strings.TrimPrefix(parts[1], "name=")
		for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/" + controller, "/sys/fs/cgroup/unified"} {
			dir := filepath.Join(mount, parts[2])
			if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil {
				continue
			}
			dirs = append(dirs, dir)
			for file, want := range limits {
				if b, err := os.ReadFile(filepath.Join(dir, file)); err == nil {
					found++
					if got := strings.TrimSpace(string(b)); got != want {
						t.Errorf("%s is %s, want %s", file, got, want)
					}
				}
			}
		}
	}
	if found < 2 {
		t.Errorf("found %d limits in %q", found, task.Stdout())
	}
	if err := h.Client.StopTask(t.Context(), task.Config.GetId(), 0, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	task.Wait()
	if err := h.Client.DestroyTask(t.Context(), task.Config.GetId(), false); err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("cgroup %s remains", dir)
		}
	}
}

func TestOOM(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("head -c 300M /dev/zero | tail"), func(c *driver.TaskConfig) {
		c.Resources = &driver.Resources{LinuxResources: &driver.LinuxResources{MemoryLimitBytes: 16 << 20}}
	})
	if got := task.Wait(); !got.OOMKilled {
		t.Errorf("result %+v", got)
	}
}

func TestNetworkNamespace(t *testing.T) {
	h := newHost(t)
	path := supervisedtest.NetworkNamespace(t)
	task := h.Run(t, shell("grep -c : /proc/net/dev; exec sleep 1000"), func(c *driver.TaskConfig) {
		c.NetworkIsolationSpec = &driver.NetworkIsolation{Mode: driver.NetworkGroup, Path: path}
	})
	supervisedtest.Eventually(t, "output", func() bool { return task.Stdout() == "1\n" })
	var out bytes.Buffer
	if got, err := task.Exec(driver.ExecCommand{Args: []string{"grep", "-c", ":", "/proc/net/dev"}, Stdout: &out}); err != nil || got.Code != 0 || out.String() != "1\n" {
		t.Errorf("exec: %+v, %v, %q", got, err, &out)
	}
}

func TestUser(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("id -un; echo again >/dev/stdout; cat /proc/self/oom_score_adj"), func(c *driver.TaskConfig) { c.User = "nobody" })
	task.Wait()
	if got := task.Output(); got != "nobody\nagain\n0\n" {
		t.Errorf("output %q, %s", got, task.Stderr())
	}
}

func TestRefused(t *testing.T) {
	h := supervisedtest.New(t, binary, map[string]any{"enabled": true, "denied_host_uids": "1,65534", "denied_envvars": []string{"SECRET_*"}})
	cases := []struct {
		name   string
		config map[string]any
		user   string
		want   string
	}{
		{"no such command", map[string]any{"command": "no-such-command"}, "", "neither in the task's directory nor in PATH"},
		{"relative work_dir", map[string]any{"command": "true", "work_dir": "x"}, "", "not an absolute path"},
		{"missing work_dir", map[string]any{"command": "true", "work_dir": "/no/such"}, "", "enter the working directory /no/such"},
		{"oom_score_adj", map[string]any{"command": "true", "oom_score_adj": -1}, "", "outside 0..1000"},
		{"two overrides", map[string]any{"command": "true", "cgroup_v2_override": "a", "cgroup_v1_override": []map[string]string{{"cpu": "a"}}}, "", "set only one"},
		{"denied user", map[string]any{"command": "true"}, "nobody", "denied"},
		{"unknown user", map[string]any{"command": "true"}, "no-such-user", "find user"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := h.Task(t, c.config, func(tc *driver.TaskConfig) { tc.User = c.user }).Start()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
	task := h.Run(t, map[string]any{"command": "/usr/bin/env", "denied_envvars": []string{"*_KEY"}}, func(tc *driver.TaskConfig) {
		tc.Env = map[string]string{"SECRET_X": "1", "MY_KEY": "2", "PUBLIC": "3"}
	})
	task.Wait()
	if got := task.Output(); got != "PUBLIC=3\n" {
		t.Errorf("environment %q", got)
	}
}

func TestDisabled(t *testing.T) {
	h := supervisedtest.New(t, binary, nil)
	for f, err := range h.Client.Fingerprint(t.Context()) {
		if err != nil || f.Health != driver.Undetected {
			t.Errorf("fingerprint %+v, %v", f, err)
		}
		break
	}
	if err := h.Task(t, shell("true"), nil).Start(); err == nil || !strings.Contains(err.Error(), "enabled = true") {
		t.Errorf("error %v", err)
	}
}

func BenchmarkStart(b *testing.B) {
	h := newHost(b)
	for b.Loop() {
		b.StopTimer()
		task := h.Task(b, map[string]any{"command": "/bin/true"}, nil)
		b.StartTimer()
		if err := task.Start(); err != nil {
			b.Fatal(err)
		}
	}
}

// Many short tasks at once, each from start to clean-up.
func BenchmarkLife(b *testing.B) {
	h := newHost(b)
	tasks := make(chan *supervisedtest.Task)
	failed := make(chan error, 1)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for task := range tasks {
				err := task.Start()
				if err == nil {
					_, err = h.Client.WaitTask(b.Context(), task.Config.GetId())
				}
				if err == nil {
					err = h.Client.DestroyTask(b.Context(), task.Config.GetId(), true)
				}
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	var ready []*supervisedtest.Task
	for range 200 {
		ready = append(ready, h.Task(b, map[string]any{"command": "/bin/true"}, nil))
	}
	for b.Loop() {
		for _, task := range ready {
			id := task.Config.GetId()
			task.Config.Id = id[:len(id)-8] + uuid.NewString()[:8]
			tasks <- task
		}
	}
	close(tasks)
	workers.Wait()
	b.ReportMetric(float64(b.N*len(ready))/b.Elapsed().Seconds(), "tasks/s")
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
}
