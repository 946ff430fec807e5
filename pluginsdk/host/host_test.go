package host_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
	"github.com/seraiproject/serai/pluginsdk/schema/hclvalue"
)

// bin holds the plugins under test.
var bin string

func TestMain(m *testing.M) {
	if path := os.Getenv("SERAI_TEST_HOST"); path != "" {
		os.Exit(runHost(path))
	}
	if versions := os.Getenv("SERAI_TEST_FOREIGN"); versions != "" {
		runForeign(versions)
		os.Exit(0)
	}
	if line := os.Getenv("SERAI_TEST_HANDSHAKE"); line != "" {
		os.Exit(runImpostor(line))
	}
	dir, err := os.MkdirTemp("", "serai-host")
	if err != nil {
		panic(err)
	}
	bin = dir
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator),
		"github.com/seraiproject/serai/cmd/serai-driver-mock",
		"github.com/seraiproject/serai/examples/driver-hello")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build plugins: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// patience bounds every wait of these tests; none of them should need more than a part of it.
const patience = 20 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// plugin is a launched and configured driver.
type plugin struct {
	*host.Plugin
	*host.DriverClient
	t *testing.T
}

func launch(t *testing.T, name string, config map[string]any) plugin {
	t.Helper()
	ctx := testContext(t)
	p, err := host.Launch(ctx, host.Options{Path: filepath.Join(bin, name), SocketDir: t.TempDir(), Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill() })
	spec, err := p.ConfigSchema(ctx)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hclvalue.Encode(spec, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range []*driver.Node{nil, {MinPort: 14000, MaxPort: 14512}} {
		if err := p.Configure(ctx, data, node); err != nil {
			t.Fatal(err)
		}
	}
	return client(t, p)
}

func client(t *testing.T, p *host.Plugin) plugin {
	t.Helper()
	d, err := p.Driver()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Init(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return plugin{p, d, t}
}

func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// taskConfig makes the directories and pipes of a task.
func (p plugin) taskConfig(id string, config map[string]any) (*driver.TaskConfig, *pipe) {
	p.t.Helper()
	ctx := testContext(p.t)
	spec, err := p.TaskConfigSchema(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	data, err := hclvalue.Encode(spec, config, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	dir := p.t.TempDir()
	for _, d := range []string{"alloc/logs", "web"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			p.t.Fatal(err)
		}
	}
	fifo := filepath.Join(dir, "alloc/logs/.web.stdout.fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return &driver.TaskConfig{
		Id:                  id,
		Name:                "web",
		AllocId:             "6f5f9a3c",
		MsgpackDriverConfig: data,
		AllocDir:            dir,
		StdoutPath:          fifo,
		StderrPath:          filepath.Join(dir, "alloc/logs/.web.stderr.fifo"),
	}, openPipe(p.t, fifo)
}

// pipe is the host's end of a task's output.
type pipe struct {
	t     *testing.T
	lines chan string
}

func openPipe(t *testing.T, path string) *pipe {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pipe{t: t, lines: make(chan string, 1000)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for s := bufio.NewScanner(f); s.Scan(); {
			p.lines <- s.Text()
		}
	})
	t.Cleanup(func() {
		f.Close()
		wg.Wait()
	})
	return p
}

func (p *pipe) want(text string) {
	p.t.Helper()
	select {
	case got := <-p.lines:
		if got != text {
			p.t.Fatalf("log line %q, want %q", got, text)
		}
	case <-time.After(patience):
		p.t.Fatalf("no log line, want %q", text)
	}
}

func (p plugin) start(id string, config map[string]any) (*driver.TaskHandle, *pipe) {
	p.t.Helper()
	task, out := p.taskConfig(id, config)
	handle, _, err := p.StartTask(testContext(p.t), task)
	if err != nil {
		p.t.Fatal(err)
	}
	return handle, out
}

func TestLaunchTellsWhoThePluginIs(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	info := p.Info()
	if info.Kind != host.KindDriver || info.Name != "mock" || info.APIVersion != "v0.1.0" {
		t.Errorf("info %+v", info)
	}
	if sid, err := unix.Getsid(p.PID()); err != nil || sid != p.PID() {
		t.Errorf("session %d of plugin %d, %v; want one of its own", sid, p.PID(), err)
	}
	c, err := p.Capabilities(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if !c.GetSendSignals() || !c.GetExec() || c.GetMustCreateNetwork() {
		t.Errorf("capabilities %v do not follow from what the mock task implements", c)
	}
	started := time.Now()
	if err := p.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited():
	default:
		t.Error("plugin lives after Stop")
	}
	if d := time.Since(started); d > 1500*time.Millisecond {
		t.Errorf("orderly stop took %s; the plugin was killed", d)
	}
	if _, err := os.Stat(p.Record().Address); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket after Stop: %v", err)
	}
}

func TestTaskRunsAndLogs(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	ctx := testContext(t)
	handle, out := p.start("a/web/1", map[string]any{
		"stdout_string": "line\n", "exit": true, "exit_code": "7", "event": "has begun"})
	out.want("line")
	if handle.GetConfig().GetId() != "a/web/1" || handle.GetState() != driver.TaskRunning {
		t.Errorf("handle %v", handle)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if r, err := p.WaitTask(ctx, "a/web/1"); err != nil || r.Code != 7 {
				t.Errorf("wait: %+v, %v", r, err)
			}
		})
	}
	wg.Wait()
	for e, err := range p.TaskEvents(ctx) {
		if err != nil || e.Message != "has begun" || e.TaskID != "a/web/1" || e.AllocID != "6f5f9a3c" {
			t.Errorf("event %+v, %v", e, err)
		}
		break
	}
	s, err := p.InspectTask(ctx, "a/web/1")
	if err != nil || s.State != driver.TaskExited || s.Result.Code != 7 || s.CompletedAt.Before(s.StartedAt) {
		t.Errorf("inspect: %+v, %v", s, err)
	}
	if err := p.StopTask(ctx, "a/web/1", 0, ""); err != nil {
		t.Errorf("stop of an ended task: %v", err)
	}
	if err := p.DestroyTask(ctx, "a/web/1", false); err != nil {
		t.Errorf("destroy: %v", err)
	}
	if err := p.DestroyTask(ctx, "a/web/1", true); err != nil {
		t.Errorf("destroy again: %v", err)
	}
	if _, err := p.WaitTask(ctx, "a/web/1"); !errors.Is(err, driver.ErrTaskNotFound) {
		t.Errorf("wait after destroy: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	cases := map[string]struct {
		config    map[string]any
		retryable bool
		text      string
	}{
		"final":     {map[string]any{"start_error": "no such image"}, false, "no such image"},
		"may pass":  {map[string]any{"start_error": "registry down", "start_error_recoverable": true}, true, "registry down"},
		"as text":   {map[string]any{"start_error": "down", "start_error_recoverable": "true"}, true, "down"},
		"same task": {map[string]any{}, false, "already known"},
	}
	p.start("same task", map[string]any{})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			task, _ := p.taskConfig(name, c.config)
			_, _, err := p.StartTask(testContext(t), task)
			if err == nil || !strings.Contains(err.Error(), c.text) || driver.IsRetryable(err) != c.retryable {
				t.Errorf("error %v, retryable %t", err, driver.IsRetryable(err))
			}
			if err != nil && strings.Contains(err.Error(), "rpc error") {
				t.Errorf("error %v shows the transport", err)
			}
		})
	}
}

