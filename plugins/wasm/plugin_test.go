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

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
	"github.com/seraiproject/serai/pluginsdk/schema/hclvalue"
)

// binary builds the plugin's own binary into a tree like that of a build, with the example modules beside it.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(modules, "bin", "plugins", "wasm")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/serai-driver-wasm").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build plugin: %w\n%s", err, out)
	}
	examples := filepath.Join(modules, "bin", "examples")
	if err := os.MkdirAll(examples, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"http.wasm", "filter.wasm", "guest.wasm"} {
		if err := os.Link(filepath.Join(modules, name), filepath.Join(examples, name)); err != nil {
			return "", err
		}
	}
	return path, nil
})

// plugin is the real binary, reached as an agent reaches it.
type plugin struct {
	*host.Plugin
	driver *host.DriverClient
}

// launch starts the plugin. Config is its config block.
func launch(t testing.TB, config map[string]any) *plugin {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	p, err := host.Launch(ctx, host.Options{Path: path, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Errorf("stop plugin: %v", err)
		}
	})
	spec, err := p.ConfigSchema(ctx)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hclvalue.Encode(spec, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(ctx, data, &driver.Node{}); err != nil {
		t.Fatal(err)
	}
	d, err := p.Driver()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Init(ctx); err != nil {
		t.Fatal(err)
	}
	return &plugin{Plugin: p, driver: d}
}

// encode sets the task's config block from what a job file would hold.
func (p *plugin) encode(t testing.TB, task *driver.TaskConfig, config map[string]any) {
	t.Helper()
	spec, err := p.driver.TaskConfigSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if task.MsgpackDriverConfig, err = hclvalue.Encode(spec, config, nil); err != nil {
		t.Fatal(err)
	}
}

func pluginConfig(n *node) map[string]any {
	return map[string]any{"cache_dir": n.config.CacheDir, "state_dir": n.config.StateDir}
}

func TestPluginFingerprint(t *testing.T) {
	n := newNode(t, nil)
	p := launch(t, pluginConfig(n))
	if info := p.Info(); info.Name != "wasm" {
		t.Errorf("info %+v", info)
	}
	for f, err := range p.driver.Fingerprint(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		version := f.Attributes["driver.wasm.version"].GetStringVal()
		features := f.Attributes["driver.wasm.features"].GetStringVal()
		if f.Health != driver.Healthy || !strings.HasPrefix(version, "1.") || !strings.Contains(features, "simd") ||
			f.Attributes["driver.wasm.wasi"].GetStringVal() != "preview1" {
			t.Errorf("fingerprint %+v", f)
		}
		break
	}
	capabilities, err := p.driver.Capabilities(t.Context())
	if err != nil || capabilities.GetExec() || !capabilities.GetSendSignals() || capabilities.GetFsIsolation() != driver.FSIsolationImage {
		t.Errorf("capabilities %+v, %v", capabilities, err)
	}
}

