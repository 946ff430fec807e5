package exec_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

var binary string

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests need root: they make containers")
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "exec")
	if err == nil {
		binary, err = supervisedtest.Build(dir, "cmd/serai-driver-exec")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func newHost(t testing.TB) *supervisedtest.Host { return supervisedtest.New(t, binary, nil) }

func shell(script string) map[string]any {
	return map[string]any{"command": "sh", "args": []string{"-c", script}}
}

// with returns a shell config with more in it.
func with(script string, more map[string]any) map[string]any {
	c := shell(script)
	for k, v := range more {
		c[k] = v
	}
	return c
}

func TestRun(t *testing.T) {
	h := newHost(t)
	cases := []struct {
		name   string
		config map[string]any
		edit   func(*driver.TaskConfig)
		want   driver.ExitResult
		stdout string
	}{
		{name: "exit code", config: shell("exit 7"), want: driver.ExitResult{Code: 7}},
		{name: "nobody", config: shell("id -un; id -gn; echo $USER $LOGNAME"), stdout: "nobody\nnogroup\nnobody nobody\n"},
		{name: "root", config: shell("id -u; echo $HOME"), edit: func(c *driver.TaskConfig) { c.User = "root" }, stdout: "0\n/root\n"},
		{name: "first process", config: shell("echo $$; [ -d /proc/" + strconv.Itoa(os.Getpid()) + " ] || echo no other"), stdout: "1\nno other\n"},
		{name: "host pid", config: with("[ $$ -gt 10 ] && [ -d /proc/$PPID ] && echo yes", map[string]any{"pid_mode": "host"}), stdout: "yes\n"},
		{name: "directory", config: shell("pwd"), stdout: "/\n"},
		{name: "work_dir", config: with("pwd", map[string]any{"work_dir": "/local"}), stdout: "/local\n"},
		{name: "own directories are writable", config: shell("for d in / /local /alloc /tmp; do touch $d/x && echo $d; done"),
			stdout: "/\n/local\n/alloc\n/tmp\n"},
		{name: "the host's are not", config: shell("for d in /usr /etc /bin /lib /usr/local; do touch $d/x 2>/dev/null && echo $d; done; touch /etc/passwd 2>&1 | grep -c 'Permission\\|Read-only'"),
			edit: func(c *driver.TaskConfig) { c.User = "root" }, stdout: "1\n"},
		{name: "the rest is not there", config: shell("ls -d /root /home /var /boot /opt 2>/dev/null; echo end"),
			edit: func(c *driver.TaskConfig) { c.User = "root" }, stdout: "end\n"},
		{name: "standard output can be opened again", config: shell("echo again >/dev/stdout"), stdout: "again\n"},
		{name: "no new privileges, filter", config: shell("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'"), stdout: "NoNewPrivs:1\nSeccomp:2\n"},
		{name: "capabilities of nobody", config: shell("grep -E '^Cap(Eff|Bnd):' /proc/self/status | tr -d '\\t'"),
			stdout: "CapEff:0000000000000400\nCapBnd:00000000a80405fb\n"},
		{name: "capabilities of root", config: with("grep -E '^Cap(Eff|Bnd):' /proc/self/status | tr -d '\\t'", map[string]any{"cap_drop": []string{"mknod", "CAP_SETFCAP"}}),
			edit:   func(c *driver.TaskConfig) { c.User = "root" },
			stdout: "CapEff:00000000200405fb\nCapBnd:00000000200405fb\n"},
		{name: "capability asked for", config: with("grep -E '^CapEff:' /proc/self/status | tr -d '\\t'", map[string]any{"cap_add": []string{"chown"}}),
			stdout: "CapEff:0000000000000401\n"},
		{name: "system calls", config: shell("unshare -U true 2>&1 | grep -o 'Operation not permitted'; mount -t tmpfs x /tmp 2>&1 | grep -c 'denied\\|permitted\\|superuser'"),
			edit: func(c *driver.TaskConfig) { c.User = "root" }, stdout: "Operation not permitted\n1\n"},
		{name: "masked paths", config: shell("wc -c </proc/interrupts; touch /proc/sys/kernel/hostname 2>/dev/null || echo read-only"),
			edit: func(c *driver.TaskConfig) { c.User = "root" }, stdout: "0\nread-only\n"},
		{name: "devices", config: shell("echo x >/dev/null && head -c 4 /dev/urandom | wc -c && mknod /tmp/vda b 8 0 2>/dev/null && head -c 1 /tmp/vda 2>&1 | grep -c permitted"),
			edit: func(c *driver.TaskConfig) { c.User = "root" }, stdout: "4\n1\n"},
		{name: "names of the host", config: shell("cat /proc/sys/kernel/hostname | grep -c . ; grep -c root /etc/passwd"), stdout: "1\n1\n"},
		{name: "dns", config: shell("cat /etc/resolv.conf"), edit: func(c *driver.TaskConfig) {
			c.Dns = &driver.DNSConfig{Servers: []string{"10.0.0.1"}, Searches: []string{"a", "b"}, Options: []string{"ndots:2"}}
		}, stdout: "nameserver 10.0.0.1\nsearch a b\noptions ndots:2\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			task := h.Run(t, c.config, c.edit)
			if d := cmp.Diff(c.want, task.Wait()); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.stdout, task.Output()); d != "" {
				t.Errorf("%s\nstderr: %s", d, task.Stderr())
			}
		})
	}
}

