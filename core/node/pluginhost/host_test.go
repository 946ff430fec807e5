package pluginhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
	"github.com/seraiproject/serai/core/node/taskenv"
	"github.com/seraiproject/serai/core/node/taskrunner"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built != "" {
			os.RemoveAll(built)
		}
		os.Exit(code)
	}))
}

// built is where mock put the driver.
var built string

// mock is the mock driver's executable, built once.
var mock = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "serai-mock")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "mock")
	if out, err := exec.Command("go", "build", "-o", path, "../../../cmd/serai-driver-mock").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build mock driver: %w\n%s", err, out)
	}
	return path, nil
})

// memory is a Store.
type memory struct {
	mu      sync.Mutex
	records map[string][]byte
}

func (m *memory) PutPlugin(name string, record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if record == nil {
		delete(m.records, name)
	} else {
		m.records[name] = record
	}
	return nil
}

func (m *memory) Plugins() (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	records := map[string][]byte{}
	for k, v := range m.records {
		records[k] = v
	}
	return records, nil
}

func pluginDir(t *testing.T, names ...string) string {
	t.Helper()
	path, err := mock()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range names {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func start(t *testing.T, c Config) *Host {
	t.Helper()
	if c.Store == nil {
		c.Store = &memory{records: map[string][]byte{}}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	h, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-h.Settled():
	case <-time.After(20 * time.Second):
		t.Fatal("plugins do not settle")
	}
	return h
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func request(t *testing.T, config map[string]any) *taskrunner.StartRequest {
	t.Helper()
	task := &model.Task{Name: "main", Driver: "mock", Config: config}
	a := &model.Allocation{
		ID: model.AllocID(model.NewUUID()), JobID: "j", TaskGroup: "g",
		Job: &model.Job{ID: "j", TaskGroups: []*model.TaskGroup{{Name: "g", Tasks: []*model.Task{task}}}},
	}
	dir := allocdir.Dir{Root: t.TempDir()}
	return &taskrunner.StartRequest{
		ID: string(a.ID) + "/main/1", Alloc: a, Task: task, Dir: dir.Task("main"),
		Env: taskenv.New(&taskenv.Config{Alloc: a, Task: task, Node: &model.Node{}}),
	}
}

func mockDriver(t *testing.T, h *Host) taskrunner.Driver {
	t.Helper()
	d, err := h.Driver(context.Background(), "mock")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// started starts a task whose pipes exist, with nobody who reads them.
func started(t *testing.T, d taskrunner.Driver, config map[string]any) *taskrunner.StartRequest {
	t.Helper()
	r := request(t, config)
	if err := os.MkdirAll(r.Dir.Alloc.Logs(), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{r.Dir.Stdout(), r.Dir.Stderr()} {
		if err := unix.Mkfifo(p, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(p, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
	}
	if _, err := d.Start(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConfigured(t *testing.T) {
	for name, block := range map[string]Block{
		"by the file's name":  {Name: "my-mock", Config: map[string]any{"attributes": map[string]any{"color": "red"}}},
		"by the reported one": {Name: "mock", Config: map[string]any{"attributes": []any{map[string]any{"color": "red"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, Config{Dir: pluginDir(t, "my-mock"), Blocks: []Block{block}})
			defer h.Stop()
			infos, attrs := h.Drivers()
			d := infos["mock"]
			if d == nil || !d.Healthy || !d.Detected || d.Attributes["driver.mock"] != "true" || attrs["driver.mock"] != "1" {
				t.Errorf("%+v, %v", d, attrs)
			}
			if !strings.Contains(fmt.Sprint(attrs), "color:red") {
				t.Errorf("the block was not used: %v", attrs)
			}
		})
	}
}

func TestBrokenPluginsDoNotHarmOthers(t *testing.T) {
	dir := pluginDir(t, "good", "misconfigured")
	if err := os.WriteFile(filepath.Join(dir, "broken"), []byte("#!/bin/sh\necho nonsense\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := start(t, Config{Dir: dir, Blocks: []Block{{Name: "misconfigured", Config: map[string]any{"zzz": 1}}}})
	defer h.Stop()
	if _, err := h.Driver(context.Background(), "mock"); err != nil {
		t.Error(err)
	}
	if _, err := h.Driver(context.Background(), "nothing"); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	health := map[string]string{}
	for _, p := range h.Plugins() {
		health[filepath.Base(p.Path)] = p.Health
	}
	if health["good"] != "healthy" || !strings.Contains(health["misconfigured"], "zzz") || !strings.Contains(health["broken"], "handshake") || len(health) != 3 {
		t.Errorf("%q", health)
	}
}

func TestDenied(t *testing.T) {
	h := start(t, Config{Dir: pluginDir(t, "mock"), Deny: []string{"mock"}})
	defer h.Stop()
	if _, err := h.Driver(context.Background(), "mock"); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if infos, _ := h.Drivers(); len(infos) != 0 {
		t.Errorf("%v", infos)
	}
}

func TestTaskLife(t *testing.T) {
	events := make(chan host.TaskEvent, 10)
	h := start(t, Config{Dir: pluginDir(t, "mock"), TaskEvent: func(e host.TaskEvent) { events <- e }})
	defer h.Stop()
	d := mockDriver(t, h)
	ctx := context.Background()

	_, err := d.Start(ctx, request(t, map[string]any{"nonsense": 1}))
	if se := (*taskrunner.StartError)(nil); !errors.As(err, &se) || !se.Invalid || se.Retryable {
		t.Errorf("a wrong config: %v", err)
	}
	_, err = d.Start(ctx, request(t, map[string]any{"start_error": "no luck", "start_error_recoverable": true}))
	if se := (*taskrunner.StartError)(nil); !errors.As(err, &se) || !se.Retryable {
		t.Errorf("an error that may pass: %v", err)
	}
	_, err = d.Start(ctx, request(t, map[string]any{"start_error": "never"}))
	if se := (*taskrunner.StartError)(nil); !errors.As(err, &se) || se.Retryable {
		t.Errorf("an error for good: %v", err)
	}

	r := started(t, d, map[string]any{"run_for": "20ms", "exit_code": 7, "event": "hello from ${NOMAD_TASK_NAME}"})
	if e := <-events; e.Message != "hello from main" || e.TaskID != r.ID {
		t.Errorf("%+v", e)
	}
	if x, err := d.Wait(ctx, r.ID); err != nil || x.Code != 7 {
		t.Errorf("%+v, %v", x, err)
	}
	if err := d.Destroy(ctx, r.ID); err != nil {
		t.Error(err)
	}

	r = started(t, d, nil)
	var out bytes.Buffer
	if _, err := d.Exec(ctx, r.ID, []string{"x"}, false, httpapi.ExecStreams{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}); err != nil {
		t.Error(err)
	}
	u, err := d.Usage(ctx, r.ID)
	if err != nil || u == nil || u.ResourceUsage.CpuStats.Percent == 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if err := d.Stop(ctx, r.ID, "SIGTERM", time.Second); err != nil {
		t.Error(err)
	}
	if _, err := d.Wait(ctx, r.ID); err != nil {
		t.Error(err)
	}
	if err := d.Destroy(ctx, r.ID); err != nil {
		t.Error(err)
	}
	if err := d.Stop(ctx, r.ID, "", 0); err != nil {
		t.Errorf("stop of an unknown task: %v", err)
	}
}

// TestPluginDies kills the plugin under a task, once with a task that can be
// taken up again and once with one that can't.
func TestPluginDies(t *testing.T) {
	changes := make(chan struct{}, 100)
	h := start(t, Config{Dir: pluginDir(t, "mock"), Changed: func() { changes <- struct{}{} }})
	defer h.Stop()
	d := mockDriver(t, h)
	ctx := context.Background()
	kept := started(t, d, map[string]any{"run_for": "1000h"})
	lost := started(t, d, map[string]any{"run_for": "1000h", "recover_error": "forgot it"})
	type end struct {
		x   taskrunner.Exit
		err error
	}
	waited := make(chan end, 1)
	go func() {
		x, err := d.Wait(ctx, lost.ID)
		waited <- end{x, err}
	}()
	pid := h.Plugins()[0].PID
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Calls wait for the next process.
	if e := <-waited; e.err != nil || e.x.Err == nil || !strings.Contains(e.x.Err.Error(), "forgot it") {
		t.Errorf("%+v", e)
	}
	if err := d.Stop(ctx, kept.ID, "SIGTERM", time.Second); err != nil {
		t.Error(err)
	}
	if x, err := d.Wait(ctx, kept.ID); err != nil || x.Err != nil {
		t.Errorf("%+v, %v", x, err)
	}
	p := h.Plugins()[0]
	if p.PID == pid || p.Restarts != 1 || p.Tasks != 2 {
		t.Errorf("%+v", p)
	}
	if infos, _ := h.Drivers(); !infos["mock"].Healthy {
		t.Error("the driver became unhealthy in between")
	}
	for _, r := range []*taskrunner.StartRequest{kept, lost} {
		if err := d.Destroy(ctx, r.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestReload(t *testing.T) {
	h := start(t, Config{Dir: pluginDir(t, "mock")})
	defer h.Stop()
	d := mockDriver(t, h)
	r := started(t, d, map[string]any{"run_for": "1000h"})
	pid := h.Plugins()[0].PID
	if err := h.Reload("mock"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another process", func() bool {
		p := h.Plugins()[0]
		return p.PID != 0 && p.PID != pid
	})
	if err := d.Signal(context.Background(), r.ID, "SIGHUP"); err != nil {
		t.Errorf("the task is not known to the new process: %v", err)
	}
	if err := d.Destroy(context.Background(), r.ID); err != nil {
		t.Error(err)
	}
	if err := h.Reload("nothing"); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestAdopted leaves a plugin behind as a killed agent does, and finds it
// again.
func TestAdopted(t *testing.T) {
	dir, store := pluginDir(t, "mock"), &memory{records: map[string][]byte{}}
	path := filepath.Join(dir, "mock")
	first, err := host.Launch(context.Background(), host.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Configure(context.Background(), []byte{0x80}, &driver.Node{}); err != nil {
		t.Fatal(err)
	}
	record := first.Record()
	first.Detach()
	enc := fmt.Appendf(nil, `{"pid":%d,"start_time":%d,"boot_id":%q,"network":%q,"address":%q,"protocol_version":%d,"path":%q}`,
		record.PID, record.StartTime, record.BootID, record.Network, record.Address, record.ProtocolVersion, record.Path)
	if err := store.PutPlugin("mock", enc); err != nil {
		t.Fatal(err)
	}
	gone := fmt.Appendf(nil, `{"pid":%d,"start_time":1,"boot_id":%q,"network":"unix","address":"/nowhere","protocol_version":2}`, os.Getpid(), record.BootID)
	if err := store.PutPlugin("removed", gone); err != nil {
		t.Fatal(err)
	}
	h := start(t, Config{Dir: dir, Store: store})
	if p := h.Plugins()[0]; p.PID != record.PID || p.Health != "healthy" {
		t.Errorf("%+v, want pid %d", p, record.PID)
	}
	h.Stop()
	if records, _ := store.Plugins(); len(records) != 0 {
		t.Errorf("records are left: %q", records)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", record.PID)); err == nil {
		eventually(t, "the plugin ends", func() bool {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", record.PID))
			return err != nil || strings.Contains(string(b), ") Z ")
		})
	}
}

// TestPluginDiesWhileStarting kills the plugin under a start: the next process
// makes it.
func TestPluginDiesWhileStarting(t *testing.T) {
	h := start(t, Config{Dir: pluginDir(t, "mock")})
	defer h.Stop()
	d := mockDriver(t, h)
	pid := h.Plugins()[0].PID
	r := request(t, map[string]any{"start_block_for": "300ms", "run_for": "1000h"})
	done := make(chan error, 1)
	go func() {
		_, err := d.Start(context.Background(), r)
		done <- err
	}()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if p := h.Plugins()[0]; p.PID == pid || p.Tasks != 1 {
		t.Errorf("%+v", p)
	}
	if err := d.Destroy(context.Background(), r.ID); err != nil {
		t.Error(err)
	}
}
