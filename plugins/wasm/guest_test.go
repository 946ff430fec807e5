package wasm_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seraiproject/serai/plugins/wasm"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

func args(list ...string) func(*wasm.TaskConfig) {
	return func(c *wasm.TaskConfig) { c.Args = list }
}

func TestExitCodes(t *testing.T) {
	n := newNode(t, nil)
	for _, code := range []int{0, 1, 3, 255, 256, 70000} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			if got := n.job(t, "guest.wasm", args("exit", fmt.Sprint(code))).run(t); got != (driver.ExitResult{Code: code}) {
				t.Errorf("result %+v", got)
			}
		})
	}
}

func TestArgsAndEnv(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "guest.wasm", args("args", "a b", ""))
	j.run(t)
	j.stdout.await(t, `["guest" "args" "a b" ""]`)
	j = n.job(t, "guest.wasm", args("env"))
	j.task.Env = map[string]string{"B": "2=3", "A": "1"}
	j.run(t)
	j.stdout.await(t, "A=1\nB=2=3\n")
}

func TestStdin(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "filter.wasm", func(c *wasm.TaskConfig) { c.Stdin = "local/in.txt" })
	if err := os.WriteFile(filepath.Join(j.task.AllocDir, "web/local/in.txt"), []byte("one two\nthree\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := j.run(t); !got.Successful() {
		t.Errorf("result %+v, stderr %s", got, j.stderr)
	}
	j.stdout.await(t, "  1  2  ONE TWO\n  2  1  THREE\n2 lines, 3 words\n")

	if got := n.job(t, "filter.wasm", nil).run(t); got.Code != 1 {
		t.Errorf("without input: result %+v", got)
	}
	if got := newNode(t, nil).job(t, "filter.wasm", func(c *wasm.TaskConfig) { c.Stdin = "local/none" }).refused(t); !strings.Contains(got, "local/none") {
		t.Errorf("missing file: %s", got)
	}
}

func TestTrap(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, write(t, "trap.wasm", trapModule()), nil)
	if got := j.run(t); got != (driver.ExitResult{Code: 134}) {
		t.Errorf("result %+v", got)
	}
	event, ok := n.event("WebAssembly trap")
	if want := "WebAssembly trap: unreachable, in trap.inner() < trap.outer() < trap.$2()"; !ok || event.Message != want {
		t.Errorf("event %q, want %q", event.Message, want)
	}
	if event.Task.GetId() != j.task.Id || event.Annotations["trap"] != "unreachable" {
		t.Errorf("event %+v", event)
	}
	j.stderr.await(t, "trap: unreachable\nwasm stack:\n  trap.inner()\n  trap.outer()")
}

func TestEntrypoint(t *testing.T) {
	n := newNode(t, nil)
	write(t, "trap.wasm", trapModule())
	j := n.job(t, "trap.wasm", func(c *wasm.TaskConfig) { c.Entrypoint = "answer" })
	if got := j.run(t); got != (driver.ExitResult{Code: 42}) {
		t.Errorf("result %+v", got)
	}
}

