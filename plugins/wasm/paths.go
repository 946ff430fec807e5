package wasm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seraiproject/serai/plugins/wasm/runner"
	"github.com/seraiproject/serai/pluginsdk/driver"
)

// guestDirs are the directories of a task as its guest sees them. Of what the tasks of an allocation share, the logs are not
// the guest's to change.
func guestDirs(dirs driver.TaskDirs) []runner.Mount {
	shared := func(rel string) runner.Path { return runner.Path{Base: dirs.Shared, Rel: rel} }
	own := func(path string) runner.Path { return runner.Path{Base: path, Rel: "."} }
	return []runner.Mount{
		{Source: shared("."), Target: "/alloc", ReadOnly: true, Optional: true},
		{Source: shared("data"), Target: "/alloc/data", Optional: true},
		{Source: shared("tmp"), Target: "/alloc/tmp", Optional: true},
		{Source: own(dirs.Local), Target: "/local", Optional: true},
		{Source: own(dirs.Secrets), Target: "/secrets", Optional: true},
		{Source: own(dirs.Tmp), Target: "/tmp", Optional: true},
	}
}

// findModule finds the file of a task's module.
func (c *Config) findModule(dirs driver.TaskDirs, name string) (runner.Path, error) {
	path, err := find(dirs, name, *c.ModulePaths, true)
	if err != nil {
		return path, fmt.Errorf("module: %w", err)
	}
	f, err := path.Open()
	if err != nil {
		return path, fmt.Errorf("module: %w", explain(path, err))
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return path, errors.Join(fmt.Errorf("module: %s is not a file", path), err)
	}
	return path, nil
}

// findSource finds what a mount or stdin names.
func (c *Config) findSource(dirs driver.TaskDirs, name string) (runner.Path, error) {
	return find(dirs, name, c.MountPaths, false)
}

// find resolves a name of a job file to a place that the task may use: a relative one in the task's directory (and, with
// search, in the allowed ones after that), an absolute one below an allowed directory or below a directory of the task as
// the guest sees it. Symbolic links are looked at when the file is opened.
func find(dirs driver.TaskDirs, name string, allowed []string, search bool) (runner.Path, error) {
	if name == "" {
		return runner.Path{}, errors.New("no path given")
	}
	clean := filepath.Clean(name)
	if !filepath.IsAbs(clean) {
		if !filepath.IsLocal(clean) {
			return runner.Path{}, fmt.Errorf("%s leads out of the task's directory", name)
		}
		path := runner.Path{Base: dirs.Task, Rel: clean}
		if !search || exists(path) {
			return path, nil
		}
		for _, base := range allowed {
			if candidate := (runner.Path{Base: base, Rel: clean}); exists(candidate) {
				return candidate, nil
			}
		}
		return runner.Path{}, fmt.Errorf("%s is neither in the task's directory nor in %s", name, list(allowed))
	}
	for _, base := range allowed {
		if rel, err := filepath.Rel(base, clean); err == nil && filepath.IsLocal(rel) {
			return runner.Path{Base: base, Rel: rel}, nil
		}
	}
	for _, dir := range guestDirs(dirs) {
		if rel, err := filepath.Rel(dir.Target, clean); err == nil && filepath.IsLocal(rel) {
			return runner.Path{Base: dir.Source.Base, Rel: filepath.Join(dir.Source.Rel, rel)}, nil
		}
	}
	return runner.Path{}, fmt.Errorf("%s is not below an allowed host directory (%s): ask the node's operator to add it to the plugin's configuration",
		name, list(allowed))
}

// exists tells if there is something, also if it must not be used: opening it says why.
func exists(path runner.Path) bool {
	f, err := path.Open()
	if err == nil {
		_ = f.Close()
	}
	return err == nil || !errors.Is(err, fs.ErrNotExist)
}

// explain says what an error of opening a path means.
func explain(path runner.Path, err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) && strings.Contains(pathError.Err.Error(), "escapes") {
		return fmt.Errorf("%s leads out of %s by a symbolic link", path, path.Base)
	}
	return fmt.Errorf("open %s: %w", path, err)
}

func list(paths []string) string {
	if len(paths) == 0 {
		return "none is configured"
	}
	return strings.Join(paths, ", ")
}