// A task outlives kill -9 of its plugin: same process, same sockets; another plugin takes it up, hears how it ends, and
// cleans up after it. The same goes for a task that ends while no plugin is there.
func TestKillPlugin(t *testing.T) {
	n := newNode(t, nil)
	first := launch(t, pluginConfig(n))
	ctx := t.Context()

	service := n.job(t, "", nil)
	address := service.port(t, "http")
	first.encode(t, service.task, map[string]any{"module": "http.wasm", "listen": []any{"http"}})
	serviceHandle, _, err := first.driver.StartTask(ctx, service.task)
	if err != nil {
		t.Fatal(err)
	}
	batch := n.job(t, "", nil)
	first.encode(t, batch.task, map[string]any{"module": "guest.wasm", "args": []any{"sleep", "1s"}})
	batchHandle, _, err := first.driver.StartTask(ctx, batch.task)
	if err != nil {
		t.Fatal(err)
	}
	before, err := first.driver.InspectTask(ctx, service.task.GetId())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	get(t, "http://"+address+"/")
	batch.stdout.await(t, "awake")

	second := launch(t, pluginConfig(n))
	for _, handle := range []*driver.TaskHandle{serviceHandle, batchHandle} {
		handle.Config.MsgpackDriverConfig = nil // as after a restart of a foreign agent
		if err := second.driver.RecoverTask(ctx, handle); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := second.driver.WaitTask(ctx, batch.task.GetId()); err != nil || got != (driver.ExitResult{Code: 7}) {
		t.Errorf("batch task: %+v, %v", got, err)
	}
	after, err := second.driver.InspectTask(ctx, service.task.GetId())
	if err != nil || before.Attributes["pid"] == "" || after.Attributes["pid"] != before.Attributes["pid"] {
		t.Errorf("pid %v before, %v after, %v", before.Attributes, after.Attributes, err)
	}
	get(t, "http://"+address+"/healthz")
	service.stdout.await(t, "GET /healthz 200")
	if err := second.driver.StopTask(ctx, service.task.GetId(), 10*time.Second, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := second.driver.WaitTask(ctx, service.task.GetId()); err != nil || got.Signal != 2 {
		t.Errorf("service: %+v, %v", got, err)
	}
	for _, j := range []*job{service, batch} {
		if err := second.driver.DestroyTask(ctx, j.task.GetId(), true); err != nil {
			t.Error(err)
		}
	}
	n.checkClean(t)
}

func TestPluginTaskConfig(t *testing.T) {
	n := newNode(t, nil)
	p := launch(t, pluginConfig(n))
	ctx := t.Context()
	j := n.job(t, "", nil)
	p.encode(t, j.task, map[string]any{
		"module": "guest.wasm", "args": []any{"time"},
		"mounts": []any{map[string]any{"source": "local", "target": "/data"}, map[string]any{"source": "tmp", "target": "/scratch", "readonly": false}},
		"clock":  map[string]any{"start": "2031-01-01T00:00:00Z"},
		"random": map[string]any{"seed": 7},
	})
	if _, _, err := p.driver.StartTask(ctx, j.task); err != nil {
		t.Fatal(err)
	}
	j.stdout.await(t, "2031-01-01T00:00:00")
	if _, err := p.driver.ExecTask(ctx, j.task.GetId(), []string{"/bin/sh"}, time.Second); err == nil {
		t.Error("exec in a module was accepted")
	}
	if err := p.driver.DestroyTask(ctx, j.task.GetId(), true); err != nil {
		t.Error(err)
	}
}

// Compiling takes seconds for a large module; the second start takes the machine code from the cache. The trap of a
// module comes as a task event.
func TestPluginCacheAndEvents(t *testing.T) {
	n := newNode(t, nil)
	config := pluginConfig(n)
	config["cache_dir"] = t.TempDir()
	config["module_paths"] = []any{modules}
	p := launch(t, config)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := make(chan host.TaskEvent, 16)
	go func() {
		defer close(events)
		for event, err := range p.driver.TaskEvents(ctx) {
			if err != nil {
				return
			}
			events <- event
		}
	}()
	await := func(text string) host.TaskEvent {
		t.Helper()
		timeout := time.After(30 * time.Second)
		for {
			select {
			case event := <-events:
				if strings.Contains(event.Message, text) {
					return event
				}
			case <-timeout:
				t.Fatalf("no event with %q", text)
			}
		}
	}
	start := func(module string) time.Duration {
		t.Helper()
		j := n.job(t, "", nil)
		p.encode(t, j.task, map[string]any{"module": module})
		begin := time.Now()
		if _, _, err := p.driver.StartTask(ctx, j.task); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		if _, err := p.driver.WaitTask(ctx, j.task.GetId()); err != nil {
			t.Error(err)
		}
		if err := p.driver.DestroyTask(ctx, j.task.GetId(), true); err != nil {
			t.Error(err)
		}
		return took
	}
	cold := start("filter.wasm")
	await("Compiled module filter in")
	warm := start("filter.wasm")
	t.Logf("start of filter.wasm: %s cold, %s warm", cold, warm)

	write(t, "trap.wasm", trapModule())
	start("trap.wasm")
	await("WebAssembly trap: unreachable, in trap.inner()")
}

// pss adds up the proportional memory of the processes of a task, in KiB.
func pss(t testing.TB, pids ...string) (total int) {
	t.Helper()
	for _, pid := range pids {
		content, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			var kib int
			if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kib); n == 1 {
				total += kib
			}
		}
	}
	return total
}