func TestRefusedModules(t *testing.T) {
	n := newNode(t, nil)
	outside := filepath.Join(t.TempDir(), "outside.wasm")
	if err := os.WriteFile(outside, trapModule(), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(modules, "link.wasm")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(link)
	for _, test := range []struct {
		name   string
		module string
		change func(*wasm.TaskConfig)
		want   string
	}{
		{"component", write(t, "component.wasm", []byte("\x00asm\x0d\x00\x01\x00")), nil, "wasm32-wasip1"},
		{"text", write(t, "text.wasm", []byte("(module)")), nil, "text format"},
		{"garbage", write(t, "garbage.wasm", []byte("#!/bin/sh\nexit")), nil, "not a WebAssembly module"},
		{"empty", write(t, "empty.wasm", nil), nil, "the file is empty"},
		{"truncated", write(t, "truncated.wasm", trapModule()[:30]), nil, "invalid WebAssembly module"},
		{"bomb", write(t, "bomb.wasm", []byte("\x00asm\x01\x00\x00\x00\x01\x07\x01\x60\xff\xff\xff\xff\x0f")), nil, "bomb: it takes more memory than a module of its size should"},
		{"imports", write(t, "imports.wasm", importModule()), nil, "env.magic"},
		{"no entrypoint", write(t, "library.wasm", libraryModule()), nil, `exports no function "_start": set entrypoint to one that it exports: work`},
		{"entrypoint with parameters", write(t, "library.wasm", libraryModule()),
			func(c *wasm.TaskConfig) { c.Entrypoint = "work" }, "takes no parameters"},
		{"no such file", "absent.wasm", nil, "absent.wasm is neither in the task's directory nor in"},
		{"parent", "../../x.wasm", nil, "leads out of the task's directory"},
		{"host path", "/etc/hostname", nil, "not below an allowed host directory"},
		{"symbolic link", "link.wasm", nil, "by a symbolic link"},
		{"directory", ".", nil, "is not a file"},
		{"unknown port", "guest.wasm", func(c *wasm.TaskConfig) { c.Listen = []string{"http"} }, `no port labelled "http"`},
		{"mount of host", "guest.wasm", func(c *wasm.TaskConfig) {
			c.Mounts = []wasm.MountConfig{{Source: "/etc", Target: "/etc"}}
		}, "mounts[0].source: /etc is not below an allowed host directory"},
		{"mount of parent", "guest.wasm", func(c *wasm.TaskConfig) {
			c.Mounts = []wasm.MountConfig{{Source: "local/../..", Target: "/x"}}
		}, "leads out of the task's directory"},
		{"mount without target", "guest.wasm", func(c *wasm.TaskConfig) {
			c.Mounts = []wasm.MountConfig{{Source: "local", Target: "x"}}
		}, "mounts[0].target"},
		{"memory", "guest.wasm", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := n.job(t, test.module, test.change)
			if test.want == "" {
				j.task.Resources.LinuxResources.MemoryLimitBytes = 1 << 20
				test.want = "raise the memory"
			}
			if got := j.refused(t); !strings.Contains(got, test.want) || strings.Contains(got, "\n") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestPortTaken(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "http.wasm", nil)
	taken, err := net.Listen("tcp", j.port(t, "http"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = n.driver.Start(t.Context(), j.task, &j.config)
	if err == nil || !strings.Contains(err.Error(), `port label "http"`) || !driver.IsRetryable(err) {
		t.Errorf("error %v, retryable %v", err, driver.IsRetryable(err))
	}
	n.checkClean(t)
}

func TestModuleInTaskDirectory(t *testing.T) {
	n := newNode(t, nil)
	for _, name := range []string{"local/app.wasm", "/local/app.wasm"} {
		j := n.job(t, name, func(c *wasm.TaskConfig) { c.Entrypoint = "answer" })
		if err := os.WriteFile(filepath.Join(j.task.AllocDir, "web/local/app.wasm"), trapModule(), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := j.run(t); got.Code != 42 {
			t.Errorf("%s: result %+v", name, got)
		}
	}
}

func TestMemoryCeiling(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "guest.wasm", args("grow"))
	j.task.Resources.LinuxResources.MemoryLimitBytes = 48 << 20
	got := j.run(t)
	// Go's runtime gives up by itself when it is refused memory: no kill, but an exit code.
	if got.OOMKilled || got.Signal != 0 || got.Code == 0 {
		t.Errorf("result %+v", got)
	}
	j.stderr.await(t, "out of memory")
	j.stdout.await(t, "MiB 20\n")
	if strings.Contains(j.stdout.String(), "MiB 48\n") {
		t.Error("the module got more memory than its ceiling")
	}
}

func TestDirectories(t *testing.T) {
	n := newNode(t, nil)
	host := t.TempDir()
	if err := os.Chmod(host, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(host, "hello"), []byte("from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(host, "passwd")); err != nil {
		t.Fatal(err)
	}
	n.config.MountPaths = []string{host}
	n.configure(t, n.driver)
	mount := func(readOnly bool) func(*wasm.TaskConfig) {
		return func(c *wasm.TaskConfig) {
			c.Mounts = []wasm.MountConfig{{Source: host, Target: "/data", ReadOnly: readOnly}}
		}
	}
	for _, test := range []struct {
		name     string
		readOnly bool
		args     []string
		want     string
	}{
		{"read", true, []string{"read", "/data/hello"}, "from the host"},
		{"list", true, []string{"list", "/data"}, "hello passwd"},
		{"write read-only", true, []string{"write", "/data/new", "x"}, "error: open /data/new: Read-only file system"},
		{"link read-only", true, []string{"symlink", "x", "/data/new"}, "error:"},
		{"write", false, []string{"write", "/data/new", "x"}, "written"},
		{"link out", true, []string{"read", "/data/passwd"}, "error: open /data/passwd: Operation not permitted"},
		{"parent", true, []string{"read", "/data/../../../../etc/passwd"}, "error:"},
		{"absolute", true, []string{"read", "/etc/passwd"}, "error:"},
		{"own link out", false, []string{"symlink", "../../../../../../etc/passwd", "/data/out"}, "linked"},
		{"through own link", false, []string{"read", "/data/out"}, "error: open /data/out: Operation not permitted"},
		{"absolute link", false, []string{"symlink", "/etc/passwd", "/data/abs"}, "error:"},
		{"files", false, []string{"files", "/data"}, "files ok"},
		{"task directory", true, []string{"files", "/local"}, "files ok"},
		{"shared directory", true, []string{"files", "/alloc/data"}, "files ok"},
		{"shared temporary directory", true, []string{"files", "/alloc/tmp"}, "files ok"},
		{"logs", true, []string{"write", "/alloc/logs/web.stdout.0", "x"}, "Read-only file system"},
		{"list shared directory", true, []string{"list", "/alloc"}, "data/ logs/ tmp/"},
		{"temporary directory", true, []string{"files", "/tmp"}, "files ok"},
		{"proc", true, []string{"list", "/proc"}, "error:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := n.job(t, "guest.wasm", func(c *wasm.TaskConfig) {
				mount(test.readOnly)(c)
				c.Args = test.args
			})
			if got := j.run(t); !got.Successful() {
				t.Errorf("result %+v, stderr %s", got, j.stderr)
			}
			j.stdout.await(t, test.want)
			if strings.Contains(j.stdout.String(), "root:") {
				t.Error("the guest has read the host's files")
			}
		})
	}
}

func TestDeterministic(t *testing.T) {
	n := newNode(t, nil)
	output := func(change func(*wasm.TaskConfig), list ...string) string {
		j := n.job(t, "guest.wasm", func(c *wasm.TaskConfig) {
			c.Args = list
			change(c)
		})
		if got := j.run(t); !got.Successful() {
			t.Fatalf("result %+v, stderr %s", got, j.stderr)
		}
		j.stdout.await(t, "\n")
		return j.stdout.String()
	}
	clock := func(c *wasm.TaskConfig) {
		c.Random = &wasm.RandomConfig{Deterministic: true}
		c.Clock = &wasm.ClockConfig{Deterministic: true, Start: "2030-05-06T07:08:09Z"}
	}
	first, second := output(clock, "time"), output(clock, "time")
	if first != second || !strings.HasPrefix(first, "2030-05-06T07:08:09") || !strings.Contains(first, "3h0m0s") {
		t.Errorf("clock: %q and %q", first, second)
	}
	random := func(seed uint64) func(*wasm.TaskConfig) {
		return func(c *wasm.TaskConfig) { c.Random = &wasm.RandomConfig{Deterministic: true, Seed: seed} }
	}
	one, again, two := output(random(1), "random"), output(random(1), "random"), output(random(2), "random")
	if one != again || one == two {
		t.Errorf("random: %q, %q, %q", one, again, two)
	}
	if real := output(func(*wasm.TaskConfig) {}, "random"); real == one || real == output(func(*wasm.TaskConfig) {}, "random") {
		t.Error("random numbers repeat without being asked to")
	}
}

// A guest serves several requests at once, and a large answer arrives whole.
func TestConcurrentRequests(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "guest.wasm", args("slow"))
	j.task.Resources.LinuxResources.MemoryLimitBytes = 512 << 20 // all answers at once
	address := j.port(t, "http")
	j.start(t)
	slow := make(chan string, 1)
	go func() {
		response, err := http.Get("http://" + address + "/?2s")
		if err != nil {
			slow <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		slow <- string(body)
	}()
	j.stdout.await(t, "got /?2s")
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			response, err := http.Post("http://"+address+"/large", "text/plain", bytes.NewReader(make([]byte, 1<<20)))
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if want := "done 1048576\n"; err != nil || len(body) != len(want)+4<<20 || !strings.HasPrefix(string(body), want) {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		})
	}
	group.Wait()
	if got := <-slow; got != "done 0\n" {
		t.Errorf("slow request: %q", got)
	}
}

// An idle service uses no processor time, and reports what it uses.
func TestIdle(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "http.wasm", nil)
	address := j.port(t, "http")
	task := j.start(t)
	get(t, "http://"+address+"/")
	before, err := task.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if rss := before.Memory.GetRss(); rss < 4<<20 || rss > 512<<20 {
		t.Errorf("rss %d", rss)
	}
	// What is looked for is that nothing happens while time passes.
	timer := time.NewTimer(time.Second)
	<-timer.C
	after, err := task.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if percent := after.CPU.GetPercent(); percent > 20 {
		t.Errorf("an idle service uses %.1f%% of a core", percent)
	}
}

