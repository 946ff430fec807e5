package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/pluginhost"
	"github.com/seraiproject/serai/core/node/tasklog"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "log-collector" {
		os.Exit(tasklog.CollectorMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built != "" {
			os.RemoveAll(built)
		}
		os.Exit(code)
	}))
}

// built is where pluginDir put the drivers.
var built string

// pluginDir builds drivers once for all tests.
var pluginDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "serai-plugins")
	if err != nil {
		return "", err
	}
	built = dir
	for _, name := range []string{"raw_exec", "mock"} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../../cmd/serai-driver-"+name)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build driver %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

type harness struct {
	t       testing.TB
	servers *servers
	config  Config
	node    *Node
	stop    func()
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	plugins, err := pluginDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	h := &harness{t: t, servers: newServers(), config: Config{
		Region: "global", Datacenter: "dc1", StateDir: filepath.Join(dir, "client"), AllocDir: filepath.Join(dir, "alloc"),
		PluginDir: plugins, NetworkInterface: "lo", NomadVersion: "2.0.6", Version: "0.1.0", HTTPAddr: "127.0.0.1:4646",
		Plugins: []pluginhost.Block{{Name: "raw_exec", Config: map[string]any{"enabled": true}}},
	}}
	t.Cleanup(func() {
		if h.node == nil {
			return
		}
		h.node.config.Ephemeral = true
		pid := h.node.logs.PID()
		h.halt()
		gone(t, pid)
		if _, err := os.ReadDir(h.config.AllocDir); err != nil {
			t.Error(err)
		}
	})
	return h
}

// launch starts an agent's node.
func (h *harness) launch() {
	h.t.Helper()
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	n, err := New(h.config, h.servers, slog.New(slog.NewTextHandler(h.t.Output(), &slog.HandlerOptions{Level: level})))
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil {
			h.t.Error(err)
		}
	}()
	h.node = n
	h.stop = func() {
		cancel()
		<-done
	}
}

// halt ends the agent's node in the orderly way.
func (h *harness) halt() {
	h.t.Helper()
	h.stop()
	if err := h.node.Shutdown(context.Background()); err != nil {
		h.t.Error(err)
	}
	h.node = nil
}

// until waits for something that the node told the servers.
func (h *harness) until(what string, ok func(s *servers) bool) {
	h.t.Helper()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	for {
		h.servers.mu.Lock()
		done, changed := ok(h.servers), h.servers.changed
		h.servers.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			h.servers.mu.Lock()
			defer h.servers.mu.Unlock()
			h.t.Fatalf("timeout: %s\n%s", what, h.describe())
		}
	}
}

func (h *harness) describe() string {
	var b strings.Builder
	for id, a := range h.servers.allocs {
		fmt.Fprintf(&b, "alloc %s: %s (%s) %v\n", id, a.ClientStatus, a.ClientDescription, h.servers.history[id])
		for name, s := range a.TaskStates {
			fmt.Fprintf(&b, "  %s: %s failed=%v\n", name, s.State, s.Failed)
			for _, e := range s.Events {
				fmt.Fprintf(&b, "    %s: %s\n", e.Type, e.DisplayMessage)
			}
		}
	}
	return b.String()
}

func (h *harness) status(a *model.Allocation, status string) *model.Allocation {
	h.t.Helper()
	var got *model.Allocation
	h.until("alloc is "+status, func(s *servers) bool {
		got = s.allocs[a.ID]
		return got != nil && got.ClientStatus == status
	})
	return got
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func gone(t testing.TB, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d ends", pid), func() bool { return !alive(pid) })
}

func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}

// alloc is an allocation of one group of shell scripts.
func alloc(kind string, tasks ...*model.Task) *model.Allocation {
	job := &model.Job{
		ID: "example", Name: "example", Namespace: "default", Type: kind, Version: 1, CreateIndex: 1,
		TaskGroups: []*model.TaskGroup{{Name: "g", Count: 1, Tasks: tasks, RestartPolicy: &model.RestartPolicy{
			Attempts: 2, Interval: time.Minute, Delay: 10 * time.Millisecond, Mode: model.RestartModeFail,
		}}},
	}
	a := &model.Allocation{
		ID: model.AllocID(model.NewUUID()), Namespace: "default", Name: "example.g[0]", JobID: job.ID, Job: job,
		TaskGroup: "g", DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientPending, CreateTime: time.Now().UnixNano(),
		AllocatedResources: &model.AllocatedResources{Tasks: map[string]*model.AllocatedTaskResources{}},
	}
	for _, t := range tasks {
		a.AllocatedResources.Tasks[t.Name] = &model.AllocatedTaskResources{
			Cpu: model.AllocatedCPU{CpuShares: 100}, Memory: model.AllocatedMemory{MemoryMB: 64},
		}
	}
	return a
}

