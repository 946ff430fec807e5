// Command figures measures the figures of docs/figures.md on the built tree
// (make build) as a client sees them, and prints them as benchmark lines, which
// benchstat reads. Run by `make bench`, as root.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience bounds every wait.
const patience = 2 * time.Minute

func main() {
	only := flag.String("only", "", "measure only the figures whose name holds this")
	flag.Parse()
	if err := run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

// a figure is one measurement on a fresh development agent.
type figure struct {
	name    string
	measure func(*agent) (value float64, unit string, err error)
}

var figures = []figure{
	{"AgentStart", func(a *agent) (float64, string, error) { return a.started.Seconds(), "s", nil }},
	{"IdleAgentMemory", idleMemory},
	{"RegisterToRunning/driver=raw_exec", registerToRunning("raw_exec", map[string]any{"command": "/bin/sleep", "args": []string{"600"}})},
	{"RegisterToRunning/driver=exec", registerToRunning("exec", map[string]any{"command": "/bin/sleep", "args": []string{"600"}})},
	{"BatchAllocations/driver=raw_exec", batch},
	{"MemoryPerTask/driver=raw_exec", memoryPerTask},
	{"JobsRegistered", jobsRegistered},
	{"ListAllocations/allocs=365", listAllocations},
}

func run(only string) error {
	size, err := os.Stat("bin/serai")
	if err != nil {
		return fmt.Errorf("%w; run make build first", err)
	}
	if strings.Contains("BinarySize", only) {
		print("BinarySize", float64(size.Size())/1e6, "MB")
	}
	for _, f := range figures {
		if !strings.Contains(f.name, only) {
			continue
		}
		if err := one(f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

func print(name string, v float64, unit string) {
	fmt.Printf("BenchmarkFigure/%s \t1\t%.4g %s\n", name, v, unit)
}

func one(f figure) (err error) {
	a, err := start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	v, unit, err := f.measure(a)
	if err != nil {
		return err
	}
	print(f.name, v, unit)
	return nil
}

// agent is a development agent under measurement.
type agent struct {
	url     string
	dir     string
	cmd     *exec.Cmd
	started time.Duration // until its node was ready and its drivers healthy
}

func start() (*agent, error) {
	dir, err := os.MkdirTemp("", "serai-figures-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "agent.hcl")
	text := fmt.Sprintf("log_level = \"WARN\"\nports {\n http = %d\n rpc = %d\n serf = %d\n}\n", ports[0], ports[1], ports[2])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	a := &agent{url: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), dir: dir, cmd: exec.Command("bin/serai", "agent", "-dev", "-config", file)}
	a.cmd.Stdout, a.cmd.Stderr = log, log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	begin := time.Now()
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	err = until("the agent to be ready", time.Millisecond, func() (bool, error) {
		var nodes []struct {
			Status  string
			Drivers map[string]struct{ Healthy bool }
		}
		if a.call("GET", "/v1/nodes", nil, &nodes) != nil || len(nodes) == 0 {
			return false, nil
		}
		n := nodes[0]
		return n.Status == "ready" && n.Drivers["raw_exec"].Healthy && n.Drivers["exec"].Healthy && n.Drivers["wasm"].Healthy, nil
	})
	a.started = time.Since(begin)
	return a, err
}

// freePorts finds ports that nobody listens on. All are held until the last is
// found, so that they differ.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (a *agent) stop() error {
	defer os.RemoveAll(a.dir)
	if err := a.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return a.cmd.Wait()
}

func until(what string, every time.Duration, done func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(every) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s for %s", patience, what)
		}
	}
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

func (a *agent) call(method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, a.url+path, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// job is a registration of count equal tasks.
func job(id, kind, driver string, config map[string]any, count int) map[string]any {
	return map[string]any{"Job": map[string]any{
		"ID": id, "Type": kind, "TaskGroups": []any{map[string]any{
			"Name": "g", "Count": count, "EphemeralDisk": map[string]any{"SizeMB": 11},
			"Tasks": []any{map[string]any{
				"Name": "t", "Driver": driver, "Config": config,
				"LogConfig": map[string]any{"MaxFiles": 1, "MaxFileSizeMB": 10},
				"Resources": map[string]any{"CPU": 1, "MemoryMB": 10},
			}},
		}},
	}}
}

// summary counts a job's allocations by status.
func (a *agent) summary(id string) (running, complete int, err error) {
	var s struct {
		Summary map[string]struct{ Running, Complete int }
	}
	if err := a.call("GET", "/v1/job/"+id+"/summary", nil, &s); err != nil {
		return 0, 0, err
	}
	return s.Summary["g"].Running, s.Summary["g"].Complete, nil
}

func registerToRunning(driver string, config map[string]any) func(*agent) (float64, string, error) {
	return func(a *agent) (float64, string, error) {
		var times []float64
		for i := range 21 {
			id := "j" + strconv.Itoa(i)
			begin := time.Now()
			if err := a.call("PUT", "/v1/jobs", job(id, "service", driver, config, 1), nil); err != nil {
				return 0, "", err
			}
			err := until(id+" to run", time.Millisecond, func() (bool, error) {
				running, _, err := a.summary(id)
				return running == 1, err
			})
			if err != nil {
				return 0, "", err
			}
			times = append(times, float64(time.Since(begin).Microseconds())/1000)
		}
		slices.Sort(times)
		return times[len(times)/2], "ms", nil
	}
}

func batch(a *agent) (float64, string, error) {
	const n = 200
	begin := time.Now()
	if err := a.call("PUT", "/v1/jobs", job("b", "batch", "raw_exec", map[string]any{"command": "/bin/true"}, n), nil); err != nil {
		return 0, "", err
	}
	err := until("200 allocations to complete", 5*time.Millisecond, func() (bool, error) {
		_, complete, err := a.summary("b")
		return complete == n, err
	})
	return n / time.Since(begin).Seconds(), "allocs/s", err
}

// pss is the proportional memory, in MB, of all processes that run our binaries
// and of the tasks, which are sleeps. Supervisors have sessions of their own, so
// that there is no shorter way to find them all.
func (a *agent) pss() (float64, error) {
	bin, err := filepath.Abs("bin")
	if err != nil {
		return 0, err
	}
	files, err := filepath.Glob("/proc/[0-9]*/smaps_rollup")
	if err != nil {
		return 0, err
	}
	total := 0.0
	for _, f := range files {
		exe, err := os.Readlink(filepath.Join(filepath.Dir(f), "exe"))
		if err != nil {
			continue // it ended
		}
		if !strings.HasPrefix(exe, bin+"/") && exe != "/usr/bin/sleep" {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, err := strconv.Atoi(strings.Fields(rest)[0])
				if err != nil {
					return 0, err
				}
				total += float64(kb) / 1024
			}
		}
	}
	return total, nil
}

func idleMemory(a *agent) (float64, string, error) {
	time.Sleep(3 * time.Second) // idle means after start-up's garbage
	v, err := a.pss()
	return v, "MB-PSS", err
}

func memoryPerTask(a *agent) (float64, string, error) {
	const n = 100
	time.Sleep(3 * time.Second)
	before, err := a.pss()
	if err != nil {
		return 0, "", err
	}
	config := map[string]any{"command": "/bin/sleep", "args": []string{"600"}}
	if err := a.call("PUT", "/v1/jobs", job("m", "service", "raw_exec", config, n), nil); err != nil {
		return 0, "", err
	}
	err = until("100 tasks to run", 20*time.Millisecond, func() (bool, error) {
		running, _, err := a.summary("m")
		return running == n, err
	})
	if err != nil {
		return 0, "", err
	}
	time.Sleep(3 * time.Second)
	after, err := a.pss()
	return (after - before) / n, "MB-PSS/task", err
}

func jobsRegistered(a *agent) (float64, string, error) {
	const n = 4000
	begin := time.Now()
	for i := range n {
		j := job("r"+strconv.Itoa(i), "service", "raw_exec", nil, 0)
		if err := a.call("PUT", "/v1/jobs", j, nil); err != nil {
			return 0, "", err
		}
	}
	return n / time.Since(begin).Seconds(), "jobs/s", nil
}

func listAllocations(a *agent) (float64, string, error) {
	const allocs, conns, span = 365, 4, 3 * time.Second
	if err := a.call("PUT", "/v1/jobs", job("l", "batch", "raw_exec", map[string]any{"command": "/bin/true"}, allocs), nil); err != nil {
		return 0, "", err
	}
	err := until("365 allocations to complete", 20*time.Millisecond, func() (bool, error) {
		_, complete, err := a.summary("l")
		return complete == allocs, err
	})
	if err != nil {
		return 0, "", err
	}
	var done atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, conns)
	begin := time.Now()
	for c := range conns {
		wg.Go(func() {
			for time.Since(begin) < span && errs[c] == nil {
				var resp *http.Response
				if resp, errs[c] = client.Get(a.url + "/v1/allocations"); errs[c] == nil {
					_, errs[c] = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds(), "requests/s", errors.Join(errs...)
}
