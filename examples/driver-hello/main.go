// Driver-hello is a task driver to start one's own from. Its tasks greet somebody, again and again, as a real
// process that survives the plugin, the agent and every crash of both.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

// Config is the block plugin "driver-hello" { config { ... } } of the agent's configuration.
type Config struct {
	Shell    string `config:"shell" default:"/bin/sh"`
	StateDir string `config:"state_dir" default:"/run/serai-hello"`
}

// TaskConfig is the config block of a task.
type TaskConfig struct {
	Name  string        `config:"name,required"`
	Count int           `config:"count"` // 0 greets for ever
	Every time.Duration `config:"every" default:"1s"`
}

// script greets $1, $2 times, with $3 seconds in between.
const script = `n=0; while :; do echo "hello $1"; n=$((n+1)); [ $n -eq "$2" ] && exit 0; sleep "$3"; done`

type hello struct{ Config }

func (h *hello) Configure(_ context.Context, env *driver.Env, c *Config) error {
	h.Config = *c
	return nil
}

func (h *hello) Fingerprint(context.Context) (driver.Fingerprint, error) {
	if err := unix.Access(h.Shell, unix.X_OK); err != nil {
		return driver.Fingerprint{Health: driver.Undetected, Description: h.Shell + " cannot be run"}, nil
	}
	return driver.Fingerprint{
		Health:      driver.Healthy,
		Description: "ready to greet",
		Attributes:  map[string]*driver.Attribute{"driver.hello.shell": driver.TextAttribute(h.Shell)},
	}, nil
}

func (h *hello) Start(_ context.Context, t *driver.TaskConfig, c *TaskConfig) (*task, error) {
	p, err := process.Start(process.Spec{
		ID:       t.GetId(),
		StateDir: process.StateDir(h.StateDir, t.GetAllocDir(), t.GetName(), t.GetId()),
		Path:     h.Shell,
		Args:     []string{h.Shell, "-c", script, "sh", c.Name, strconv.Itoa(c.Count), fmt.Sprint(c.Every.Seconds())},
		Env:      []string{"PATH=" + os.Getenv("PATH")},
		Dir:      driver.Dirs(t).Task,
		Stdout:   t.GetStdoutPath(),
		Stderr:   t.GetStderrPath(),
		Anchor:   t.GetAllocDir(),
	})
	if err != nil {
		return nil, fmt.Errorf("greet %s: %w", c.Name, err)
	}
	return &task{p}, nil
}

func (h *hello) Recover(_ context.Context, _ *driver.TaskConfig, _ *TaskConfig, state driver.SavedState) (*task, error) {
	var r process.Record
	if err := state.Decode(&r); err != nil {
		return nil, err
	}
	p, err := process.Attach(r)
	return &task{p}, err
}

// task is one greeter.
type task struct{ p *process.Process }

func (t *task) State() any { return t.p.Record() }

func (t *task) Wait(ctx context.Context) (driver.ExitResult, error) {
	e, err := t.p.Wait(ctx)
	if err == nil {
		err = e.Err
	}
	return driver.ExitResult{Code: e.Code, Signal: int(e.Signal), OOMKilled: e.OOMKilled}, err
}

func (t *task) Stop(ctx context.Context, signal string, timeout time.Duration) error {
	sig := unix.SignalNum(signal)
	if sig == 0 {
		sig = unix.SIGTERM
	}
	return t.p.Stop(ctx, sig, timeout)
}

func (t *task) Destroy(ctx context.Context) error { return t.p.Destroy(ctx) }

// Signal is an ability beyond the required ones; having it is enough to be offered.
func (t *task) Signal(_ context.Context, signal string) error {
	sig := unix.SignalNum(signal)
	if sig == 0 {
		return fmt.Errorf("no such signal")
	}
	return t.p.Signal(sig)
}

func main() {
	driver.Serve(driver.Info{Name: "hello", Version: "0.1.0"}, &hello{})
}
