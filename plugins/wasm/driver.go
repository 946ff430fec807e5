// Package wasm is the task driver for WebAssembly modules.
//
// Each task is a process of its own, a runner (see package runner), that executes one module through package engine. The
// plugin starts it under a supervisor, so that plugin and agent may be killed and come back while the guest runs on, and
// never executes foreign code itself: even compiling happens in a process that ends afterwards.
package wasm

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/seraiproject/serai/plugins/wasm/runner"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

// Name is what job files put behind "driver =".
const Name = "wasm"

// Version is the plugin's own.
const Version = "0.1.0"

// Info tells the SDK about the driver.
func Info() driver.Info {
	return driver.Info{
		Name:         Name,
		Version:      Version,
		FSIsolation:  driver.FSIsolationImage,
		NetworkModes: []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup},
	}
}

// Driver implements driver.Driver.
type Driver struct {
	mu     sync.Mutex
	env    *driver.Env
	config Config
	cache  *cache
}

// Configure implements driver.Driver.
func (d *Driver) Configure(_ context.Context, env *driver.Env, config *Config) error {
	complete, err := config.complete()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.env, d.config = env, complete
	if d.cache == nil || d.cache.dir != complete.CacheDir {
		d.cache = &cache{dir: complete.CacheDir, modules: make(map[string]*sync.Mutex)}
	}
	return nil
}

// settings returns the current configuration.
func (d *Driver) settings() (*driver.Env, Config, *cache) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.env, d.config, d.cache
}

// Start implements driver.Driver.
func (d *Driver) Start(ctx context.Context, config *driver.TaskConfig, taskConfig *TaskConfig) (*Task, error) {
	env, settings, cache := d.settings()
	if !settings.Enabled {
		return nil, errors.New("start wasm task: the driver is disabled by the plugin's configuration")
	}
	root := os.Geteuid() == 0
	spec, err := settings.runnerSpec(config, taskConfig, root)
	if err != nil {
		return nil, fmt.Errorf("start wasm task: %w", oneLine(err))
	}
	code, err := cache.prepare(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("start wasm task: %w", err)
	}
	spec.Module, spec.CacheDir = code.module(), code.dir
	if code.compiled > 0 {
		env.Emit(driver.Event{Task: config, Message: fmt.Sprintf("Compiled module %s in %s", spec.Name, code.compiled.Round(time.Millisecond))})
	}
	task := &Task{driver: d, config: config, dir: runner.Dir(filepath.Join(settings.StateDir, taskKey(config.GetId())))}
	if err := task.start(ctx, spec, code, root); err != nil {
		return nil, fmt.Errorf("start wasm task: %w", err)
	}
	return task, nil
}

// Recover implements driver.Driver.
func (d *Driver) Recover(_ context.Context, config *driver.TaskConfig, _ *TaskConfig, state driver.SavedState) (*Task, error) {
	var saved savedState
	if err := state.Decode(&saved); err != nil {
		return nil, fmt.Errorf("recover wasm task: %w", err)
	}
	if saved.Process.BootID != process.BootID() {
		return nil, errors.New("recover wasm task: the machine was restarted since")
	}
	if _, err := os.Stat(string(saved.Dir)); err != nil {
		return nil, fmt.Errorf("recover wasm task: it was destroyed: %w", err)
	}
	attached, err := process.Attach(saved.Process)
	if err != nil {
		return nil, fmt.Errorf("recover wasm task: %w", err)
	}
	return &Task{driver: d, config: config, dir: saved.Dir, process: attached}, nil
}

// taskKey names a task's directory and cgroup. Ids hold slashes and are new for every start.
func taskKey(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:12])
}

// compileWorkers leaves one processor to the tasks.
func compileWorkers() int { return max(1, runtime.NumCPU()-1) }

// oneLine joins the lines of a list of faults.
func oneLine(err error) error {
	if !strings.Contains(err.Error(), "\n") {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// start starts the runner and waits until its guest is about to run. On error nothing is left behind.
func (t *Task) start(ctx context.Context, spec *runner.Spec, code entry, root bool) (err error) {
	if err := t.dir.Create(spec); err != nil {
		return err // what is there is another task's
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.discard())
		}
	}()
	status, err := t.dir.OpenStatus()
	if err != nil {
		return fmt.Errorf("open status pipe: %w", err)
	}
	defer status.Close()
	if root && process.CgroupVersion() > 0 {
		if t.cgroup, err = process.NewCgroup("serai/wasm/"+filepath.Base(string(t.dir)), limits(t.config, code)); err != nil {
			return err
		}
	}
	t.process, err = process.Start(process.Spec{
		ID:              t.config.GetId(),
		StateDir:        filepath.Join(string(t.dir), "process"),
		Path:            "/proc/self/exe",
		Args:            []string{runner.RunName, string(t.dir)},
		Env:             []string{"GOMAXPROCS=2"},
		Dir:             "/",
		Stdout:          t.config.GetStdoutPath(),
		Stderr:          t.config.GetStderrPath(),
		NoNewPrivileges: true,
		Cgroup:          t.cgroup,
	})
	if err != nil {
		return err
	}
	return t.awaitGuest(ctx, status)
}

// lastWords is how long a runner that has ended gets to be heard: what it said is in the pipe already.
const lastWords = 100 * time.Millisecond

// awaitGuest waits for the runner to say that its guest starts.
func (t *Task) awaitGuest(ctx context.Context, pipe *os.File) error {
	type message struct {
		status runner.Status
		err    error
	}
	heard := make(chan message, 1)
	go func() {
		var m message
		line, err := bufio.NewReader(pipe).ReadBytes('\n')
		if m.err = err; err == nil {
			m.err = json.Unmarshal(line, &m.status)
		}
		heard <- m
	}()
	var m message
	select {
	case m = <-heard:
	case <-ctx.Done():
		_ = pipe.SetReadDeadline(time.Now())
		<-heard
		return ctx.Err()
	case <-t.process.Done():
		_ = pipe.SetReadDeadline(time.Now().Add(lastWords))
		m = <-heard
	}
	switch {
	case m.err == nil && m.status.Error == "":
		return nil
	case m.err == nil && m.status.Retryable:
		return driver.Retryable(errors.New(m.status.Error))
	case m.err == nil:
		return errors.New(m.status.Error)
	case !errors.Is(m.err, os.ErrDeadlineExceeded):
		return fmt.Errorf("hear from runner: %w", m.err)
	}
	exit := t.process.Exit()
	switch {
	case exit.OOMKilled:
		return fmt.Errorf("the runner ran out of memory before the guest started: raise the memory of the task's resources")
	case exit.Signal != 0:
		return fmt.Errorf("the runner was killed by %s before the guest started", exit.Signal)
	}
	return fmt.Errorf("the runner ended with status %d before the guest started: see the task's stderr", exit.Code)
}