func TestStop(t *testing.T) {
	n := newNode(t, nil)
	for _, test := range []struct {
		name, guest, ready, signal string
		want                       int
	}{
		{"default", "spin", "spinning", "", 2},
		{"terminate", "sleep 1h", "sleeping", "SIGTERM", 15},
		{"hang up", "sleep 1h", "sleeping", "sighup", 1},
		{"one that guests cannot take", "spin", "spinning", "SIGUSR1", 15},
		{"kill", "sleep 1h", "sleeping", "SIGKILL", 9},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := n.job(t, "guest.wasm", args(strings.Fields(test.guest)...))
			task := j.start(t)
			j.stdout.await(t, test.ready)
			if err := task.Stop(t.Context(), test.signal, time.Minute); err != nil {
				t.Fatal(err)
			}
			if got := wait(t, task); got != (driver.ExitResult{Signal: test.want}) {
				t.Errorf("result %+v", got)
			}
			if err := task.Stop(t.Context(), test.signal, time.Minute); err != nil {
				t.Errorf("second stop: %v", err)
			}
		})
	}
}

// A request under way is answered before the runner ends; new ones are refused.
func TestStopDrains(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "guest.wasm", args("slow"))
	address := j.port(t, "http")
	task := j.start(t)
	answer := make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + address + "/?1s")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answer <- string(body)
	}()
	j.stdout.await(t, "got /?1s")
	if err := task.Signal(t.Context(), "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return fmt.Errorf("still listening")
		}
		return nil
	})
	if got := <-answer; got != "done 0\n" {
		t.Errorf("request under way: %q", got)
	}
	if got := wait(t, task); got.Signal != 15 {
		t.Errorf("result %+v", got)
	}
}