func shell(name, script string) *model.Task {
	return &model.Task{
		Name: name, Driver: "raw_exec", KillTimeout: 5 * time.Second,
		Config:    map[string]any{"command": "/bin/sh", "args": []any{"-c", script}},
		LogConfig: &model.LogConfig{MaxFiles: 10, MaxFileSizeMB: 1},
	}
}

func (h *harness) read(a *model.Allocation, task, kind string) string {
	h.t.Helper()
	var b bytes.Buffer
	err := h.node.StreamLogs(context.Background(), a.ID, task, kind, httpapi.Position{}, func(f *model.StreamFrame) error {
		b.Write(f.Data)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return b.String()
}

func types(s *model.TaskState) []string {
	var list []string
	for _, e := range s.Events {
		list = append(list, e.Type)
	}
	return list
}

func TestRegister(t *testing.T) {
	h := newHarness(t)
	began := time.Now()
	h.launch()
	h.until("ready", func(s *servers) bool { return s.status == model.NodeStatusReady })
	t.Logf("ready after %v", time.Since(began))
	h.until("raw_exec is healthy", func(s *servers) bool {
		d := s.node.Drivers["raw_exec"]
		return d != nil && d.Healthy && s.node.Attributes["driver.raw_exec"] == "1"
	})
	if n := h.servers.node; n.NodeResources.Cpu.CpuShares == 0 || n.Attributes["nomad.version"] != "2.0.6" || n.SecretID == "" {
		t.Errorf("%+v", n)
	}
	plugins, err := h.node.Plugins(context.Background())
	if err != nil || len(plugins) != 2 || plugins[1].Name != "raw_exec" || plugins[1].Health != "healthy" || plugins[1].PID == 0 {
		t.Errorf("%+v, %v", plugins, err)
	}
	stats, err := h.node.HostStats(context.Background())
	if err != nil || stats.Memory.Total == 0 || len(stats.CPU) == 0 || stats.AllocDirStats.Size == 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestBatchTask(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeBatch, shell("main", `echo out $NOMAD_TASK_NAME ${NOMAD_ALLOC_INDEX}; echo err >&2; exit 0`))
	h.until("ready", func(s *servers) bool { return s.status == model.NodeStatusReady })
	began := time.Now()
	h.servers.want(a)
	got := h.status(a, model.AllocClientComplete)
	t.Logf("complete after %v", time.Since(began))
	if s := types(got.TaskStates["main"]); !slices.Equal(s, []string{"Received", "Task Setup", "Started", "Terminated"}) {
		t.Errorf("events %q", s)
	}
	if out := h.read(a, "main", "stdout"); out != "out main 0\n" {
		t.Errorf("stdout %q", out)
	}
	if out := h.read(a, "main", "stderr"); out != "err\n" {
		t.Errorf("stderr %q", out)
	}
	eventually(t, "everything is freed", func() bool { return h.node.runner(a.ID).Ended() })
	if err := h.node.GCAlloc(context.Background(), a.ID); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(h.config.AllocDir, string(a.ID))); !os.IsNotExist(err) {
		t.Errorf("directory is left: %v", err)
	}

	// A server that does not know of the end yet asks for it again.
	h.servers.mu.Lock()
	h.servers.allocs[a.ID].ClientStatus = model.AllocClientRunning
	h.servers.mu.Unlock()
	h.servers.hangUp()
	other := alloc(model.JobTypeBatch, shell("main", "exit 0"))
	h.until("the next stream", func(s *servers) bool { return len(s.watchers) > 0 })
	h.servers.want(other)
	h.status(other, model.AllocClientComplete)
	if h.node.runner(a.ID) != nil {
		t.Error("it was run again")
	}
}

func TestFailingTask(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeService, shell("main", `exit 7`), shell("side", `exec sleep 1000`))
	h.servers.want(a)
	got := h.status(a, model.AllocClientFailed)
	h.until("sibling is killed", func(s *servers) bool {
		got = s.allocs[a.ID]
		return got.TaskStates["side"].State == model.TaskStateDead
	})
	main, side := got.TaskStates["main"], got.TaskStates["side"]
	if !main.Failed || main.Restarts != 2 || side.Failed {
		t.Errorf("main %+v, side %+v", main, side)
	}
	i := slices.IndexFunc(main.Events, func(e *model.TaskEvent) bool { return e.Type == model.EventNotRestarting })
	if i < 0 || main.Events[i].DisplayMessage != `Exceeded allowed attempts 2 in interval 1m0s and mode is "fail"` {
		t.Errorf("events %q", types(main))
	}
	if s := types(side); !slices.Contains(s, "Sibling Task Failed") || !slices.Contains(s, "Killed") {
		t.Errorf("events of sibling %q", s)
	}
}