// parent is the pid of a process's parent: of a task, its supervisor.
func parent(t testing.TB, pid string) string {
	t.Helper()
	content, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(line, "PPid:"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("process %s has no parent", pid)
	return ""
}

// BenchmarkStart measures the time from the call to the guest's first answer or line.
func BenchmarkStart(b *testing.B) {
	for _, cache := range []string{"cold", "warm"} {
		for _, module := range []string{"filter.wasm", "http.wasm"} {
			b.Run(fmt.Sprintf("cache=%s/module=%s", cache, module), func(b *testing.B) {
				n := newNode(b, nil)
				config := pluginConfig(n)
				config["cache_dir"] = b.TempDir()
				p := launch(b, config)
				run := func() { startOnce(b, n, p, module) }
				if cache == "warm" {
					run()
				}
				for b.Loop() {
					if cache == "cold" {
						b.StopTimer()
						if err := os.RemoveAll(config["cache_dir"].(string)); err != nil {
							b.Fatal(err)
						}
						b.StartTimer()
					}
					run()
				}
			})
		}
	}
}

// startOnce starts a module, waits until it has done something, and ends it.
func startOnce(b *testing.B, n *node, p *plugin, module string) {
	ctx := b.Context()
	j := n.job(b, "", nil)
	config := map[string]any{"module": module, "args": []any{"hello"}}
	var address string
	if module == "http.wasm" {
		address = j.port(b, "http")
		config = map[string]any{"module": module, "listen": []any{"http"}}
	}
	p.encode(b, j.task, config)
	if _, _, err := p.driver.StartTask(ctx, j.task); err != nil {
		b.Fatal(err)
	}
	if address != "" {
		get(b, "http://"+address+"/")
	} else if _, err := p.driver.WaitTask(ctx, j.task.GetId()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	defer b.StartTimer()
	if err := p.driver.DestroyTask(ctx, j.task.GetId(), true); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkIdle reports the memory of ten idle services of one module, supervisors included.
func BenchmarkIdle(b *testing.B) {
	const count = 10
	n := newNode(b, nil)
	p := launch(b, pluginConfig(n))
	ctx := b.Context()
	for b.Loop() {
		var pids []string
		var started []*job
		for range count {
			j := n.job(b, "", nil)
			address := j.port(b, "http")
			p.encode(b, j.task, map[string]any{"module": "http.wasm", "listen": []any{"http"}})
			if _, _, err := p.driver.StartTask(ctx, j.task); err != nil {
				b.Fatal(err)
			}
			get(b, "http://"+address+"/")
			status, err := p.driver.InspectTask(ctx, j.task.GetId())
			if err != nil {
				b.Fatal(err)
			}
			pid := status.Attributes["pid"]
			pids = append(pids, pid, parent(b, pid))
			started = append(started, j)
		}
		b.ReportMetric(float64(pss(b, pids...))/count, "KiB/task")
		for _, j := range started {
			if err := p.driver.DestroyTask(ctx, j.task.GetId(), true); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRequests measures how many requests a guest serves.
func BenchmarkRequests(b *testing.B) {
	n := newNode(b, nil)
	j := n.job(b, "http.wasm", nil)
	address := j.port(b, "http")
	j.start(b)
	get(b, "http://"+address+"/")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, DialContext: (&net.Dialer{}).DialContext}}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			response, err := client.Get("http://" + address + "/")
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	})
}
