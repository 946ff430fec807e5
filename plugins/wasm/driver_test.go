package wasm_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/plugins/wasm"
	"github.com/seraiproject/serai/plugins/wasm/runner"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/schema"
)

// modules is the folder of the modules that TestMain builds.
var modules string

// The test binary serves as runner, as the plugin's binary does.
func TestMain(m *testing.M) {
	runner.Main()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wasm-modules-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	modules = dir
	for name, folder := range map[string]string{
		"http.wasm":   "../../examples/wasm/http",
		"filter.wasm": "../../examples/wasm/filter",
		"guest.wasm":  "./testdata/guest",
	} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, name), folder)
		build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", folder, err, out)
			return 1
		}
	}
	return m.Run()
}

// node is a driver with all that a host would have prepared for its tasks.
type node struct {
	driver *wasm.Driver
	config wasm.Config
	dir    string

	mu     sync.Mutex
	events []driver.Event
}

// sharedCache is the compile cache of all tests: what they test is rarely how long compiling takes.
var sharedCache = sync.OnceValue(func() string { return filepath.Join(modules, "cache") })

func newNode(t testing.TB, change func(*wasm.Config)) *node {
	t.Helper()
	n := &node{driver: &wasm.Driver{}, dir: t.TempDir()}
	if err := schema.Defaults(&n.config); err != nil {
		t.Fatal(err)
	}
	n.config.CacheDir = sharedCache()
	n.config.StateDir = filepath.Join(n.dir, "state")
	n.config.ModulePaths = &[]string{modules}
	if change != nil {
		change(&n.config)
	}
	n.configure(t, n.driver)
	return n
}

func (n *node) configure(t testing.TB, d *wasm.Driver) {
	t.Helper()
	env := &driver.Env{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Node: &driver.Node{}, Emit: n.emit, Refingerprint: func() {}}
	if err := d.Configure(t.Context(), env, &n.config); err != nil {
		t.Fatal(err)
	}
}

func (n *node) emit(event driver.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, event)
}

// event returns the first event whose message contains text.
func (n *node) event(text string) (driver.Event, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, event := range n.events {
		if strings.Contains(event.Message, text) {
			return event, true
		}
	}
	return driver.Event{}, false
}

// job is a task that a test wants to run.
type job struct {
	n      *node
	task   *driver.TaskConfig
	config wasm.TaskConfig
	stdout *collector
	stderr *collector
}

var jobs struct {
	sync.Mutex
	count int
}

// job prepares directories, FIFOs and resources for a task that runs a module.
func (n *node) job(t testing.TB, module string, change func(*wasm.TaskConfig)) *job {
	t.Helper()
	jobs.Lock()
	jobs.count++
	id := fmt.Sprintf("%d-%d", os.Getpid(), jobs.count)
	jobs.Unlock()
	alloc := filepath.Join(n.dir, "alloc-"+id)
	task := filepath.Join(alloc, "web")
	for _, dir := range []string{"alloc/data", "alloc/logs", "alloc/tmp", "web/local", "web/secrets", "web/tmp"} {
		path := filepath.Join(alloc, dir)
		if err := os.MkdirAll(path, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(task, 0o777); err != nil {
		t.Fatal(err)
	}
	j := &job{n: n, config: wasm.TaskConfig{Module: module}}
	j.stdout, j.stderr = collect(t, filepath.Join(alloc, "stdout.fifo")), collect(t, filepath.Join(alloc, "stderr.fifo"))
	j.task = &driver.TaskConfig{
		Id: "alloc-" + id + "/web/0123abcd", Name: "web", AllocId: "alloc-" + id, AllocDir: alloc,
		StdoutPath: j.stdout.path, StderrPath: j.stderr.path,
		Env: map[string]string{"NOMAD_TASK_NAME": "web", "NOMAD_SHORT_ALLOC_ID": "alloc"},
		Resources: &driver.Resources{
			AllocatedResources: &driverpb.AllocatedTaskResources{},
			LinuxResources:     &driver.LinuxResources{CpuShares: 100, MemoryLimitBytes: 64 << 20},
		},
	}
	if change != nil {
		change(&j.config)
	}
	return j
}

// port gives the task a port with a label, free at the moment.
func (j *job) port(t testing.TB, label string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	number := l.Addr().(*net.TCPAddr).Port
	j.task.Resources.Ports = append(j.task.Resources.Ports, &driver.PortMapping{Label: label, Value: int32(number), HostIp: "127.0.0.1"})
	j.config.Listen = append(j.config.Listen, label)
	return fmt.Sprintf("127.0.0.1:%d", number)
}

// start starts the task and has it destroyed at the end of the test.
func (j *job) start(t testing.TB) *wasm.Task {
	t.Helper()
	task, err := j.n.driver.Start(t.Context(), j.task, &j.config)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := task.Destroy(context.Background()); err != nil {
			t.Errorf("Destroy: %v", err)
		}
	})
	return task
}

// refused starts the task and returns the error.
func (j *job) refused(t *testing.T) string {
	t.Helper()
	task, err := j.n.driver.Start(t.Context(), j.task, &j.config)
	if err == nil {
		_ = task.Destroy(context.Background())
		t.Fatal("Start succeeded")
	}
	j.n.checkClean(t)
	return err.Error()
}

// run starts the task and waits for its end.
func (j *job) run(t *testing.T) driver.ExitResult {
	t.Helper()
	return wait(t, j.start(t))
}

func wait(t *testing.T, task *wasm.Task) driver.ExitResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	result, err := task.Wait(ctx)
	if err != nil {
		t.Fatalf("Wait: %v", err)
	}
	return result
}

// checkClean fails the test if tasks have left something behind.
func (n *node) checkClean(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(n.config.StateDir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("left behind: %s", filepath.Join(n.config.StateDir, entry.Name()))
	}
}

// collector reads a FIFO, as a host does.
type collector struct {
	path string
	file *os.File

	mu   sync.Mutex
	text strings.Builder
}

func collect(t testing.TB, path string) *collector {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{path: path, file: file}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			c.mu.Lock()
			c.text.Write(buf[:n])
			c.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		file.Close()
		<-done
	})
	return c
}

func (c *collector) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// await waits until text has been written.
func (c *collector) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, func() error {
		if got := c.String(); !strings.Contains(got, text) {
			return fmt.Errorf("%s holds no %q: %q", filepath.Base(c.path), text, got)
		}
		return nil
	})
}

// eventually repeats a check until it passes or its time is up.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

// get returns the body of a page.
func get(t testing.TB, url string) string {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestHTTPService(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "http.wasm", nil)
	address := j.port(t, "http")
	j.task.Env["NOMAD_ADDR_http"] = address
	task := j.start(t)
	if got := get(t, "http://"+address+"/"); got != "Hello from WebAssembly, allocation alloc.\n" {
		t.Errorf("/ answers %q", got)
	}
	if got := get(t, "http://"+address+"/env"); !strings.Contains(got, "NOMAD_TASK_NAME=web\n") || strings.Contains(got, "PATH=") {
		t.Errorf("/env answers %q", got)
	}
	j.stdout.await(t, "GET /env 200")
	if err := task.Stop(t.Context(), "", 10*time.Second); err != nil {
		t.Fatalf("Stop: %v", err)
	}
	if got := wait(t, task); got != (driver.ExitResult{Signal: 2}) {
		t.Errorf("result %+v", got)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("the port still listens")
	}
}
