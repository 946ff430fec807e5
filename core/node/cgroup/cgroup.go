// Package cgroup makes the cgroup that a task joins: the place that drivers
// are told of in their cpuset_cgroup, and where tasks with reserved cores and
// all others are kept apart.
//
//	cgroup v2  <mount>/<parent>/share.slice/<alloc>.<task>.scope
//	cgroup v1  <cpuset mount>/<parent>/share/<alloc>.<task>
//
// or reserve in place of share for a task with cores of its own.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/taskenv"
)

// Default parents, by cgroup version.
const (
	DefaultParentV1 = "/nomad"
	DefaultParentV2 = "nomad.slice"
)

// Manager makes and removes the cgroups of tasks. It is safe for use by many
// goroutines.
type Manager struct {
	version  int
	parent   string // absolute
	share    string
	reserve  string
	suffix   string
	announce string
}

// New prepares the parent cgroups below parent ("" is the default). It returns
// nil on a machine without a hierarchy for it, or where the agent may not
// write to it: tasks then run without.
func New(parent string) (*Manager, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("find cgroup mounts: %w", err)
	}
	m := &Manager{announce: parent}
	v1, unified := "", ""
	legacy := false
	for _, i := range mounts {
		if i.FSType == "cgroup2" {
			unified = i.Mountpoint
			continue
		}
		legacy = true
		for option := range strings.SplitSeq(i.VFSOptions, ",") {
			if option == "cpuset" {
				v1 = i.Mountpoint
			}
		}
	}
	switch {
	case legacy && v1 != "":
		m.version, m.share, m.reserve = 1, "share", "reserve"
		m.parent = filepath.Join(v1, or(parent, DefaultParentV1))
	case !legacy && unified != "":
		m.version, m.share, m.reserve, m.suffix = 2, "share.slice", "reserve.slice", ".scope"
		m.parent = filepath.Join(unified, or(parent, DefaultParentV2))
	default:
		return nil, nil
	}
	m.announce = or(parent, DefaultParentV2)
	err = m.prepare()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Parent is the parent as tasks and users are told of it. A nil Manager has
// none.
func (m *Manager) Parent() string {
	if m == nil {
		return ""
	}
	return m.announce
}

// controllers are handed down to tasks with cgroup v2.
var controllers = []string{"cpuset", "cpu", "io", "memory", "pids"}

func (m *Manager) prepare() error {
	if m.version == 2 {
		if err := enable(filepath.Dir(m.parent)); err != nil {
			return err
		}
	}
	for _, dir := range []string{m.parent, filepath.Join(m.parent, m.share), filepath.Join(m.parent, m.reserve)} {
		if err := m.make(dir); err != nil {
			return err
		}
		if m.version == 2 {
			if err := enable(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// enable hands controllers down. One that this kernel lacks is left out.
func enable(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("prepare cgroup %s: %w", dir, err)
	}
	for _, c := range controllers {
		if !strings.Contains(" "+strings.TrimSpace(string(b))+" ", " "+c+" ") {
			continue
		}
		if err := write(filepath.Join(dir, "cgroup.subtree_control"), "+"+c); err != nil {
			return fmt.Errorf("prepare cgroup %s: %w", dir, err)
		}
	}
	return nil
}

// make makes one cgroup. With v1 a new one has no processors of its own, and
// nothing can join it until it has.
func (m *Manager) make(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create cgroup: %w", err)
	}
	if m.version != 1 {
		return nil
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("create cgroup: %w", err)
		}
		if strings.TrimSpace(string(own)) != "" {
			continue
		}
		above, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
		if err != nil {
			return fmt.Errorf("create cgroup: %w", err)
		}
		if err := write(filepath.Join(dir, name), strings.TrimSpace(string(above))); err != nil {
			return fmt.Errorf("create cgroup %s: %w", dir, err)
		}
	}
	return nil
}

func write(path, s string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (m *Manager) path(part string, id model.AllocID, task string) string {
	// A task's name may hold spaces; a slash it can't.
	return filepath.Join(m.parent, part, string(id)+"."+task+m.suffix)
}

// Create makes the cgroup of a task and returns its path; one that is there
// stays.
func (m *Manager) Create(id model.AllocID, task string, cores []uint16) (string, error) {
	part := m.share
	if len(cores) > 0 {
		part = m.reserve
	}
	dir := m.path(part, id, task)
	if err := m.make(dir); err != nil {
		return "", err
	}
	if len(cores) > 0 {
		if err := write(filepath.Join(dir, "cpuset.cpus"), taskenv.CPUList(cores)); err != nil {
			return "", fmt.Errorf("reserve cores in cgroup %s: %w", dir, err)
		}
	}
	return dir, nil
}

// Remove removes the cgroup of a task that has ended. One that does not exist
// is no error.
func (m *Manager) Remove(id model.AllocID, task string) error {
	for _, part := range []string{m.share, m.reserve} {
		if err := remove(m.path(part, id, task)); err != nil {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}

// remove removes a cgroup with those that a driver left inside.
func remove(dir string) error {
	err := os.Remove(dir)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	entries, rerr := os.ReadDir(dir)
	if rerr != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