func TestRefused(t *testing.T) {
	h := supervisedtest.New(t, binary, map[string]any{"denied_host_uids": "0-10"})
	cases := []struct {
		name   string
		config map[string]any
		user   string
		want   string
	}{
		{"no such command", map[string]any{"command": "no-such-command"}, "", "no such executable file"},
		{"no such path", map[string]any{"command": "/no/such"}, "", "/no/such"},
		{"relative work_dir", map[string]any{"command": "true", "work_dir": "x"}, "", "not an absolute path"},
		{"pid_mode", map[string]any{"command": "true", "pid_mode": "shared"}, "", `pid_mode: "shared" is unknown`},
		{"capability beyond the allowed", map[string]any{"command": "true", "cap_add": []string{"sys_admin"}}, "", "sys_admin is not among"},
		{"unknown capability", map[string]any{"command": "true", "cap_add": []string{"fly"}}, "", "unknown capability fly"},
		{"denied user", map[string]any{"command": "true"}, "root", "denied_host_uids"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			task := h.Task(t, c.config, func(tc *driver.TaskConfig) { tc.User = c.user })
			err := task.Start()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v", err)
			}
			nothingLeft(t, task)
		})
	}
}

// leftovers lists what a task has on the machine besides its processes: state,
// cgroups and mounts.
func leftovers(t testing.TB, task *supervisedtest.Task) []string {
	t.Helper()
	c := task.Config
	stateDir := process.StateDir(supervised.StateFolder("exec"), c.GetAllocDir(), c.GetName(), c.GetId())
	cgroup, err := process.CgroupAt(supervised.CgroupName("exec", stateDir))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range append(slices.Collect(maps.Values(cgroup.V1)), cgroup.Unified, stateDir) {
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, c.GetAllocId()) {
			found = append(found, line)
		}
	}
	return found
}

func nothingLeft(t testing.TB, task *supervisedtest.Task) {
	t.Helper()
	if left := leftovers(t, task); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestLeavesNothing(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("setsid sleep 1000 & echo up; exec sleep 1000"), nil)
	if len(leftovers(t, task)) < 2 {
		t.Fatal("looking in the wrong place")
	}
	supervisedtest.Eventually(t, "start", func() bool { return task.Stdout() == "up\n" })
	pid, _ := strconv.Atoi(task.Attributes()["pid"])
	if err := h.Client.StopTask(t.Context(), task.Config.GetId(), 0, ""); err != nil {
		t.Fatal(err)
	}
	if got := task.Wait(); got.Signal != int(syscall.SIGKILL) {
		t.Errorf("result %+v", got)
	}
	if err := h.Client.DestroyTask(t.Context(), task.Config.GetId(), false); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, task)
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d lives on: %v", pid, err)
	}
}

