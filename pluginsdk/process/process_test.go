package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		parents, _ := filepath.Glob("/sys/fs/cgroup/*/serai-test")
		for _, dir := range append(parents, "/sys/fs/cgroup/serai-test") {
			_ = os.Remove(dir)
		}
		os.Exit(code)
	}))
}

// shell is a spec for a shell script with a cgroup of its own.
func shell(t *testing.T, script string) Spec {
	t.Helper()
	spec := Spec{
		ID: t.Name(), StateDir: filepath.Join(t.TempDir(), "state"), Dir: "/",
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"},
	}
	if os.Geteuid() == 0 {
		spec.Cgroup = newCgroup(t, Limits{})
	}
	return spec
}

func newCgroup(t *testing.T, l Limits) *Cgroup {
	t.Helper()
	name := fmt.Sprintf("serai-test/%d-%d", os.Getpid(), time.Now().UnixNano())
	c, err := NewCgroup(name, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.Kill(5*time.Second), c.Remove()); err != nil {
			t.Errorf("clean up cgroup: %v", err)
		}
	})
	return c
}

func start1(t *testing.T, spec Spec) *Process {
	t.Helper()
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Destroy(context.Background()); err != nil {
			t.Errorf("destroy: %v", err)
		}
	})
	return p
}

func wait(t *testing.T, p *Process) Exit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	exit, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

func TestExit(t *testing.T) {
	cases := []struct {
		name, script string
		want         Exit
	}{
		{"success", "exit 0", Exit{}},
		{"code", "exit 7", Exit{Code: 7}},
		{"signal", "kill -TERM $$; while :; do :; done", Exit{Signal: syscall.SIGTERM}},
		{"core dump signal", "ulimit -c 0; kill -ABRT $$; while :; do :; done", Exit{Signal: syscall.SIGABRT}},
		{"with children left", "sleep 1000 & exit 3", Exit{Code: 3}},
		{"with a daemon left", "setsid sleep 1000 </dev/null >/dev/null 2>&1 & exit 4", Exit{Code: 4}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			spec := shell(t, c.script)
			p := start1(t, spec)
			got := wait(t, p)
			if age := time.Since(got.FinishedAt); age < 0 || age > time.Minute {
				t.Errorf("finished %v ago", age)
			}
			if d := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Exit{}, "FinishedAt")); d != "" {
				t.Error(d)
			}
			if pids, err := spec.Cgroup.PIDs(); err != nil || len(pids) > 0 {
				t.Errorf("left in the cgroup: %v, %v", pids, err)
			}
			if p2, err := Attach(p.Record()); err != nil {
				t.Error(err)
			} else if again := wait(t, p2); !again.FinishedAt.Equal(got.FinishedAt) {
				t.Errorf("attached afterwards: %+v, was %+v", again, got)
			} else {
				p2.Close()
			}
		})
	}
}

func TestStartErrors(t *testing.T) {
	cases := []struct {
		name string
		edit func(*Spec)
		want error
		text string
	}{
		{"no such command", func(s *Spec) { s.Path = "/no/such" }, syscall.ENOENT, "execute the command /no/such"},
		{"not executable", func(s *Spec) { s.Path = "/etc/passwd" }, syscall.EACCES, "execute the command"},
		{"no such directory", func(s *Spec) { s.Dir = "/no/such" }, syscall.ENOENT, "enter the working directory /no/such"},
		{"no such stdout", func(s *Spec) { s.Stdout = "/no/such" }, syscall.ENOENT, "open standard stream"},
		{"nul byte", func(s *Spec) { s.Args = append(s.Args, "a\x00b") }, nil, "NUL byte"},
		{"relative directory", func(s *Spec) { s.Dir = "x" }, nil, `Dir: "x"`},
		{"no arguments", func(s *Spec) { s.Args = nil }, nil, "Args: empty"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			spec := shell(t, "exit 0")
			c.edit(&spec)
			_, err := Start(spec)
			if err == nil {
				t.Fatal("started")
			}
			if c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q", err)
			}
			if _, err := os.Stat(spec.StateDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("state directory remains: %v", err)
			}
		})
	}
}

func TestEnvironmentAndStreams(t *testing.T) {
	spec := shell(t, `echo "$A|$PWD|$0|$1"; echo err >&2; cat`)
	dir := t.TempDir()
	spec.Dir = dir
	spec.Args = append(spec.Args, "zero", "a b")
	spec.Env = append(spec.Env, "A=b c")
	spec.Stdout, spec.Stderr = filepath.Join(dir, "out"), filepath.Join(dir, "err")
	out, errs := fifo(t, spec.Stdout), fifo(t, spec.Stderr)
	p := start1(t, spec)
	if got := wait(t, p); !got.Success() {
		t.Errorf("exit %+v", got)
	}
	if got, want := out(), "b c|"+dir+"|zero|a b\n"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got := errs(); got != "err\n" {
		t.Errorf("stderr %q", got)
	}
}

