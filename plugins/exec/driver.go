// Package exec is the exec task driver: it runs a command in a container whose
// root is the task's directory with the host's programs in it, read-only,
// without an image and without copying a file. Mounts, processes, IPC, host
// name and cgroups are the task's own; the user is nobody unless the job says
// otherwise; capabilities, no_new_privs and a seccomp filter bound what it can
// do.
package exec

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seraiproject/serai/plugins/exec/container"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
	"github.com/seraiproject/serai/pluginsdk/process/supervised"
)

// Name is what job files say.
const Name = "exec"

// Version is the driver's own.
const Version = "0.1.0"

// Info describes the plugin to a host.
func Info() driver.Info {
	return driver.Info{
		Name: Name, Version: Version,
		FSIsolation:  driver.FSIsolationChroot,
		NetworkModes: []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup},
	}
}

// Driver implements driver.Driver.
type Driver struct {
	mu       sync.RWMutex
	env      *driver.Env
	settings *settings
	swept    bool
}

// New returns a driver that has yet to be configured.
func New() *Driver { return &Driver{} }

// Configure checks and takes the plugin's configuration. The first time a host
// is there in earnest, it clears what a killed predecessor left behind.
func (d *Driver) Configure(ctx context.Context, env *driver.Env, config *Config) error {
	s, err := config.settings()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.env, d.settings = env, s
	if env.Node != nil && !d.swept {
		d.swept = true
		if err := process.Sweep(ctx, supervised.StateFolder(Name)); err != nil {
			env.Log.Warn("clear leftovers of earlier tasks", "driver", Name, "error", err)
		}
	}
	return nil
}

// Start starts a task.
func (d *Driver) Start(ctx context.Context, task *driver.TaskConfig, config *TaskConfig) (*Handle, error) {
	d.mu.RLock()
	env, settings := d.env, d.settings
	d.mu.RUnlock()
	if settings == nil {
		return nil, errors.New("exec is not configured yet")
	}
	plan, err := config.plan(settings)
	if err != nil {
		return nil, err
	}
	stateDir := process.StateDir(supervised.StateFolder(Name), task.GetAllocDir(), task.GetName(), task.GetId())
	if err := process.Supersede(ctx, stateDir); err != nil {
		return nil, driver.Retryable(err)
	}
	cgroup, err := process.CgroupAt(supervised.CgroupName(Name, stateDir))
	if err != nil {
		return nil, err
	}
	spec := process.Spec{
		ID: task.GetId(), StateDir: stateDir, Anchor: task.GetAllocDir(),
		Stdout: task.GetStdoutPath(), Stderr: task.GetStderrPath(), Cgroup: cgroup,
	}
	if err := process.Reserve(&spec); err != nil {
		return nil, driver.Retryable(err)
	}
	h, err := d.start(env, settings, plan, task, config, spec)
	if err != nil {
		return nil, errors.Join(err, process.Release(stateDir))
	}
	return h, nil
}

func (d *Driver) start(env *driver.Env, settings *settings, plan plan, task *driver.TaskConfig, config *TaskConfig, start process.Spec) (*Handle, error) {
	options, err := containerOptions(settings, plan, task, config, start.StateDir)
	if err != nil {
		return nil, err
	}
	spec, err := options.Spec()
	if err != nil {
		return nil, err
	}
	filter, err := container.Filter(options.Capabilities)
	if err != nil {
		return nil, err
	}
	s := saved{Root: filepath.Join(start.StateDir, "container"), Name: filepath.Base(start.StateDir), Process: spec.Process,
		Capabilities: options.Capabilities, Options: lookup{Root: options.Root, Chroot: options.Chroot, Mounts: options.Mounts}}
	request, err := json.Marshal(container.Request{ID: task.GetId(), Name: s.Name, Root: s.Root, Spec: spec,
		Filter: filter, Cgroup: start.Cgroup, NoPivotRoot: settings.NoPivotRoot})
	if err != nil {
		return nil, err
	}
	start.Launch = &process.Launch{Name: container.LaunchName, Request: request}
	p, err := process.Start(start)
	if err != nil {
		return nil, err
	}
	return &Handle{Task: supervised.New(p, env.Node), saved: s}, nil
}

// Recover takes up a running or ended task again.
func (d *Driver) Recover(_ context.Context, _ *driver.TaskConfig, _ *TaskConfig, state driver.SavedState) (*Handle, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var s saved
	var node *driver.Node
	if d.env != nil {
		node = d.env.Node
	}
	t, err := supervised.Recover(state, node, &s)
	if err != nil {
		return nil, err
	}
	if s.Process == nil {
		s.Process = &specs.Process{}
	}
	return &Handle{Task: t, saved: s}, nil
}