// A guest that does not get done is killed when its time is up.
func TestStopTimeout(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "guest.wasm", args("slow"))
	address := j.port(t, "http")
	task := j.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/?1h", nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
	}()
	j.stdout.await(t, "got /?1h")
	if err := task.Stop(t.Context(), "", 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, task); got.Signal != 9 {
		t.Errorf("result %+v", got)
	}
	<-done
}

func TestSignal(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "guest.wasm", args("sleep", "1h"))
	task := j.start(t)
	if err := task.Signal(t.Context(), "SIGUSR1"); err == nil || !strings.Contains(err.Error(), "cannot receive") {
		t.Errorf("SIGUSR1: %v", err)
	}
	if err := task.Signal(t.Context(), "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, task); got.Signal != 15 {
		t.Errorf("result %+v", got)
	}
}

// After Destroy nothing is left: no process, no directory, no cgroup.
func TestDestroyLeavesNothing(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "guest.wasm", args("sleep", "1h"))
	task, err := n.driver.Start(t.Context(), j.task, &j.config)
	if err != nil {
		t.Fatal(err)
	}
	pid := task.Attributes()["pid"]
	supervisor := parent(t, pid)
	states, err := os.ReadDir(n.config.StateDir)
	if err != nil || len(states) != 1 {
		t.Fatalf("state directory: %v, %v", states, err)
	}
	cgroups := func() []string {
		found, err := filepath.Glob("/sys/fs/cgroup/*/serai/wasm/" + states[0].Name())
		if err != nil {
			t.Fatal(err)
		}
		more, err := filepath.Glob("/sys/fs/cgroup/serai/wasm/" + states[0].Name())
		if err != nil {
			t.Fatal(err)
		}
		return append(found, more...)
	}
	if process.CgroupVersion() > 0 && len(cgroups()) == 0 {
		t.Error("the task has no cgroup")
	}
	if err := task.Stop(t.Context(), "SIGKILL", 0); err != nil {
		t.Fatal(err)
	}
	wait(t, task)
	if err := task.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.checkClean(t)
	if left := cgroups(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, p := range []string{pid, supervisor} {
		if _, err := os.Stat("/proc/" + p); err == nil {
			t.Errorf("process %s is still there", p)
		}
	}
}