// fifo makes a FIFO with a reader. The function returned waits for the end of
// the output and returns it.
func fifo(t *testing.T, path string) func() string {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { f.Close() })
	return func() string {
		b, err := io.ReadAll(f)
		if err != nil {
			t.Errorf("read fifo: %v", err)
		}
		return string(b)
	}
}

// A reader that dies and comes back must cost neither the task nor a line.
func TestReaderOfLogsDies(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	first := fifo(t, path)
	_ = first
	spec := shell(t, "echo one; read x <"+filepath.Join(dir, "go")+"; echo two")
	if err := unix.Mkfifo(filepath.Join(dir, "go"), 0o600); err != nil {
		t.Fatal(err)
	}
	spec.Stdout = path
	p := start1(t, spec)

	r, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4)
	if _, err := io.ReadFull(r, line); err != nil || string(line) != "one\n" {
		t.Fatalf("first line %q, %v", line, err)
	}
	r.Close()
	again, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(again, line); err != nil || string(line) != "two\n" {
		t.Fatalf("second line %q, %v", line, err)
	}
	if exit := wait(t, p); !exit.Success() {
		t.Errorf("exit %+v", exit)
	}
}

func TestStop(t *testing.T) {
	cases := []struct {
		name, script string
		timeout      time.Duration
		want         Exit
	}{
		{"polite", "trap 'exit 5' INT; echo up; while :; do sleep 0.01; done", 20 * time.Second, Exit{Code: 5}},
		{"default", "echo up; exec sleep 1000", 20 * time.Second, Exit{Signal: syscall.SIGINT}},
		{"deaf", "trap '' INT; echo up; while :; do sleep 0.01; done", 50 * time.Millisecond, Exit{Signal: syscall.SIGKILL}},
		{"at once", "trap '' INT; echo up; setsid sleep 1000 & wait", 0, Exit{Signal: syscall.SIGKILL}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			spec := shell(t, c.script)
			spec.Stdout = filepath.Join(t.TempDir(), "out")
			fifo(t, spec.Stdout)
			r, err := os.OpenFile(spec.Stdout, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			p := start1(t, spec)
			if _, err := io.ReadFull(r, make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			if err := p.Stop(t.Context(), syscall.SIGINT, c.timeout); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, wait(t, p), cmpopts.IgnoreFields(Exit{}, "FinishedAt")); d != "" {
				t.Error(d)
			}
			if err := p.Signal(syscall.SIGHUP); !errors.Is(err, ErrNotRunning) {
				t.Errorf("signal after the end: %v", err)
			}
		})
	}
}