func TestBadTaskConfigNamesTheField(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	spec, err := p.TaskConfigSchema(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = hclvalue.Encode(spec, map[string]any{"run_for": []any{}, "exit_code": "seven", "bogus": 1}, nil)
	var faults *hclvalue.Error
	if !errors.As(err, &faults) || len(faults.Faults) != 3 {
		t.Fatalf("faults: %v", err)
	}
	task, _ := p.taskConfig("x", map[string]any{"run_for": "tomorrow"})
	_, _, err = p.StartTask(testContext(t), task)
	if err == nil || !strings.Contains(err.Error(), `run_for: want a duration such as "10s", have "tomorrow"`) {
		t.Errorf("error %v", err)
	}
}

func TestStopKillSignal(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	ctx := testContext(t)
	p.start("obeys", map[string]any{"run_for": "1h"})
	p.start("ignores", map[string]any{"run_for": "1h", "kill_after": "1h"})
	p.start("refuses", map[string]any{"signal_error": "deaf"})
	if err := p.SignalTask(ctx, "obeys", "SIGHUP"); err != nil {
		t.Error(err)
	}
	if s, err := p.InspectTask(ctx, "obeys"); err != nil || s.Attributes["signals"] != "SIGHUP" {
		t.Errorf("inspect: %+v, %v", s, err)
	}
	if err := p.SignalTask(ctx, "refuses", "SIGHUP"); err == nil || !strings.Contains(err.Error(), "deaf") {
		t.Errorf("signal: %v", err)
	}
	if err := p.DestroyTask(ctx, "obeys", false); err == nil {
		t.Error("a running task was destroyed without force")
	}
	if err := p.StopTask(ctx, "obeys", time.Minute, "SIGINT"); err != nil {
		t.Error(err)
	}
	if r, err := p.WaitTask(ctx, "obeys"); err != nil || r.Signal != int(syscall.SIGINT) {
		t.Errorf("wait: %+v, %v", r, err)
	}
	if err := p.StopTask(ctx, "ignores", 10*time.Millisecond, ""); err != nil {
		t.Error(err)
	}
	if r, err := p.WaitTask(ctx, "ignores"); err != nil || r.Signal != int(syscall.SIGKILL) {
		t.Errorf("wait: %+v, %v", r, err)
	}
	if err := p.DestroyTask(ctx, "refuses", true); err != nil {
		t.Errorf("forced destroy: %v", err)
	}
	if err := p.StopTask(ctx, "never seen", 0, ""); err != nil {
		t.Errorf("stop of an unknown task: %v", err)
	}
}

func TestStatsComeUntilTheEnd(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	ctx := testContext(t)
	p.start("s", map[string]any{"cpu_percent": 12.5, "memory_mb": 3})
	n := 0
	for u, err := range p.TaskStats(ctx, "s", time.Millisecond) {
		if err != nil {
			t.Fatal(err)
		}
		if u.CPU.GetPercent() != 12.5 || u.Memory.GetRss() != 3<<20 || time.Since(u.Time) > patience {
			t.Errorf("usage %+v", u)
		}
		if n++; n == 3 {
			if err := p.StopTask(ctx, "s", 0, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n < 3 {
		t.Errorf("%d figures", n)
	}
}

func TestExec(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	ctx := testContext(t)
	p.start("e", map[string]any{"exec_exit_code": 5})

	out, err := p.ExecTask(ctx, "e", []string{"echo", "hi"}, 0)
	if err != nil || string(out.Stdout) != "echo hi\n" || string(out.Stderr) != "done\n" || out.Result.Code != 5 {
		t.Errorf("exec: %+v, %v", out, err)
	}
	if out, err := p.ExecTask(ctx, "e", []string{"sleep"}, time.Millisecond); err != nil || out.Result.Signal != 9 {
		t.Errorf("exec with timeout: %v, %v", out, err)
	}

	var stdout, stderr strings.Builder
	sizes := make(chan driver.TerminalSize, 1)
	sizes <- driver.TerminalSize{Height: 24, Width: 80}
	input := strings.Repeat("0123456789", 20_000)
	r, err := p.ExecTaskStreaming(ctx, "e", driver.ExecCommand{
		Args: []string{"cat"}, TTY: true, Resize: sizes,
		Stdin: strings.NewReader(input), Stdout: &stdout, Stderr: &stderr})
	if err != nil || r.Code != 5 {
		t.Fatalf("exec: %+v, %v", r, err)
	}
	if want := "cat\nterminal 80x24\n" + input; stdout.String() != want {
		t.Errorf("stdout of %d bytes, want %d", stdout.Len(), len(want))
	}
	if stderr.String() != "done\n" {
		t.Errorf("stderr %q", stderr.String())
	}

	brief, cancel := context.WithCancel(ctx)
	in, _ := io.Pipe()
	started := make(chan struct{})
	go func() {
		<-started
		cancel()
	}()
	_, err = p.ExecTaskStreaming(brief, "e", driver.ExecCommand{
		Args: []string{"cat"}, Stdin: in, Stdout: notify{started}, Stderr: io.Discard})
	in.Close()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled exec: %v", err)
	}
	if _, err := p.ExecTask(ctx, "nobody", []string{"true"}, 0); !errors.Is(err, driver.ErrTaskNotFound) {
		t.Errorf("exec in an unknown task: %v", err)
	}
}

// notify closes a channel at the first write.
type notify struct{ ch chan struct{} }

func (n notify) Write(p []byte) (int, error) {
	select {
	case <-n.ch:
	default:
		close(n.ch)
	}
	return len(p), nil
}

func TestFingerprintFollowsHealth(t *testing.T) {
	p := launch(t, "serai-driver-mock", map[string]any{
		"health_for": "50ms", "attributes": []any{map[string]any{"colour": "red"}}})
	var got []string
	for f, err := range p.Fingerprint(testContext(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Attributes["driver.mock.colour"].GetStringVal() != "red" {
			t.Errorf("attributes %v", f.Attributes)
		}
		if got = append(got, f.Health.String()); f.Health == driver.Unhealthy {
			break
		}
	}
	if strings.Join(got, ",") != "HEALTHY,UNHEALTHY" {
		t.Errorf("health %v", got)
	}
	sick := launch(t, "serai-driver-mock", map[string]any{"fingerprint_error": "cannot tell"})
	for _, err := range sick.Fingerprint(testContext(t)) {
		var fe *host.FingerprintError
		if !errors.As(err, &fe) || fe.Text != "cannot tell" {
			t.Errorf("fingerprint error %v", err)
		}
		break
	}
}

func TestConfigurationErrors(t *testing.T) {
	p := launch(t, "serai-driver-mock", nil)
	ctx := testContext(t)
	spec, err := p.ConfigSchema(ctx)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hclvalue.Encode(spec, map[string]any{"health": "superb"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(ctx, data, nil); err == nil || !strings.Contains(err.Error(), `have "superb"`) {
		t.Errorf("configure: %v", err)
	}
}

// runImpostor prints a line and stays, as a broken plugin might.
func runImpostor(line string) int {
	if line == "exit" {
		fmt.Fprintln(os.Stderr, "cannot find my libraries")
		return 4
	}
	fmt.Println(line)
	time.Sleep(time.Hour)
	return 0
}

func TestHandshakeRefusals(t *testing.T) {
	cases := map[string]struct {
		line         string
		text         string
		incompatible bool
	}{
		"core version": {"2|2|unix|/x|grpc|", `handshake version "2"`, true},
		"app version":  {"1|1|unix|/x|grpc|", `protocol version "1"`, true},
		"net/rpc":      {"1|2|unix|/x|netrpc|", "only grpc", false},
		"no protocol":  {"1|2|unix|/x", "only grpc", false},
		"no handshake": {"hello, world", "1 fields", false},
		"network":      {"1|2|udp|/x|grpc|", `network "udp"`, false},
		"no address":   {"1|2|unix||grpc|", "no address", false},
		"early end":    {"exit", "exit status 4", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := append(os.Environ(), "SERAI_TEST_HANDSHAKE="+c.line)
			_, err := host.Launch(testContext(t), host.Options{Path: os.Args[0], Env: env, Log: testLog(t)})
			if err == nil || !strings.Contains(err.Error(), c.text) || errors.Is(err, host.ErrIncompatible) != c.incompatible {
				t.Errorf("launch: %v", err)
			}
			if c.line == "exit" && !strings.Contains(err.Error(), "cannot find my libraries") {
				t.Errorf("launch: %v; want the plugin's last words", err)
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		env := append(os.Environ(), "SERAI_TEST_HANDSHAKE=\t")
		_, err := host.Launch(testContext(t), host.Options{
			Path: "/bin/sleep", Args: []string{"3600"}, Env: env, StartTimeout: 20 * time.Millisecond, Log: testLog(t)})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("launch: %v", err)
		}
	})
}
