package wasm

import (
	"errors"
	"fmt"
	"net"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seraiproject/serai/plugins/wasm/engine"
	"github.com/seraiproject/serai/plugins/wasm/runner"
	"github.com/seraiproject/serai/pluginsdk/driver"
)

// DefaultUser is who guests run as when the job names nobody and the plugin is root.
const DefaultUser = "nobody"

// runnerSpec translates a task into what its runner needs. All faults are reported.
func (c *Config) runnerSpec(task *driver.TaskConfig, config *TaskConfig, root bool) (*runner.Spec, error) {
	dirs := driver.Dirs(task)
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	spec := &runner.Spec{
		MemoryLimit: uint64(max(memoryBytes(task), 0)),
		Entrypoint:  config.Entrypoint,
		Args:        config.Args,
		Env:         environment(task),
	}
	var err error
	spec.Module, err = c.findModule(dirs, config.Module)
	note(err)
	spec.Name = strings.TrimSuffix(filepath.Base(spec.Module.Rel), ".wasm")
	if config.Stdin != "" {
		stdin, err := c.findSource(dirs, config.Stdin)
		if err != nil {
			note(fmt.Errorf("stdin: %w", err))
		}
		spec.Stdin = &stdin
	}
	spec.Mounts, err = c.mounts(task, config, dirs)
	note(err)
	spec.Listen, err = listenAddresses(task, config.Listen)
	note(err)
	spec.NetworkNamespace = task.GetNetworkIsolationSpec().GetPath()
	spec.Clock, err = clockOf(config.Clock)
	note(err)
	if r := config.Random; r != nil && r.Deterministic {
		spec.Random = engine.Random{Fixed: true, Seed: r.Seed}
	}
	if root {
		spec.User, err = lookupUser(task.GetUser())
		note(err)
	}
	return spec, errors.Join(errs...)
}

// memoryBytes is the task's memory in bytes, the module's ceiling. Zero is no limit.
func memoryBytes(task *driver.TaskConfig) int64 {
	if limit := task.GetResources().GetLinuxResources().GetMemoryLimitBytes(); limit > 0 {
		return limit
	}
	return task.GetResources().GetAllocatedResources().GetMemory().GetMemoryMb() << 20
}

// environment is the task's, sorted so that the same task always looks the same to its guest.
func environment(task *driver.TaskConfig) []string {
	env := make([]string, 0, len(task.GetEnv()))
	for key, value := range task.GetEnv() {
		// Neither can be expressed in the interface's key=value strings.
		if key != "" && !strings.ContainsAny(key, "=\x00") && !strings.Contains(value, "\x00") {
			env = append(env, key+"="+value)
		}
	}
	slices.Sort(env)
	return env
}

// mounts are the guest's directories: the task's own, the volumes of the job, and those of the config block. A later one
// takes the place of an earlier one with the same target.
func (c *Config) mounts(task *driver.TaskConfig, config *TaskConfig, dirs driver.TaskDirs) ([]runner.Mount, error) {
	mounts := guestDirs(dirs)
	var errs []error
	add := func(mount runner.Mount) {
		mount.Target = path.Clean(mount.Target)
		if i := slices.IndexFunc(mounts, func(m runner.Mount) bool { return m.Target == mount.Target }); i >= 0 {
			mounts[i] = mount
			return
		}
		mounts = append(mounts, mount)
	}
	for _, volume := range task.GetMounts() {
		add(runner.Mount{
			Source: runner.Path{Base: volume.GetHostPath(), Rel: "."}, Target: volume.GetTaskPath(), ReadOnly: volume.GetReadonly(),
		})
	}
	for i, m := range config.Mounts {
		source, err := c.findSource(dirs, m.Source)
		if err != nil {
			errs = append(errs, fmt.Errorf("mounts[%d].source: %w", i, err))
			continue
		}
		if !path.IsAbs(m.Target) {
			errs = append(errs, fmt.Errorf("mounts[%d].target: %q is not an absolute path", i, m.Target))
			continue
		}
		opened, err := source.OpenRoot()
		if err != nil {
			errs = append(errs, fmt.Errorf("mounts[%d].source: %w", i, explain(source, err)))
			continue
		}
		_ = opened.Close()
		add(runner.Mount{Source: source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	return mounts, errors.Join(errs...)
}

// listenAddresses finds the addresses of port labels.
func listenAddresses(task *driver.TaskConfig, labels []string) ([]runner.Port, error) {
	var ports []runner.Port
	var errs []error
	for i, label := range labels {
		address, ok := listenAddress(task, label)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("listen[%d]: the task has no port labelled %q: declare it in the group's network block", i, label))
		case slices.Contains(labels[:i], label):
			errs = append(errs, fmt.Errorf("listen[%d]: port %q is listed twice", i, label))
		default:
			ports = append(ports, runner.Port{Label: label, Address: address})
		}
	}
	return ports, errors.Join(errs...)
}

// listenAddress is where a task listens for a port label: on the host's address and port, or, in a network namespace of
// its own, on all of that namespace's addresses and the port inside.
func listenAddress(task *driver.TaskConfig, label string) (string, bool) {
	isolated := task.GetNetworkIsolationSpec().GetPath() != ""
	for _, port := range task.GetResources().GetPorts() {
		if port.GetLabel() != label {
			continue
		}
		if isolated {
			inner := port.GetTo()
			if inner <= 0 {
				inner = port.GetValue()
			}
			return net.JoinHostPort("", strconv.Itoa(int(inner))), true
		}
		return net.JoinHostPort(port.GetHostIp(), strconv.Itoa(int(port.GetValue()))), true
	}
	for _, network := range task.GetResources().GetAllocatedResources().GetNetworks() {
		for _, port := range slices.Concat(network.GetReservedPorts(), network.GetDynamicPorts()) {
			if port.GetLabel() == label {
				return net.JoinHostPort(network.GetIp(), strconv.Itoa(int(port.GetValue()))), true
			}
		}
	}
	return "", false
}

// clockOf translates the clock block.
func clockOf(config *ClockConfig) (engine.Clock, error) {
	if config == nil || !config.Deterministic {
		return engine.Clock{}, nil
	}
	start, err := time.Parse(time.RFC3339, config.Start)
	if err != nil {
		return engine.Clock{}, fmt.Errorf("clock.start: %q is not a time such as 2022-01-01T00:00:00Z", config.Start)
	}
	return engine.Clock{Fixed: true, Start: start.UnixNano()}, nil
}

// lookupUser finds a user by name or number.
func lookupUser(name string) (*runner.User, error) {
	if name == "" {
		name = DefaultUser
	}
	found, err := user.Lookup(name)
	if err != nil {
		if found, err = user.LookupId(name); err != nil {
			return nil, fmt.Errorf("user: %q is neither a name nor a number of a user of this machine", name)
		}
	}
	uid, err1 := strconv.Atoi(found.Uid)
	gid, err2 := strconv.Atoi(found.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("user %s: %w", name, err)
	}
	return &runner.User{UID: uid, GID: gid}, nil
}