// The record survives a round trip and a second watcher sees the same task.
func TestAttachRunning(t *testing.T) {
	p := start1(t, shell(t, "trap 'exit 9' USR1; while :; do sleep 0.01; done"))
	b, err := json.Marshal(p.Record())
	if err != nil {
		t.Fatal(err)
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	p2, err := Attach(r)
	if err != nil {
		t.Fatal(err)
	}
	defer p2.Close()
	if p2.PID() != p.PID() || !p2.Running() {
		t.Fatalf("attached to %d, running %v", p2.PID(), p2.Running())
	}
	eventually(t, "the trap takes effect", func() bool {
		_ = p2.Signal(syscall.SIGUSR1)
		return !p2.Running()
	})
	got := wait(t, p2)
	if got.Code != 9 && got.Signal != syscall.SIGUSR1 {
		t.Errorf("exit %+v", got)
	}
}

// Killing the supervisor leaves the task running; its exit code then comes
// from the kernel.
func TestSupervisorKilled(t *testing.T) {
	p := start1(t, shell(t, "trap 'exit 6' TERM; echo; while :; do sleep 0.01; done"))
	eventually(t, "the shell is up", func() bool {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/status")
		i := bytes.Index(b, []byte("SigCgt:"))
		if i < 0 {
			return false
		}
		mask, _ := strconv.ParseUint(strings.Fields(string(b[i+7:]))[0], 16, 64)
		return mask&(1<<(uint(syscall.SIGTERM)-1)) != 0
	})
	if err := syscall.Kill(p.Record().SupervisorPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.supervisor.wait(); err != nil {
		t.Fatal(err)
	}
	if !p.Running() {
		t.Fatal("the task ended with its supervisor")
	}
	p2, err := Attach(p.Record())
	if err != nil {
		t.Fatal(err)
	}
	defer p2.Close()
	if err := p2.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var uts unix.Utsname
	var major, minor int
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	// An older kernel forgets a process as soon as init has reaped it.
	forgets := major < 6 || major == 6 && minor < 15
	for _, got := range []Exit{wait(t, p), wait(t, p2)} {
		if forgets && errors.Is(got.Err, ErrLost) {
			continue
		}
		if got.Err != nil || got.Code != 6 {
			t.Errorf("exit %+v", got)
		}
	}
}

func TestLost(t *testing.T) {
	r := Record{ID: "x", BootID: BootID(), StateDir: t.TempDir(), PID: os.Getpid(), SupervisorPID: os.Getpid()}
	r.StartTime, r.SupervisorStartTime = 1, 1 // of processes long gone
	p, err := Attach(r)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got := wait(t, p); !errors.Is(got.Err, ErrLost) || got.Success() {
		t.Errorf("exit %+v", got)
	}
}

func TestGone(t *testing.T) {
	p := start1(t, shell(t, "exit 3"))
	wait(t, p)
	r := p.Record()
	r.BootID = "another boot"
	if again, err := Attach(r); err != nil {
		t.Errorf("ended before the restart of the machine: %v", err)
	} else if exit := wait(t, again); exit.Code != 3 {
		t.Errorf("exit %+v", exit)
	}
	r.StateDir = t.TempDir()
	if _, err := Attach(r); !errors.Is(err, ErrGone) {
		t.Errorf("running at the restart of the machine: %v", err)
	}
	r.BootID, r.StateDir = BootID(), filepath.Join(r.StateDir, "destroyed")
	if _, err := Attach(r); !errors.Is(err, ErrGone) {
		t.Errorf("destroyed: %v", err)
	}
}

func TestOOMKill(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root: memory limits need a cgroup")
	}
	spec := shell(t, "dd if=/dev/zero of=/dev/null bs=200M count=1")
	spec.Cgroup = newCgroup(t, Limits{MemoryBytes: 16 << 20})
	got := wait(t, start1(t, spec))
	if !got.OOMKilled {
		t.Errorf("exit %+v", got)
	}
}

func TestCredential(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("needs root to change user")
	}
	dir := t.TempDir()
	spec := shell(t, "id -u; id -g; id -G; cat /proc/self/oom_score_adj; grep NoNewPrivs /proc/self/status | tr -d '\\t'; echo again >/dev/stdout")
	spec.Credential = &Credential{UID: 65534, GID: 65533, Groups: []uint32{4, 5}}
	spec.OOMScoreAdj = new(int)
	*spec.OOMScoreAdj = 321
	spec.NoNewPrivileges = true
	spec.Stdout = filepath.Join(dir, "out")
	out := fifo(t, spec.Stdout)
	wait(t, start1(t, spec))
	want := "65534\n65533\n65533 4 5\n321\nNoNewPrivs:1\nagain\n"
	if got := out(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A task must not inherit descriptors, signal masks or ignored signals.
func TestCleanSlate(t *testing.T) {
	spec := shell(t, "ls -l /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status | tr -d '\\t'; cut -d ' ' -f 6 /proc/$$/stat; echo $$")
	spec.Stdout = filepath.Join(t.TempDir(), "out")
	out := fifo(t, spec.Stdout)
	wait(t, start1(t, spec))
	got := strings.Fields(out())
	if len(got) != 5 || got[0] != "5" || got[1] != "SigBlk:0000000000000000" || got[2] != "SigIgn:0000000000000000" || got[3] != got[4] {
		t.Errorf("%q", got) // 0, 1, 2, the directory itself and a title line
	}
}

func BenchmarkStart(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprintf("cgroup=%v", with), func(b *testing.B) {
			dir := b.TempDir()
			i := 0
			for b.Loop() {
				i++
				spec := Spec{ID: "bench", StateDir: filepath.Join(dir, strconv.Itoa(i)), Path: "/bin/true", Args: []string{"true"}, Dir: "/"}
				if with {
					c, err := NewCgroup(fmt.Sprintf("serai-test/bench-%d-%d", os.Getpid(), i), Limits{MemoryBytes: 64 << 20, CPUShares: 100})
					if err != nil {
						b.Fatal(err)
					}
					spec.Cgroup = c
				}
				p, err := Start(spec)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := p.Destroy(context.Background()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func BenchmarkLife(b *testing.B) {
	dir := b.TempDir()
	i := 0
	for b.Loop() {
		i++
		c, err := NewCgroup(fmt.Sprintf("serai-test/life-%d-%d", os.Getpid(), i), Limits{MemoryBytes: 64 << 20, CPUShares: 100})
		if err != nil {
			b.Fatal(err)
		}
		p, err := Start(Spec{ID: "bench", StateDir: filepath.Join(dir, strconv.Itoa(i)), Path: "/bin/true", Args: []string{"true"}, Dir: "/", Cgroup: c})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Wait(context.Background()); err != nil {
			b.Fatal(err)
		}
		if err := p.Destroy(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// The supervisor's memory is the price of every running task.
func TestSupervisorMemory(t *testing.T) {
	limit := 1 << 20
	if joinFile != "tasks" {
		limit = 8 << 20 // a Go process, without cgo
	}
	p := start1(t, shell(t, "exec sleep 1000"))
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.Record().SupervisorPID))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			kib, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("supervisor PSS: %d KiB", kib)
			if kib<<10 > limit {
				t.Errorf("PSS of the supervisor is %d KiB, more than %d", kib, limit>>10)
			}
			return
		}
	}
	t.Errorf("no PSS in %q", b)
}