func TestPluginKilled(t *testing.T) {
	for _, between := range []bool{false, true} {
		t.Run(fmt.Sprintf("ends in between=%v", between), func(t *testing.T) {
			h := newHost(t)
			task := h.Run(t, shell("echo up; read x </local/go; echo done; exit 9"), func(c *driver.TaskConfig) {
				path := filepath.Join(driver.Dirs(c).Local, "go")
				if err := syscall.Mkfifo(path, 0o644); err != nil {
					t.Fatal(err)
				}
			})
			supervisedtest.Eventually(t, "start", func() bool { return task.Stdout() == "up\n" })
			was := task.Attributes()
			finish := func() {
				if err := os.WriteFile(filepath.Join(driver.Dirs(task.Config).Local, "go"), []byte("\n"), 0); err != nil {
					t.Fatal(err)
				}
			}
			h.Kill()
			if between {
				finish()
				pid, _ := strconv.Atoi(was["supervisor_pid"])
				supervisedtest.Eventually(t, "the end of the supervisor", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
			}
			h.Restart()
			if err := task.Recover(); err != nil {
				t.Fatal(err)
			}
			if !between {
				if is := task.Attributes(); is["pid"] != was["pid"] || is["supervisor_pid"] != was["supervisor_pid"] {
					t.Errorf("recovered as %v, was %v", is, was)
				}
				var out bytes.Buffer
				if got, err := task.Exec(driver.ExecCommand{Args: []string{"id", "-un"}, Stdout: &out}); err != nil || got.Code != 0 || out.String() != "nobody\n" {
					t.Errorf("exec after recovery: %+v, %v, %q", got, err, &out)
				}
				finish()
			}
			if got := task.Wait(); got.Code != 9 {
				t.Errorf("result %+v", got)
			}
			if got := task.Output(); got != "up\ndone\n" {
				t.Errorf("output %q", got)
			}
			if err := h.Client.DestroyTask(t.Context(), task.Config.GetId(), true); err != nil {
				t.Fatal(err)
			}
			nothingLeft(t, task)
		})
	}
}

// A plugin that dies while it starts a task leaves nothing once another runs.
func TestPluginKilledDuringStart(t *testing.T) {
	for _, delay := range []time.Duration{2, 10, 20, 30, 50, 80} {
		h := newHost(t)
		task := h.Task(t, shell("exec sleep 1000"), nil)
		done := make(chan error, 1)
		go func() { done <- task.Start() }()
		timer := time.NewTimer(delay * time.Millisecond)
		<-timer.C
		h.Kill()
		<-done
		task.Handle = nil
		// The launch stage may still be making mount points.
		supervisedtest.Eventually(t, "removal of the allocation's directory", func() bool { return os.RemoveAll(task.Config.GetAllocDir()) == nil })
		h.Restart()
		supervisedtest.Eventually(t, fmt.Sprintf("clean-up after %d ms", delay), func() bool { return len(leftovers(t, task)) == 0 })
	}
}

func TestSignalsAndStop(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell(`trap 'echo hup' HUP; trap 'echo int; exit 3' INT; echo up; while :; do sleep 0.01; done`), nil)
	supervisedtest.Eventually(t, "start", func() bool { return strings.Contains(task.Stdout(), "up\n") })
	if err := h.Client.SignalTask(t.Context(), task.Config.GetId(), "SIGHUP"); err != nil {
		t.Fatal(err)
	}
	supervisedtest.Eventually(t, "SIGHUP", func() bool { return strings.Contains(task.Stdout(), "hup\n") })
	if err := h.Client.StopTask(t.Context(), task.Config.GetId(), supervisedtest.Patience, ""); err != nil {
		t.Fatal(err)
	}
	if got := task.Wait(); got.Code != 3 {
		t.Errorf("result %+v", got)
	}
}

func TestExec(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("exec sleep 1000"), nil)
	var out, errs bytes.Buffer
	got, err := task.Exec(driver.ExecCommand{
		Args:  []string{"sh", "-c", "cat; ls -d /proc/1 /usr; id -un; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'; echo err >&2; exit 4"},
		Stdin: strings.NewReader("in\n"), Stdout: &out, Stderr: &errs})
	want := "in\n/proc/1\n/usr\nnobody\nCapEff:0000000000000400\nNoNewPrivs:1\nSeccomp:2\n"
	if err != nil || got.Code != 4 || out.String() != want || errs.String() != "err\n" {
		t.Errorf("result %+v, %v, stdout %q, stderr %q", got, err, &out, &errs)
	}
	out.Reset()
	resize := make(chan driver.TerminalSize, 1)
	resize <- driver.TerminalSize{Height: 33, Width: 111}
	got, err = task.Exec(driver.ExecCommand{Args: []string{"sh", "-c", "tty; until [ \"$(stty size)\" = '33 111' ]; do sleep 0.01; done; echo sized; kill -9 $$"},
		TTY: true, Resize: resize, Stdout: &out})
	if err != nil || got.Signal != 9 || out.String() != "/dev/pts/0\r\nsized\r\n" {
		t.Errorf("tty: result %+v, %v, output %q", got, err, &out)
	}
	if _, err := task.Exec(driver.ExecCommand{Args: []string{"no-such-command"}}); err == nil {
		t.Error("a missing command ran")
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

func TestLimits(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("for f in memory/memory.limit_in_bytes cpu/cpu.shares pids/pids.max memory.max pids.max; do cat /sys/fs/cgroup/$f 2>/dev/null; done; exec sleep 1000"),
		func(c *driver.TaskConfig) {
			c.Resources = &driver.Resources{LinuxResources: &driver.LinuxResources{CpuShares: 250, MemoryLimitBytes: 64 << 20}}
		})
	supervisedtest.Eventually(t, "limits", func() bool { return strings.Contains(task.Stdout(), "16384\n") })
	if !strings.Contains(task.Stdout(), strconv.Itoa(64<<20)+"\n") {
		t.Errorf("limits seen by the task: %q", task.Stdout())
	}
	for u, err := range h.Client.TaskStats(t.Context(), task.Config.GetId(), 100*time.Millisecond) {
		if err != nil {
			t.Fatal(err)
		}
		if u.Memory.GetUsage() == 0 || u.Memory.GetRss() == 0 {
			t.Errorf("figures %+v", u.Memory)
		}
		break
	}
}

