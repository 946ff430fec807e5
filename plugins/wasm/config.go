package wasm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Config is the plugin's configuration.
type Config struct {
	// Enabled turns the driver off when false.
	Enabled bool `config:"enabled" default:"true"`
	// CacheDir keeps compiled modules, for all tasks of the node and from one agent to the next. Empty:
	// /var/cache/serai/wasm, or the user's own cache directory if the plugin is not root.
	CacheDir string `config:"cache_dir"`
	// StateDir keeps what is needed to find running tasks again. Empty: /run/serai/wasm, or a folder beside the cache if
	// the plugin is not root.
	StateDir string `config:"state_dir"`
	// ModulePaths are host directories that tasks may take modules from. Unset: the folder "examples" beside the
	// folder of the plugin's binary, if there is one, so that the examples of a built tree run as they are.
	ModulePaths *[]string `config:"module_paths"`
	// MountPaths are host directories that tasks may mount, or parts of them. Unset: none.
	MountPaths []string `config:"mount_paths"`
}

// TaskConfig is the config block of a task.
type TaskConfig struct {
	// Module is the file to run: relative to the task's directory or to one of the plugin's module_paths, or an
	// absolute path below one of these, or a path as the guest sees it (/local, /alloc, /secrets, /tmp).
	Module string `config:"module,required"`
	// Args are the guest's arguments, after its name.
	Args []string `config:"args"`
	// Mounts are directories for the guest, besides those of the task.
	Mounts []MountConfig `config:"mounts"`
	// Stdin is a file to read standard input from, found as mounts are.
	Stdin string `config:"stdin"`
	// Listen are the port labels whose sockets are handed to the guest.
	Listen []string `config:"listen"`
	// Entrypoint is the export to call instead of _start.
	Entrypoint string `config:"entrypoint"`
	// Clock fixes the guest's time.
	Clock *ClockConfig `config:"clock"`
	// Random fixes the guest's random numbers.
	Random *RandomConfig `config:"random"`
}

// MountConfig is one directory for the guest.
type MountConfig struct {
	// Source is relative to the task's directory, or a path as the guest sees it, or an absolute one below one of the
	// plugin's mount_paths.
	Source string `config:"source,required"`
	// Target is where the guest sees it.
	Target string `config:"target,required"`
	// ReadOnly refuses changes.
	ReadOnly bool `config:"readonly" default:"true"`
}

// ClockConfig fixes the guest's time.
type ClockConfig struct {
	// Deterministic makes the clock advance only when the guest looks at it or sleeps.
	Deterministic bool `config:"deterministic" default:"true"`
	// Start is the time of day at the start, as in RFC 3339.
	Start string `config:"start" default:"2022-01-01T00:00:00Z"`
}

// RandomConfig fixes the guest's random numbers.
type RandomConfig struct {
	// Deterministic makes all numbers follow from Seed.
	Deterministic bool `config:"deterministic" default:"true"`
	// Seed chooses the sequence.
	Seed uint64 `config:"seed"`
}

// complete checks the configuration and fills in what depends on the machine.
func (c Config) complete() (Config, error) {
	cacheDir, stateDir := "/var/cache/serai/wasm", "/run/serai/wasm"
	if user, err := os.UserCacheDir(); err == nil && os.Geteuid() != 0 {
		cacheDir, stateDir = filepath.Join(user, "serai", "wasm"), filepath.Join(user, "serai", "wasm-tasks")
	}
	if c.CacheDir == "" {
		c.CacheDir = cacheDir
	}
	if c.StateDir == "" {
		c.StateDir = stateDir
	}
	if c.ModulePaths == nil {
		c.ModulePaths = new([]string)
		if folder := examples(); folder != "" {
			*c.ModulePaths = []string{folder}
		}
	}
	var errs []error
	absolute := func(field, path string) {
		if !filepath.IsAbs(path) {
			errs = append(errs, fmt.Errorf("%s: %q is not an absolute path", field, path))
		}
	}
	absolute("cache_dir", c.CacheDir)
	absolute("state_dir", c.StateDir)
	for i, path := range *c.ModulePaths {
		absolute(fmt.Sprintf("module_paths[%d]", i), path)
	}
	for i, path := range c.MountPaths {
		absolute(fmt.Sprintf("mount_paths[%d]", i), path)
	}
	return c, errors.Join(errs...)
}

// examples is the folder of example modules of the tree that the plugin was built in, or empty.
func examples() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	folder := filepath.Join(filepath.Dir(filepath.Dir(self)), "examples")
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return ""
	}
	return folder
}
