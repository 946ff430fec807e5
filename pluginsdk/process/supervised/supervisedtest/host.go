// Package supervisedtest drives a plugin binary as a host does, for the tests
// of drivers that run processes: tasks with directories and log FIFOs, and a
// plugin that can be killed and started again.
package supervisedtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ugorji/go/codec"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
)

// Patience bounds every wait for something that should happen soon.
const Patience = 20 * time.Second

// Build compiles a main package, given by its path from the module's root, and
// returns the binary.
func Build(dir, pkg string) (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-o", bin, "./"+pkg)
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return bin, nil
}

// Host is a host with one plugin.
type Host struct {
	t      testing.TB
	binary string
	config map[string]any
	plugin *host.Plugin
	// Client is the plugin's; it changes with Restart.
	Client *host.DriverClient
}

// New starts the plugin with a configuration. The plugin ends with the test.
func New(t testing.TB, binary string, config map[string]any) *Host {
	t.Helper()
	h := &Host{t: t, binary: binary, config: config}
	h.Restart()
	t.Cleanup(func() { h.stop() })
	return h
}

// Kill ends the plugin with SIGKILL.
func (h *Host) Kill() {
	h.t.Helper()
	if err := h.plugin.Kill(); err != nil {
		h.t.Fatal(err)
	}
	h.plugin = nil
}

func (h *Host) stop() {
	if h.plugin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := h.plugin.Stop(ctx); err != nil {
		h.t.Errorf("stop plugin: %v", err)
	}
}

// Restart starts the plugin anew and configures it.
func (h *Host) Restart() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	log := slog.New(slog.NewTextHandler(testWriter{h.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, err := host.Launch(ctx, host.Options{Path: h.binary, Log: log})
	if err != nil {
		h.t.Fatal(err)
	}
	h.plugin = p
	if h.Client, err = p.Driver(); err != nil {
		h.t.Fatal(err)
	}
	if err := p.Configure(ctx, Encode(h.config), &driver.Node{MinPort: 14000, MaxPort: 14512}); err != nil {
		h.t.Fatal(err)
	}
	if err := h.Client.Init(ctx); err != nil {
		h.t.Fatal(err)
	}
}

// PID is the plugin's process.
func (h *Host) PID() int { return h.plugin.PID() }

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// Encode renders a configuration as hosts send it.
func Encode(config map[string]any) []byte {
	if config == nil {
		config = map[string]any{}
	}
	handle := &codec.MsgpackHandle{WriteExt: true}
	var b []byte
	codec.NewEncoderBytes(&b, handle).MustEncode(config)
	return b
}

// Task is a task with its directories.
type Task struct {
	t      testing.TB
	host   *Host
	Config *driver.TaskConfig
	Handle *driver.TaskHandle

	out, errs *output
}

// Task prepares a task. Its directories end with the test, and so does the
// task if it was started.
func (h *Host) Task(t testing.TB, config map[string]any, edit func(*driver.TaskConfig)) *Task {
	t.Helper()
	alloc := uuid.NewString()
	// Not the test's own directory: its parents are closed to other users.
	base, err := os.MkdirTemp("/var/tmp", "serai-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	task := &Task{t: t, host: h, Config: &driver.TaskConfig{
		Id: alloc + "/web/" + alloc[:8], Name: "web", AllocId: alloc, JobName: "job", JobId: "job", TaskGroupName: "group",
		Namespace: "default", AllocDir: filepath.Join(base, alloc), MsgpackDriverConfig: Encode(config),
		Env: map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "NOMAD_TASK_NAME": "web"},
	}}
	dirs := driver.Dirs(task.Config)
	for _, dir := range []string{dirs.Alloc, dirs.Shared, dirs.Logs, dirs.Task, dirs.Local, dirs.Secrets, dirs.Private, dirs.Tmp} {
		if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dirs.Alloc, 0o755); err != nil {
		t.Fatal(err)
	}
	task.Config.StdoutPath = filepath.Join(dirs.Logs, ".web.stdout.fifo")
	task.Config.StderrPath = filepath.Join(dirs.Logs, ".web.stderr.fifo")
	task.out, task.errs = follow(t, task.Config.StdoutPath), follow(t, task.Config.StderrPath)
	if edit != nil {
		edit(task.Config)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if h.plugin != nil && task.Handle != nil {
			if err := h.Client.DestroyTask(ctx, task.Config.GetId(), true); err != nil {
				t.Errorf("destroy: %v", err)
			}
		}
		task.out.close()
		task.errs.close()
		if err := os.RemoveAll(base); err != nil {
			t.Errorf("remove task directories: %v", err)
		}
	})
	return task
}