func TestMountsAndDevices(t *testing.T) {
	h := newHost(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("volume\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	task := h.Run(t, shell("cat /data/file; touch /data/x 2>/dev/null || echo read-only; cat /more/file; touch /more/y; ls -l /dev/zero2 | cut -c1; head -c 3 /dev/zero2 | wc -c"),
		func(c *driver.TaskConfig) {
			c.User = "root"
			c.Mounts = []*driver.Mount{{HostPath: dir, TaskPath: "/data", Readonly: true}, {HostPath: dir, TaskPath: "more", PropagationMode: "host-to-task"}}
			c.Devices = []*driver.Device{{HostPath: "/dev/zero", TaskPath: "/dev/zero2", CgroupPermissions: "r"}}
		})
	task.Wait()
	if got, want := task.Output(), "volume\nread-only\nvolume\nc\n3\n"; got != want {
		t.Errorf("output %q, want %q; %s", got, want, task.Stderr())
	}
	if _, err := os.Stat(filepath.Join(dir, "y")); err != nil {
		t.Error(err)
	}
}

func TestNetworkNamespace(t *testing.T) {
	h := newHost(t)
	path := supervisedtest.NetworkNamespace(t)
	task := h.Run(t, shell("ls /sys/class/net; grep web /etc/hosts; cat /proc/sys/kernel/hostname; exec sleep 1000"), func(c *driver.TaskConfig) {
		c.NetworkIsolationSpec = &driver.NetworkIsolation{Mode: driver.NetworkGroup, Path: path,
			HostsConfig: &driverpb.HostsConfig{Hostname: "web-1", Address: "10.1.2.3"}}
	})
	supervisedtest.Eventually(t, "output", func() bool { return task.Stdout() == "lo\n10.1.2.3 web-1\nweb-1\n" })
	var out bytes.Buffer
	if got, err := task.Exec(driver.ExecCommand{Args: []string{"ls", "/sys/class/net"}, Stdout: &out}); err != nil || got.Code != 0 || out.String() != "lo\n" {
		t.Errorf("exec: %+v, %v, %q", got, err, &out)
	}
}

func TestChrootEnv(t *testing.T) {
	h := supervisedtest.New(t, binary, map[string]any{"chroot_env": map[string]string{
		"/usr": "/usr", "/bin": "/bin", "/lib": "/lib", "/lib64": "/lib64", "/etc/passwd": "/data/users", "/no/such": "/none"}})
	task := h.Run(t, shell("ls -d /etc /sbin /none 2>/dev/null; grep -c ^root: /data/users; ls /data"), nil)
	task.Wait()
	if got := task.Output(); got != "1\nusers\n" {
		t.Errorf("output %q, %s", got, task.Stderr())
	}
}

// Without a pid namespace it is the supervisor that ends what a task leaves.
func TestLeftoversInHostPIDNamespace(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, with("setsid sleep 1000 >/dev/null 2>&1 & echo $!; exit 5", map[string]any{"pid_mode": "host"}), nil)
	if got := task.Wait(); got.Code != 5 {
		t.Errorf("result %+v", got)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(task.Output()))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d lives on: %v", pid, err)
	}
}

// A supervisor that is killed costs nothing while the plugin is there.
func TestSupervisorKilled(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("trap 'exit 8' TERM; echo up; while :; do sleep 0.01; done"), nil)
	supervisedtest.Eventually(t, "start", func() bool { return task.Stdout() == "up\n" })
	pid, err := strconv.Atoi(task.Attributes()["supervisor_pid"])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := h.Client.StopTask(t.Context(), task.Config.GetId(), supervisedtest.Patience, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	if got := task.Wait(); got.Code != 8 {
		t.Errorf("result %+v", got)
	}
}

// The supervisor is all that stays beside a running task.
func TestMemory(t *testing.T) {
	h := newHost(t)
	task := h.Run(t, shell("exec sleep 1000"), nil)
	b, err := os.ReadFile("/proc/" + task.Attributes()["supervisor_pid"] + "/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\nPss:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("supervisor PSS: %d KiB", kib)
	if kib > 1024 {
		t.Errorf("PSS of the supervisor is %d KiB", kib)
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