func pidOf(t *testing.T, h *harness, a *model.Allocation) int {
	t.Helper()
	var pid int
	eventually(t, "the task writes its pid", func() bool {
		b, err := os.ReadFile(filepath.Join(h.config.AllocDir, string(a.ID), "alloc", "data", "pid"))
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	return pid
}

// ticking writes its pid, then numbers until a file called end appears.
const ticking = `echo $$ > $NOMAD_ALLOC_DIR/data/pid
i=0
while [ ! -e $NOMAD_ALLOC_DIR/data/end ]; do echo $i; i=$((i+1)); sleep 0.01; done
echo $i > $NOMAD_ALLOC_DIR/data/count
exit 3`

// finish lets a ticking task end and checks that all it wrote arrived once.
func (h *harness) finish(a *model.Allocation, pid int) {
	h.t.Helper()
	data := filepath.Join(h.config.AllocDir, string(a.ID), "alloc", "data")
	if err := os.WriteFile(filepath.Join(data, "end"), nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
	gone(h.t, pid)
	got := h.status(a, model.AllocClientFailed)
	var exit *model.TaskEvent
	for _, e := range got.TaskStates["main"].Events {
		if e.Type == model.EventTerminated {
			exit = e
		}
	}
	if exit == nil || exit.ExitCode != 3 {
		h.t.Errorf("exit code is not reported: %s", h.describe())
	}
	count, err := os.ReadFile(filepath.Join(data, "count"))
	if err != nil {
		h.t.Fatal(err)
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(count)))
	var want strings.Builder
	for i := range n {
		fmt.Fprintln(&want, i)
	}
	if out := h.read(a, "main", "stdout"); out != want.String() {
		h.t.Errorf("%d lines written; what arrived differs: %.200q …", n, out)
	}
}

func once(t *model.Task) *model.Task {
	t.RestartPolicy = &model.RestartPolicy{Attempts: 0, Mode: model.RestartModeFail}
	return t
}

func TestAgentRestart(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeService, once(shell("main", ticking)))
	h.servers.want(a)
	h.status(a, model.AllocClientRunning)
	pid := pidOf(t, h, a)
	h.halt()
	if !alive(pid) {
		t.Fatal("the task ended with the agent")
	}
	h.launch()
	h.until("ready again", func(s *servers) bool { return len(s.watchers) > 0 })
	h.finish(a, pid)
}

func TestPluginKilled(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeService, once(shell("main", ticking)))
	h.servers.want(a)
	h.status(a, model.AllocClientRunning)
	pid := pidOf(t, h, a)
	plugin := func() *model.PluginInfo {
		list, err := h.node.Plugins(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return list[slices.IndexFunc(list, func(p *model.PluginInfo) bool { return p.Name == "raw_exec" })]
	}
	before := plugin()
	if err := unix.Kill(before.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another process", func() bool {
		p := plugin()
		return p.PID != 0 && p.PID != before.PID && p.Health == "healthy"
	})
	if p := plugin(); p.Tasks != 1 || p.Restarts != 1 {
		t.Errorf("%+v", p)
	}
	if !alive(pid) {
		t.Fatal("the task ended with the plugin")
	}
	h.finish(a, pid)
	if h.servers.allocs[a.ID].TaskStates["main"].Restarts != 0 {
		t.Error("the task was restarted")
	}
}

func TestStop(t *testing.T) {
	h := newHarness(t)
	h.launch()
	task := shell("main", `trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done`)
	task.KillSignal = "SIGTERM"
	task.ShutdownDelay = 20 * time.Millisecond
	a := alloc(model.JobTypeService, task)
	h.servers.want(a)
	h.status(a, model.AllocClientRunning)
	eventually(t, "the trap is set", func() bool { return h.read(a, "main", "stdout") == "ready\n" })
	h.servers.want(stopped(a))
	got := h.status(a, model.AllocClientComplete)
	want := []string{"Received", "Task Setup", "Started", "Killing", "Waiting for shutdown delay", "Terminated", "Killed"}
	if s := types(got.TaskStates["main"]); !slices.Equal(s, want) {
		t.Errorf("events %q", s)
	}
	if out := h.read(a, "main", "stdout"); out != "ready\nbye\n" {
		t.Errorf("stdout %q", out)
	}
}

