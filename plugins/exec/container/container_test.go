package container

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/process"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests need root: they make containers")
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		parents, _ := filepath.Glob("/sys/fs/cgroup/*/serai-exec-test")
		for _, dir := range append(parents, "/sys/fs/cgroup/serai-exec-test") {
			_ = os.Remove(dir)
		}
		os.Exit(code)
	}))
}

// hostTree is the default chroot table.
var hostTree = map[string]string{"/bin": "/bin", "/etc": "/etc", "/lib": "/lib", "/lib32": "/lib32", "/lib64": "/lib64", "/sbin": "/sbin", "/usr": "/usr"}

// box is one container under test.
type box struct {
	*process.Process
	request Request
	out     string // FIFO
}

// run starts a shell script in a container and returns it with the reader of
// its output.
func run1(t testing.TB, script string, edit func(*Options)) (*box, *output) {
	t.Helper()
	// Not below t.TempDir, whose parents other users may not enter.
	dir, err := os.MkdirTemp("/var/tmp", "serai-exec-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	root := filepath.Join(dir, "task")
	for _, d := range []string{root, root + "/local", root + "/tmp"} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Base(dir)
	o := Options{
		Root: root, Chroot: hostTree, Args: []string{"/bin/sh", "-c", script},
		Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/",
		User:       process.Credential{UID: 65534, GID: 65534},
		CgroupPath: "serai-exec-test/" + name,
	}
	if edit != nil {
		edit(&o)
	}
	spec, err := o.Spec()
	if err != nil {
		t.Fatal(err)
	}
	b := &box{out: filepath.Join(dir, "out")}
	cgroup, err := process.CgroupAt(o.CgroupPath)
	if err != nil {
		t.Fatal(err)
	}
	filter, err := Filter(o.Capabilities)
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state", "x")
	b.request = Request{ID: t.Name(), Name: name, Root: filepath.Join(state, "container"), Spec: spec, Filter: filter, Cgroup: cgroup}
	request, err := json.Marshal(b.request)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(b.out, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(b.out, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	reader := os.NewFile(uintptr(fd), b.out)
	b.Process, err = process.Start(process.Spec{ID: t.Name(), StateDir: state, Stdout: b.out, Stderr: b.out, Cgroup: cgroup,
		Launch: &process.Launch{Name: LaunchName, Request: request}})
	if err != nil {
		reader.Close()
		t.Fatal(err)
	}
	var out output
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&out, reader)
	}()
	t.Cleanup(func() {
		if err := b.Destroy(context.Background()); err != nil {
			t.Errorf("destroy: %v", err)
		}
		reader.Close()
		<-done
		for _, dir := range append([]string{cgroup.Unified}, values(cgroup.V1)...) {
			if _, err := os.Stat(dir); dir != "" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("cgroup %s remains: %v", dir, err)
			}
		}
	})
	return b, &out
}

// output is a buffer that may be read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func values(m map[string]string) (v []string) {
	for _, s := range m {
		v = append(v, s)
	}
	return v
}

// finish waits for the end of the container and of its output.
func (b *box) finish(t testing.TB) process.Exit {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	exit, err := b.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return exit
}

func TestRun(t *testing.T) {
	b, out := run1(t, "echo hello; id -u; exit 7", nil)
	if exit := b.finish(t); exit.Code != 7 || exit.Err != nil {
		t.Errorf("exit %+v", exit)
	}
	waitFor(t, func() bool { return strings.Contains(out.String(), "65534") })
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("timed out")
		}
	}
}

func TestExec(t *testing.T) {
	b, _ := run1(t, "exec sleep 1000", nil)
	command := func(script string) Command {
		p := *b.request.Spec.Process
		p.Args = []string{"/bin/sh", "-c", script}
		return Command{Root: b.request.Root, Name: b.request.Name, Filter: b.request.Filter, Process: &p}
	}
	var out, errs bytes.Buffer
	exit, err := Exec(t.Context(), command("cat; id -u; grep -E 'Seccomp:|NoNewPrivs' /proc/self/status | tr -d '\\t'; ls /proc/self/fd | wc -l; echo err >&2; exit 5"),
		process.Stream{Stdin: strings.NewReader("in\n"), Stdout: &out, Stderr: &errs})
	if err != nil || exit.Code != 5 || out.String() != "in\n65534\nNoNewPrivs:1\nSeccomp:2\n4\n" || errs.String() != "err\n" {
		t.Errorf("exit %+v, %v, stdout %q, stderr %q", exit, err, &out, &errs)
	}
	out.Reset()
	exit, err = Exec(t.Context(), command("tty; read x; echo got $x; kill -9 $$"), process.Stream{TTY: true, Stdin: strings.NewReader("in\n"), Stdout: &out})
	if err != nil || exit.Signal != unix.SIGKILL || !strings.Contains(out.String(), "/dev/pts/0\r\n") || !strings.HasSuffix(out.String(), "got in\r\n") {
		t.Errorf("tty: exit %+v, %v, output %q", exit, err, &out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		_, _ = r.Read(make([]byte, 1))
		cancel()
	}()
	if _, err := Exec(ctx, command("echo; exec sleep 1000"), process.Stream{Stdout: w}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	r.Close()
	c := command("")
	c.Process.Args = []string{"/no/such"}
	if _, err := Exec(t.Context(), c, process.Stream{}); err == nil || !strings.Contains(err.Error(), "/no/such") {
		t.Errorf("missing command: %v", err)
	}
}

// Neither the socket of the filter nor any other descriptor of the launch stage
// may reach the task.
func TestDescriptors(t *testing.T) {
	b, out := run1(t, "ls /proc/self/fd | tr '\\n' ' '; sleep 0.01; exit 0", nil)
	if exit := b.finish(t); !exit.Success() {
		t.Errorf("exit %+v", exit)
	}
	waitFor(t, func() bool { return out.String() == "0 1 2 3 " }) // 3 is the directory itself
}
