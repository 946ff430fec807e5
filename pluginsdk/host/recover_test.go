package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
	"github.com/seraiproject/serai/pluginsdk/schema/hclvalue"
)

// TestHostDies starts a host process that launches a plugin and a task, kills it, and takes both over.
func TestHostDies(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SERAI_TEST_HOST="+dir, "SERAI_TEST_BIN="+bin)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var saved struct {
		Record host.Record
		Handle []byte
	}
	if err := json.NewDecoder(out).Decode(&saved); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()

	ctx := testContext(t)
	p, err := host.Reattach(ctx, saved.Record, host.Options{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill() })
	d := client(t, p)
	out2 := openPipe(t, filepath.Join(dir, "fifo"))
	out2.want("tick")
	if s, err := d.InspectTask(ctx, "t"); err != nil || s.State != driver.TaskRunning {
		t.Errorf("task after the death of its host: %+v, %v", s, err)
	}
	handle := &driver.TaskHandle{Config: &driver.TaskConfig{Id: "t"}, DriverState: saved.Handle}
	if err := d.RecoverTask(ctx, handle); err != nil {
		t.Errorf("recover of a task that was never lost: %v", err)
	}
	if err := d.StopTask(ctx, "t", 0, ""); err != nil {
		t.Error(err)
	}
	if r, err := d.WaitTask(ctx, "t"); err != nil || r.Signal != int(syscall.SIGTERM) {
		t.Errorf("wait: %+v, %v", r, err)
	}
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := host.Reattach(ctx, saved.Record, host.Options{Log: testLog(t)}); !errors.Is(err, host.ErrGone) {
		t.Errorf("reattach to a process that has ended: %v", err)
	}
}

// runHost is the host process of TestHostDies.
func runHost(dir string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx := context.Background()
	p, err := host.Launch(ctx, host.Options{Path: filepath.Join(os.Getenv("SERAI_TEST_BIN"), "serai-driver-mock"), SocketDir: dir})
	if err != nil {
		return fail(err)
	}
	if err := p.Configure(ctx, nil, &driver.Node{}); err != nil {
		return fail(err)
	}
	d, err := p.Driver()
	if err != nil {
		return fail(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return fail(err)
	}
	spec, err := d.TaskConfigSchema(ctx)
	if err != nil {
		return fail(err)
	}
	data, err := hclvalue.Encode(spec, map[string]any{
		"stdout_string": "tick\n", "stdout_repeat": 1_000_000, "stdout_repeat_duration": "5ms"}, nil)
	if err != nil {
		return fail(err)
	}
	handle, _, err := d.StartTask(ctx, &driver.TaskConfig{
		Id: "t", Name: "web", AllocDir: dir, MsgpackDriverConfig: data, StdoutPath: fifo})
	if err != nil {
		return fail(err)
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{"Record": p.Record(), "Handle": handle.GetDriverState()})
	if err != nil {
		return fail(err)
	}
	select {}
}

// lines collects messages of a log.
type lines struct {
	mu   sync.Mutex
	seen map[string]bool
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	var record struct{ Msg string }
	if err := json.Unmarshal(p, &record); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[record.Msg] = true
	close(l.more)
	l.more = make(chan struct{})
	return len(p), nil
}

func (l *lines) want(t *testing.T, message string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		seen, more := l.seen[message], l.more
		l.mu.Unlock()
		if seen {
			return
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("no log line %q", message)
		}
	}
}

// TestReattachTakesUpTheLog leaves a plugin without a reader of its log, while it logs, and comes back.
func TestReattachTakesUpTheLog(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	_, out := p.start("ticks", map[string]any{"stdout_string": "tick\n", "stdout_repeat": 1_000_000, "stdout_repeat_duration": "1ms"})
	p.start("brief", map[string]any{"run_for": "20ms"})
	p.Detach()
	// In the time of so many ticks the other task has ended and its end was logged.
	for range 60 {
		out.want("tick")
	}
	seen := &lines{seen: map[string]bool{}, more: make(chan struct{})}
	log := slog.New(slog.NewJSONHandler(seen, &slog.HandlerOptions{Level: slog.LevelDebug}))
	again, err := host.Reattach(testContext(t), p.Record(), host.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Detach()
	next := client(t, again)
	next.start("third", nil)
	seen.want(t, "task started")
	if err := again.Kill(); err != nil {
		t.Error(err)
	}
}

// TestPluginDies kills plugins and recovers their tasks in new ones.
func TestPluginDies(t *testing.T) {
	for _, c := range []struct {
		name   string
		config map[string]any
		task   map[string]any
		line   string
	}{
		{"serai-driver-mock", nil, map[string]any{
			"stdout_string": "tick\n", "stdout_repeat": 1_000_000, "stdout_repeat_duration": "5ms"}, "tick"},
		{"driver-hello", map[string]any{"state_dir": t.TempDir()}, map[string]any{"name": "world", "every": "5ms"}, "hello world"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := launch(t, c.name, c.config)
			ctx := testContext(t)
			handle, out := p.start("t", c.task)
			out.want(c.line)

			waited := make(chan error, 1)
			go func() {
				_, err := p.WaitTask(ctx, "t")
				waited <- err
			}()
			if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-p.Exited()
			if err := <-waited; !errors.Is(err, host.ErrShutdown) {
				t.Errorf("wait through the death of the plugin: %v", err)
			}
			if p.ExitReason() != "signal: killed" {
				t.Errorf("exit reason %q", p.ExitReason())
			}

			next := launch(t, c.name, c.config)
			// A restarted host no longer has the task's config block.
			handle.Config.MsgpackDriverConfig = nil
			if err := next.RecoverTask(ctx, handle); err != nil {
				t.Fatal(err)
			}
			for len(out.lines) > 0 {
				<-out.lines
			}
			out.want(c.line)
			if err := next.StopTask(ctx, "t", time.Second, "SIGTERM"); err != nil {
				t.Error(err)
			}
			if r, err := next.WaitTask(ctx, "t"); err != nil || r.Signal != int(syscall.SIGTERM) {
				t.Errorf("wait: %+v, %v", r, err)
			}
			if err := next.DestroyTask(ctx, "t", true); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPluginExitIsSeen(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	p.start("bomb", map[string]any{"plugin_exit_after": "20ms"})
	select {
	case <-p.Exited():
	case <-time.After(patience):
		t.Fatal("the end of the plugin was not seen")
	}
	if p.ExitReason() != "exit status 3" {
		t.Errorf("exit reason %q", p.ExitReason())
	}
}

func TestReattachRefusesAnotherProcess(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	for name, change := range map[string]func(*host.Record){
		"later process of the same pid": func(r *host.Record) { r.StartTime++ },
		"earlier boot":                  func(r *host.Record) { r.BootID = "another" },
		"nobody":                        func(r *host.Record) { r.PID = 1 << 22 },
	} {
		t.Run(name, func(t *testing.T) {
			r := p.Record()
			change(&r)
			if _, err := host.Reattach(testContext(t), r, host.Options{}); !errors.Is(err, host.ErrGone) {
				t.Errorf("reattach: %v", err)
			}
		})
	}
	select {
	case <-p.Exited():
		t.Error("the plugin has ended")
	default:
	}
}

func TestDiscard(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	if err := host.Discard(p.Record()); err != nil {
		t.Fatal(err)
	}
	<-p.Exited()
	if err := host.Discard(p.Record()); err != nil {
		t.Errorf("discard of a process that has ended: %v", err)
	}
}
