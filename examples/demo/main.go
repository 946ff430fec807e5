// Command demo shows Serai at work: it starts a development agent, runs the
// example jobs (an isolated batch process and a WebAssembly web service), and
// prints what a user would type and see.
//
// It is run by `make demo` in the root of the repository, after `make build`.
// With DEMO=once it ends by itself; otherwise the agent stays until Ctrl-C.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// patience bounds every wait for something that takes a moment.
const patience = time.Minute

func run(ctx context.Context) (err error) {
	serai, err := filepath.Abs("bin/serai")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "serai-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	a, err := startAgent(serai, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	if err := a.ready(ctx); err != nil {
		return fmt.Errorf("%w; the agent said:\n%s", err, a.log())
	}
	say("The agent runs: server, node and API in one process, the drivers in others.")
	for _, show := range []func() error{
		func() error { return a.show(ctx, "node", "status") },
		func() error { return a.show(ctx, "plugin", "list") },
		func() error { say("A batch job in an isolated process, by the exec driver."); return nil },
		func() error { return a.show(ctx, "job", "run", "examples/jobs/exec-batch.nomad.hcl") },
		func() error { return a.wait(ctx, "exec-batch", "complete") },
		func() error { return a.show(ctx, "job", "status", "exec-batch") },
		func() error { return a.show(ctx, "alloc", "logs", "-job", "exec-batch") },
		func() error { say("A web service in a WebAssembly sandbox, by the wasm driver."); return nil },
		func() error { return a.show(ctx, "job", "run", "examples/jobs/wasm-http.nomad.hcl") },
		func() error { return a.wait(ctx, "wasm-http", "running") },
		func() error { return a.show(ctx, "job", "status", "wasm-http") },
		func() error { return a.request(ctx, "wasm-http") },
		func() error { return a.show(ctx, "alloc", "logs", "-job", "wasm-http") },
	} {
		if err := show(); err != nil {
			return err
		}
	}
	fmt.Printf(`
That was it. In another terminal, go on with

  export NOMAD_ADDR=%s
  bin/serai job init            writes example.nomad.hcl
  bin/serai job run example.nomad.hcl
  bin/serai status
  bin/serai job stop wasm-http

README.md has a tour of five minutes.
`, a.addr)
	if os.Getenv("DEMO") == "once" {
		return nil
	}
	fmt.Println("Ctrl-C stops the agent and its jobs.")
	<-ctx.Done()
	return nil
}

func say(text string) { fmt.Printf("\n== %s\n", text) }

// agent is the development agent of the demo.
type agent struct {
	serai, addr, logPath string
	cmd                  *exec.Cmd
	ended                chan struct{}
	err                  error
}

func startAgent(serai, dir string) (*agent, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "agent.hcl")
	text := fmt.Sprintf("ports {\n  http = %d\n  rpc  = %d\n  serf = %d\n}\n", ports[0], ports[1], ports[2])
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	a := &agent{
		serai: serai, addr: fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
		logPath: filepath.Join(dir, "agent.log"), ended: make(chan struct{}),
	}
	log, err := os.Create(a.logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the agent has its own
	fmt.Printf("$ serai agent -dev -config %s &\n", file)
	a.cmd = exec.Command(serai, "agent", "-dev", "-config", file)
	a.cmd.Stdout, a.cmd.Stderr = log, log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(a.ended)
		a.err = a.cmd.Wait()
	}()
	return a, nil
}

// freePorts finds ports that nobody listens on: the usual ones if they are
// free, so that the commands on the screen work as they are.
func freePorts(n int) ([]int, error) {
	var ports []int
	for want := 4646; len(ports) < n; want++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", want))
		if err != nil {
			if want > 4700 {
				return nil, err
			}
			continue
		}
		l.Close()
		ports = append(ports, want)
	}
	return ports, nil
}

func (a *agent) log() string {
	b, err := os.ReadFile(a.logPath)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// stop ends the agent, and with it the jobs of a development agent.
func (a *agent) stop() error {
	select {
	case <-a.ended:
		return a.err
	default:
	}
	if err := a.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-a.ended:
		return a.err
	case <-time.After(patience):
		return errors.Join(errors.New("the agent did not stop in time"), a.cmd.Process.Kill())
	}
}

// ready waits until the node can run both jobs.
func (a *agent) ready(ctx context.Context) error {
	return a.until(ctx, "the node to be ready", func() (bool, error) {
		out, err := a.run(ctx, "node", "status")
		return err == nil && strings.Contains(out, "ready"), nil
	})
}

func (a *agent) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, a.serai, args...)
	cmd.Env = append(os.Environ(), "NOMAD_ADDR="+a.addr)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// show prints a command and what it answers.
func (a *agent) show(ctx context.Context, args ...string) error {
	fmt.Printf("\n$ serai %s\n", strings.Join(args, " "))
	out, err := a.run(ctx, args...)
	fmt.Print(out)
	if err != nil {
		return fmt.Errorf("serai %s: %w; the agent said:\n%s", strings.Join(args, " "), err, a.log())
	}
	return nil
}

// until asks again until done says so.
func (a *agent) until(ctx context.Context, what string, done func() (bool, error)) error {
	deadline := time.Now().Add(patience)
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s for %s", patience, what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.ended:
			return fmt.Errorf("the agent ended: %v", a.err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// wait waits until the job's allocation has a status.
func (a *agent) wait(ctx context.Context, job, status string) error {
	return a.until(ctx, job+" to be "+status, func() (bool, error) {
		out, err := a.run(ctx, "job", "status", job)
		_, allocs, _ := strings.Cut(out, "\nAllocations\n")
		return err == nil && strings.Contains(allocs, status), nil
	})
}

var address = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)

// request asks the web service for a page.
func (a *agent) request(ctx context.Context, job string) error {
	status, err := a.run(ctx, "job", "status", job)
	if err != nil {
		return err
	}
	_, allocs, _ := strings.Cut(status, "\nAllocations\n")
	lines := strings.Split(strings.TrimSpace(allocs), "\n")
	if len(lines) < 2 {
		return fmt.Errorf("job %s has no allocation:\n%s", job, status)
	}
	id, _, _ := strings.Cut(lines[1], " ")
	if err := a.show(ctx, "alloc", "status", id); err != nil {
		return err
	}
	out, err := a.run(ctx, "alloc", "status", id)
	if err != nil {
		return err
	}
	addr := address.FindString(out)
	if addr == "" {
		return fmt.Errorf("allocation %s has no address", id)
	}
	url := "http://" + addr + "/"
	fmt.Printf("\n$ curl %s\n", url)
	var body []byte
	err = a.until(ctx, "an answer of "+url, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil // not yet
		}
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK, nil
	})
	fmt.Printf("%s", body)
	return err
}