func TestFollowLogs(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeBatch, shell("main", `head -c 3000000 /dev/zero | tr '\0' x; while [ ! -e $NOMAD_ALLOC_DIR/data/end ]; do sleep 0.01; done; echo; echo last`))
	h.servers.want(a)
	h.status(a, model.AllocClientRunning)
	var size int
	var files []string
	var tail []byte
	err := h.node.StreamLogs(context.Background(), a.ID, "main", "stdout", httpapi.Position{Follow: true}, func(f *model.StreamFrame) error {
		if len(f.Data) == 0 {
			return nil
		}
		if !slices.Contains(files, f.File) {
			files = append(files, f.File)
		}
		size += len(f.Data)
		tail = append(tail, f.Data...)
		tail = tail[max(0, len(tail)-6):]
		if size == 3_000_000 {
			return os.WriteFile(filepath.Join(h.config.AllocDir, string(a.ID), "alloc/data/end"), nil, 0o600)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if size != 3_000_006 || string(tail) != "\nlast\n" || len(files) != 3 || files[2] != "alloc/logs/main.stdout.2" {
		t.Errorf("%d bytes in %v, end %q", size, files, tail)
	}
	for _, c := range []struct {
		from httpapi.Position
		want int
	}{{httpapi.Position{Offset: 2_000_000}, 1_000_006}, {httpapi.Position{Origin: "end", Offset: 2_000_000}, 2_000_000}, {httpapi.Position{Origin: "end"}, 0}, {httpapi.Position{Origin: "end", Offset: 9_000_000}, 3_000_006}} {
		size := 0
		err := h.node.StreamLogs(context.Background(), a.ID, "main", "stdout", c.from, func(f *model.StreamFrame) error {
			size += len(f.Data)
			return nil
		})
		if err != nil || size != c.want {
			t.Errorf("%+v: %d bytes, want %d, %v", c.from, size, c.want, err)
		}
	}
}

func TestExecAndUsage(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeService, shell("main", `exec sleep 1000`))
	h.servers.want(a)
	h.status(a, model.AllocClientRunning)
	var out, errOut bytes.Buffer
	code, err := h.node.Exec(context.Background(), a.ID, "main", []string{"/bin/sh", "-c", "cat; echo no >&2; exit 4"}, false,
		httpapi.ExecStreams{Stdin: strings.NewReader("hello"), Stdout: &out, Stderr: &errOut})
	if err != nil || code != 4 || out.String() != "hello" || errOut.String() != "no\n" {
		t.Errorf("code %d, out %q, err %q, %v", code, out.String(), errOut.String(), err)
	}
	u, err := h.node.AllocStats(context.Background(), a.ID, "")
	if err != nil || u.Tasks["main"] == nil || u.ResourceUsage.MemoryStats.RSS == 0 && u.ResourceUsage.MemoryStats.Usage == 0 {
		t.Errorf("%+v, %v", u.ResourceUsage.MemoryStats, err)
	}
	if err := h.node.RestartAlloc(context.Background(), a.ID, "main", false); err != nil {
		t.Fatal(err)
	}
	h.until("restarted", func(s *servers) bool {
		st := s.allocs[a.ID].TaskStates["main"]
		return st.Restarts == 1 && st.State == model.TaskStateRunning
	})
	if err := h.node.SignalAlloc(context.Background(), a.ID, "main", "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	h.until("restarted by policy", func(s *servers) bool { return s.allocs[a.ID].TaskStates["main"].Restarts == 2 })
}

func TestServersGoneForAWhile(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeBatch, shell("main", ticking), shell("other", "exit 0"))
	a.Job.TaskGroups[0].RestartPolicy.Attempts = 0
	h.servers.want(a)
	h.status(a, model.AllocClientRunning)
	pid := pidOf(t, h, a)
	h.servers.mu.Lock()
	h.servers.refuse = model.ErrNoLeader
	h.servers.mu.Unlock()
	h.servers.hangUp()
	if err := os.WriteFile(filepath.Join(h.config.AllocDir, string(a.ID), "alloc/data/end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
	h.servers.mu.Lock()
	h.servers.refuse = nil
	h.servers.mu.Unlock()
	h.status(a, model.AllocClientFailed)
}