// Run prepares and starts a task.
func (h *Host) Run(t testing.TB, config map[string]any, edit func(*driver.TaskConfig)) *Task {
	t.Helper()
	task := h.Task(t, config, edit)
	if err := task.Start(); err != nil {
		t.Fatal(err)
	}
	return task
}

// Start starts the task.
func (t *Task) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var err error
	t.Handle, _, err = t.host.Client.StartTask(ctx, t.Config)
	return err
}

// Recover hands the task to a restarted plugin, as a restarted host would:
// without its driver config.
func (t *Task) Recover() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	t.Handle.Config.MsgpackDriverConfig = nil
	return t.host.Client.RecoverTask(ctx, t.Handle)
}

// Wait returns how the task ended.
func (t *Task) Wait() driver.ExitResult {
	t.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	result, err := t.host.Client.WaitTask(ctx, t.Config.GetId())
	if err != nil {
		t.t.Fatal(err)
	}
	return result
}

// Attributes are the driver's facts of the task.
func (t *Task) Attributes() map[string]string {
	t.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	s, err := t.host.Client.InspectTask(ctx, t.Config.GetId())
	if err != nil {
		t.t.Fatal(err)
	}
	return s.Attributes
}

// Exec runs a command in the task.
func (t *Task) Exec(cmd driver.ExecCommand) (driver.ExitResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if cmd.Stdin == nil {
		cmd.Stdin = strings.NewReader("")
	}
	if cmd.Stdout == nil {
		cmd.Stdout = io.Discard
	}
	if cmd.Stderr == nil {
		cmd.Stderr = io.Discard
	}
	return t.host.Client.ExecTaskStreaming(ctx, t.Config.GetId(), cmd)
}

// Stdout returns what the task has written so far.
func (t *Task) Stdout() string { return t.out.String() }

// Stderr returns what the task has written to stderr so far.
func (t *Task) Stderr() string { return t.errs.String() }

// Output waits for the end of the task's output and returns stdout.
func (t *Task) Output() string {
	t.t.Helper()
	Eventually(t.t, "the end of the output", func() bool { return t.out.ended() && t.errs.ended() })
	return t.Stdout()
}

// Eventually polls for what has no event to wait for.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// output collects what comes out of a FIFO.
type output struct {
	file *os.File
	done chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

// follow makes a FIFO and reads it until all of its writers are gone.
func follow(t testing.TB, path string) *output {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	o := &output{file: os.NewFile(uintptr(fd), path), done: make(chan struct{})}
	go func() {
		defer close(o.done)
		b := make([]byte, 4096)
		started := false
		for {
			n, err := o.file.Read(b)
			o.mu.Lock()
			o.text.Write(b[:n])
			o.mu.Unlock()
			started = started || n > 0
			if errors.Is(err, io.EOF) && !started {
				// No writer has come yet: the FIFO tells of the first.
				if waitReadable(o.file) {
					started = true
					continue
				}
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return o
}

// waitReadable blocks until a writer has written or gone again; false means
// that the file was closed.
func waitReadable(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	return conn.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(fds, 0)
		return n > 0 // also for POLLHUP: a writer that has come and gone
	}) == nil
}

func (o *output) ended() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) close() {
	o.file.Close()
	<-o.done
}
