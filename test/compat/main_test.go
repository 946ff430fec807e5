package compat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
)

// client talks to the one agent that all tests share.
var client *api.Client

// nodeID is that agent's node.
var nodeID string

// patience is how long a test waits for something that must happen.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests need root: the agent runs real tasks")
		return 1
	}
	dir, err := os.MkdirTemp("", "serai-compat-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	stop, err := start(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if code != 0 {
		log, _ := os.ReadFile(filepath.Join(dir, "agent.log"))
		fmt.Fprintf(os.Stderr, "agent's log:\n%s\n", log[max(0, len(log)-8000):])
	}
	return code
}

// start builds the binaries and starts a development agent; stop ends it.
func start(dir string) (stop func() error, err error) {
	for out, pkg := range map[string]string{
		"serai":            "./cmd/serai",
		"plugins/raw_exec": "./cmd/serai-driver-raw_exec",
	} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "bin", out), pkg)
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "agent.hcl")
	text := fmt.Sprintf(`name = "compat"
ports {
  http = %d
  rpc  = %d
  serf = %d
}
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}
`, ports[0], ports[1], ports[2])
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "agent.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(dir, "bin", "serai"), "agent", "-dev", "-config", config)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() error {
		cmd.Process.Signal(syscall.SIGINT)
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("the agent did not end cleanly: %w", err)
			}
			return nil
		case <-time.After(patience):
			cmd.Process.Kill()
			return errors.New("the agent had to be killed")
		}
	}
	client, err = api.NewClient(&api.Config{Address: fmt.Sprintf("http://127.0.0.1:%d", ports[0])})
	if err == nil {
		err = ready(ended)
	}
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", errors.Join(err, stop()), text)
	}
	return stop, nil
}

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

// ready waits until the agent answers and its node takes work. Until the API
// is there, no event tells that it will be: the only place that polls.
func ready(ended <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		nodes, _, err := client.Nodes().List(nil)
		if err == nil && len(nodes) == 1 && nodes[0].Status == api.NodeStatusReady && nodes[0].Drivers["raw_exec"] != nil && nodes[0].Drivers["raw_exec"].Healthy {
			nodeID = nodes[0].ID
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the agent ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("the agent's node is not ready: %d nodes, %w", len(nodes), err)
		case <-tick.C:
		}
	}
}

// wait repeats a blocking query until done is pleased with the answer.
func wait[T any](t *testing.T, what string, query func(*api.QueryOptions) (T, *api.QueryMeta, error), done func(T) bool) T {
	t.Helper()
	q := &api.QueryOptions{WaitTime: 2 * time.Second}
	deadline := time.Now().Add(patience)
	for {
		v, meta, err := query(q)
		if err != nil {
			t.Fatalf("wait for %s: %v", what, err)
		}
		if done(v) {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s; last answer: %+v", patience, what, v)
		}
		q.WaitIndex = meta.LastIndex
	}
}

// script is a job file of one service task that runs a shell script.
func script(id, shell string) string {
	return fmt.Sprintf(`job %q {
  group "web" {
    task "main" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", %q]
      }
      env { COLOUR = "green" }
      resources {
        cpu    = 20
        memory = 20
      }
    }
    update { min_healthy_time = "10ms" }
  }
}`, id, shell)
}

const forever = "echo out; echo err >&2; exec sleep 1000"

// parse turns a job file into a job, on the server.
func parse(t *testing.T, text string) *api.Job {
	t.Helper()
	job, err := client.Jobs().ParseHCL(text, true)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return job
}

// register starts a job, to be purged at the test's end.
func register(t *testing.T, job *api.Job) *api.JobRegisterResponse {
	t.Helper()
	resp, _, err := client.Jobs().Register(job, nil)
	if err != nil {
		t.Fatalf("register: %v", err)
	}
	t.Cleanup(func() {
		if _, _, err := client.Jobs().Deregister(*job.ID, true, nil); err != nil {
			t.Errorf("deregister: %v", err)
		}
	})
	return resp
}

// running starts a job and waits for its one allocation to run.
func running(t *testing.T, job *api.Job) *api.Allocation {
	t.Helper()
	register(t, job)
	stub := waitAlloc(t, *job.ID, "an allocation that runs", func(a *api.AllocationListStub) bool {
		return a.ClientStatus == api.AllocClientStatusRunning
	})
	return info(t, stub.ID)
}

// waitAlloc waits for an allocation of a job.
func waitAlloc(t *testing.T, job, what string, match func(*api.AllocationListStub) bool) *api.AllocationListStub {
	t.Helper()
	var found *api.AllocationListStub
	wait(t, what, func(q *api.QueryOptions) ([]*api.AllocationListStub, *api.QueryMeta, error) {
		return client.Jobs().Allocations(job, true, q)
	}, func(all []*api.AllocationListStub) bool {
		for _, a := range all {
			if match(a) {
				found = a
				return true
			}
		}
		return false
	})
	return found
}

func info(t *testing.T, id string) *api.Allocation {
	t.Helper()
	a, _, err := client.Allocations().Info(id, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// fails wants an error answer of this code and text.
func fails(t *testing.T, err error, code int, text string) {
	t.Helper()
	var answer api.UnexpectedResponseError
	if !errors.As(err, &answer) {
		t.Errorf("error is %v, want an answer of code %d", err, code)
		return
	}
	if answer.StatusCode() != code || answer.Body() != text {
		t.Errorf("answer is %d %q, want %d %q", answer.StatusCode(), answer.Body(), code, text)
	}
}
