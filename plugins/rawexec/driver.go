// Package rawexec is the raw_exec task driver: it runs a command without any
// isolation, as the agent's user unless the job says otherwise. Each task has a
// cgroup of its own where the agent may make one, so that its limits hold and
// killing it leaves nothing behind.
package rawexec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
	"github.com/seraiproject/serai/pluginsdk/process/supervised"
)

// Name is what job files say.
const Name = "raw_exec"

// Version is the driver's own.
const Version = "0.1.0"

// Info describes the plugin to a host.
func Info() driver.Info {
	return driver.Info{
		Name: Name, Version: Version,
		FSIsolation:  driver.FSIsolationNone,
		NetworkModes: []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup},
		NoMounts:     true,
	}
}

// Driver implements driver.Driver.
type Driver struct {
	mu     sync.RWMutex
	env    *driver.Env
	config Config
	denied supervised.Denied
	swept  bool
}

// New returns a driver that has yet to be configured.
func New() *Driver { return &Driver{} }

// Configure checks and takes the plugin's configuration. The first time a host
// is there in earnest, it clears what a killed predecessor left behind.
func (d *Driver) Configure(ctx context.Context, env *driver.Env, config *Config) error {
	denied, err := supervised.ParseDenied(config.DeniedHostUIDs, config.DeniedHostGIDs)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.env, d.config, d.denied = env, *config, denied
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
	env, pluginConfig, denied := d.env, d.config, d.denied
	d.mu.RUnlock()
	if !pluginConfig.Enabled {
		return nil, errors.New("raw_exec is disabled: set enabled = true in its plugin block")
	}
	if err := config.validate(); err != nil {
		return nil, err
	}
	stateDir := process.StateDir(supervised.StateFolder(Name), task.GetAllocDir(), task.GetName(), task.GetId())
	if err := process.Supersede(ctx, stateDir); err != nil {
		return nil, driver.Retryable(err)
	}
	dirs := driver.Dirs(task)
	spec := process.Spec{
		ID: task.GetId(), StateDir: stateDir, Anchor: task.GetAllocDir(),
		Args: append([]string{config.Command}, config.Args...),
		Env:  supervised.Environment(task, slices.Concat(pluginConfig.DeniedEnvvars, config.DeniedEnvvars)...),
		Dir:  dirs.Task, Stdout: task.GetStdoutPath(), Stderr: task.GetStderrPath(),
		NetworkNamespace: task.GetNetworkIsolationSpec().GetPath(),
	}
	if config.WorkDir != "" {
		spec.Dir = config.WorkDir
	}
	var err error
	if spec.Path, err = findCommand(config.Command, dirs); err != nil {
		return nil, err
	}
	if task.GetUser() != "" {
		user, err := supervised.LookupUser(task.GetUser(), "/etc/passwd", "/etc/group")
		if err != nil {
			return nil, err
		}
		spec.Credential = &user.Credential
	}
	if err := denied.Check(effective(spec.Credential)); err != nil {
		return nil, err
	}
	if config.OOMScoreAdj > 0 {
		spec.OOMScoreAdj = &config.OOMScoreAdj
	}
	p, err := start(spec, func() (*process.Cgroup, error) { return cgroup(env, task, config, stateDir) })
	if err != nil {
		return nil, err
	}
	return newHandle(supervised.New(p, env.Node), saved{Env: spec.Env, Dir: spec.Dir, TaskDir: dirs.Task,
		Credential: spec.Credential, NetworkNamespace: spec.NetworkNamespace}), nil
}

// start makes the task's state, its cgroup and its process, in this order: what
// has no state cannot be cleared after a crash.
func start(spec process.Spec, cgroup func() (*process.Cgroup, error)) (*process.Process, error) {
	var err error
	if spec.Cgroup, err = process.CgroupAt(supervised.CgroupName(Name, spec.StateDir)); err != nil {
		return nil, err
	}
	if err := process.Reserve(&spec); err != nil {
		return nil, driver.Retryable(err)
	}
	if spec.Cgroup, err = cgroup(); err != nil {
		return nil, errors.Join(driver.Retryable(err), process.Release(spec.StateDir))
	}
	return process.Start(spec)
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
	return newHandle(t, s), nil
}

// effective is who a task without a user runs as.
func effective(c *process.Credential) process.Credential {
	if c != nil {
		return *c
	}
	own := process.Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	groups, _ := os.Getgroups()
	for _, g := range groups {
		own.Groups = append(own.Groups, uint32(g))
	}
	return own
}

// findCommand resolves a command as job files mean it.
func findCommand(command string, dirs driver.TaskDirs) (string, error) {
	if filepath.IsAbs(command) {
		return command, nil
	}
	for _, dir := range []string{dirs.Local, dirs.Task} {
		path := filepath.Join(dir, command)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	path, err := exec.LookPath(command)
	if err != nil {
		return "", fmt.Errorf("command %q is neither in the task's directory nor in PATH: %w", command, errors.Unwrap(err))
	}
	return filepath.Abs(path)
}

// cgroup makes the task's cgroup, or names the ones that the job wants. A host
// without the right to make cgroups runs tasks without.
func cgroup(env *driver.Env, task *driver.TaskConfig, config *TaskConfig, stateDir string) (*process.Cgroup, error) {
	if config.CgroupV2Override != "" {
		dir, err := process.CgroupDir("", config.CgroupV2Override)
		if err != nil {
			return nil, fmt.Errorf("cgroup_v2_override: %w", err)
		}
		return &process.Cgroup{Joined: []string{dir}}, nil
	}
	if len(config.CgroupV1Override) > 0 {
		c := &process.Cgroup{}
		for _, override := range config.CgroupV1Override {
			for controller, path := range override {
				dir, err := process.CgroupDir(controller, path)
				if err != nil {
					return nil, fmt.Errorf("cgroup_v1_override: %w", err)
				}
				c.Joined = append(c.Joined, dir)
			}
		}
		slices.Sort(c.Joined)
		return c, nil
	}
	log := env.Log.With("driver", Name, "alloc", task.GetAllocId(), "task", task.GetName())
	c, err := supervised.NewCgroup(Name, stateDir, task)
	switch {
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		log.Warn("run task without a cgroup: no right to make one", "error", err)
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		// A controller is not to be had, as in a container without cgroups of
		// its own: what this driver can do without, it does without.
		log.Warn("run task without limits: the machine does not offer them", "error", err)
		return process.NewCgroup(supervised.CgroupName(Name, stateDir), process.Limits{})
	}
	return c, err
}
