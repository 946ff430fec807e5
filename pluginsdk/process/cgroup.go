package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

// Cgroup names the directories that hold one task's processes. It is plain
// data: it may be copied, stored as JSON and used by another process. Its
// methods may be called at any time, also when the directories are gone.
type Cgroup struct {
	// Unified is the directory in the cgroup v2 hierarchy, or empty. On a
	// hybrid machine it carries no controller and serves to kill the task.
	Unified string `json:"unified,omitempty"`
	// V1 maps a cgroup v1 controller (memory, cpu, cpuacct, pids, freezer,
	// name=systemd) to its directory.
	V1 map[string]string `json:"v1,omitempty"`
	// Joined are directories that the task is put into as well but that belong
	// to someone else: never used for kill or figures, never removed.
	Joined []string `json:"joined,omitempty"`
}

// Limits bound a task. Zero leaves a value alone.
type Limits struct {
	// CPUShares is the weight relative to other tasks, as of cgroup v1
	// (2 to 262144); on cgroup v2 it is converted to cpu.weight.
	CPUShares uint64
	// CPUs is a list of the processors to run on, such as "0-2,7".
	CPUs string
	// MemoryBytes is the hard limit. The kernel kills above it.
	MemoryBytes int64
	// MemoryReserveBytes is the share that the kernel tries to leave alone
	// when the machine runs short.
	MemoryReserveBytes int64
	// PIDs is the highest number of processes and threads.
	PIDs int64
}

// hierarchy is what this machine mounts.
type hierarchy struct {
	unified string            // mount point of cgroup v2, or ""
	pure    bool              // cgroup v2 only
	v1      map[string]string // controller → mount point
}

var hierarchies = sync.OnceValues(func() (hierarchy, error) {
	h := hierarchy{v1: map[string]string{}}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return h, fmt.Errorf("find cgroup mounts: %w", err)
	}
	for _, m := range mounts {
		if m.FSType == "cgroup2" {
			if h.unified == "" {
				h.unified = m.Mountpoint
			}
			continue
		}
		for option := range strings.SplitSeq(m.VFSOptions, ",") {
			switch option {
			case "rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods":
			default:
				if h.v1[option] == "" && !strings.HasPrefix(option, "release_agent=") {
					h.v1[option] = m.Mountpoint
				}
			}
		}
	}
	h.pure = h.unified != "" && !onV1(h.v1)
	return h, nil
})

// onV1 reports whether the controllers that matter are on cgroup v1. A machine
// on v2 may still mount a v1 hierarchy for something else.
func onV1(controllers map[string]string) bool {
	return controllers["memory"] != "" || controllers["cpu"] != "" || controllers["cpuacct"] != ""
}

// CgroupVersion is 2 where only cgroup v2 is mounted, 1 where cgroup v1 is
// (alone or beside v2), 0 where there is none.
func CgroupVersion() int {
	h, _ := hierarchies()
	switch {
	case h.pure:
		return 2
	case onV1(h.v1):
		return 1
	}
	return 0
}

// CgroupAt names the cgroup that name would have in every hierarchy of this
// machine, without making it: for cgroups that a container runtime makes.
func CgroupAt(name string) (*Cgroup, error) {
	h, err := hierarchies()
	if err != nil {
		return nil, err
	}
	c := &Cgroup{V1: map[string]string{}}
	if h.unified != "" {
		c.Unified = filepath.Join(h.unified, name)
	}
	for controller, mount := range h.v1 {
		c.V1[controller] = filepath.Join(mount, name)
	}
	return c, nil
}

// CgroupDir is the directory of the cgroup path in the hierarchy of a cgroup v1
// controller, or of cgroup v2 if controller is empty. The directory must exist.
func CgroupDir(controller, path string) (string, error) {
	h, err := hierarchies()
	if err != nil {
		return "", err
	}
	mount := h.unified
	if controller != "" {
		mount = h.v1[controller]
	}
	if mount == "" {
		return "", fmt.Errorf("find cgroup %s: the hierarchy %q is not mounted", path, controller)
	}
	dir := path
	if path != mount && !strings.HasPrefix(path, mount+"/") {
		dir = filepath.Join(mount, path)
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil {
		return "", fmt.Errorf("find cgroup %s: %w", path, err)
	}
	return dir, nil
}

// NewCgroup makes the cgroup name (a relative path such as
// "serai/raw_exec/1f6c") in the hierarchies that task supervision needs and
// sets the limits. On failure nothing is left behind.
func NewCgroup(name string, limits Limits) (*Cgroup, error) {
	h, err := hierarchies()
	if err != nil {
		return nil, err
	}
	c := &Cgroup{V1: map[string]string{}}
	if h.unified != "" {
		c.Unified = filepath.Join(h.unified, name)
	}
	for controller, mount := range h.v1 {
		switch controller {
		case "cpu", "cpuacct", "memory":
		case "freezer":
			if c.Unified != "" && canKill() {
				continue // cgroup.kill does its work, and better
			}
		case "pids":
			if limits.PIDs <= 0 {
				continue
			}
		case "cpuset":
			if limits.CPUs == "" {
				continue
			}
		case "name=systemd":
			if !underSystemd() {
				continue
			}
		default:
			continue
		}
		c.V1[controller] = filepath.Join(mount, name)
	}
	if c.Unified == "" && len(c.V1) == 0 {
		return nil, errors.New("create cgroup: no cgroup hierarchy is mounted")
	}
	if err := c.create(h, limits); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	return c, nil
}

// canKill reports whether cgroup v2 has cgroup.kill (Linux 5.14). The root
// group never has the file, so that the version must tell.
var canKill = sync.OnceValue(func() bool {
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	var major, minor int
	_, _ = fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor)
	return major > 5 || major == 5 && minor >= 14
})

// underSystemd reports whether systemd runs the machine: tasks must then leave
// the agent's service in its hierarchy, or they would be stopped with it.
var underSystemd = sync.OnceValue(func() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
})

func (c *Cgroup) create(h hierarchy, limits Limits) error {
	for _, dir := range c.dirs() {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create cgroup: %w", err)
		}
	}
	if h.pure {
		delegate(h.unified, c.Unified)
	}
	if dir := c.V1["cpuset"]; dir != "" {
		inheritCpuset(h.v1["cpuset"], dir)
	}
	return c.SetLimits(limits)
}

// delegate makes the controllers available in dir, from root down. What the
// machine does not offer shows when a limit is set.
func delegate(root, dir string) {
	rel, err := filepath.Rel(root, filepath.Dir(dir))
	if err != nil {
		return
	}
	at := root
	for _, part := range strings.Split("./"+rel, "/") {
		at = filepath.Join(at, part)
		for _, controller := range []string{"cpu", "memory", "pids", "cpuset"} {
			_ = os.WriteFile(filepath.Join(at, "cgroup.subtree_control"), []byte("+"+controller), 0)
		}
	}
}

// inheritCpuset fills the cpusets from below root to dir: on cgroup v1 they
// start empty, and an empty one takes no process.
func inheritCpuset(root, dir string) {
	if dir == root || len(dir) <= len(root) {
		return
	}
	parent := filepath.Dir(dir)
	inheritCpuset(root, parent)
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if own, err := os.ReadFile(filepath.Join(dir, file)); err == nil && len(strings.TrimSpace(string(own))) == 0 {
			if b, err := os.ReadFile(filepath.Join(parent, file)); err == nil {
				_ = writeFile(filepath.Join(dir, file), strings.TrimSpace(string(b)))
			}
		}
	}
}

// SetLimits changes the limits of the cgroup.
func (c *Cgroup) SetLimits(l Limits) error {
	type setting struct{ controller, file, value string }
	var set []setting
	add := func(controller, v1, v2 string, v1Value, v2Value string) {
		if dir := c.V1[controller]; dir != "" {
			set = append(set, setting{controller, filepath.Join(dir, v1), v1Value})
		} else if c.Unified != "" && !onV1(c.V1) {
			set = append(set, setting{controller, filepath.Join(c.Unified, v2), v2Value})
		}
	}
	num := func(n int64) string { return strconv.FormatInt(n, 10) }
	if l.CPUShares > 0 {
		add("cpu", "cpu.shares", "cpu.weight", strconv.FormatUint(l.CPUShares, 10),
			strconv.FormatUint(cgroups.ConvertCPUSharesToCgroupV2Value(l.CPUShares), 10))
	}
	if l.CPUs != "" {
		add("cpuset", "cpuset.cpus", "cpuset.cpus", l.CPUs, l.CPUs)
	}
	if l.MemoryBytes > 0 {
		add("memory", "memory.limit_in_bytes", "memory.max", num(l.MemoryBytes), num(l.MemoryBytes))
	}
	if l.MemoryReserveBytes > 0 {
		add("memory", "memory.soft_limit_in_bytes", "memory.low", num(l.MemoryReserveBytes), num(l.MemoryReserveBytes))
	}
	if l.PIDs > 0 {
		add("pids", "pids.max", "pids.max", num(l.PIDs), num(l.PIDs))
	}
	for _, s := range set {
		if err := writeFile(s.file, s.value); err != nil {
			return fmt.Errorf("limit %s of the task: %w", s.controller, err)
		}
	}
	if l.MemoryBytes > 0 {
		// Not every kernel accounts swap; where it does, a limit on memory
		// must not become one on what is swapped out.
		if dir := c.V1["memory"]; dir != "" {
			_ = writeFile(filepath.Join(dir, "memory.memsw.limit_in_bytes"), num(l.MemoryBytes))
		} else if c.Unified != "" && !onV1(c.V1) {
			_ = writeFile(filepath.Join(c.Unified, "memory.swap.max"), "0")
		}
	}
	return nil
}

// writeFile writes to an existing control file: os.WriteFile would try to
// create a missing one and report a misleading permission error.
func writeFile(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(value)
	return err
}

// dirs are the task's own directories.
func (c *Cgroup) dirs() []string {
	var dirs []string
	if c.Unified != "" {
		dirs = append(dirs, c.Unified)
	}
	seen := map[string]bool{}
	for _, dir := range c.V1 {
		if !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// listing is a directory whose cgroup.procs names all processes of the task.
func (c *Cgroup) listing() string {
	if c.Unified != "" {
		return c.Unified
	}
	for _, controller := range []string{"freezer", "pids", "memory", "cpu", "cpuacct", "name=systemd"} {
		if dir := c.V1[controller]; dir != "" {
			return dir
		}
	}
	return ""
}

// PIDs lists the processes in the cgroup and below it.
func (c *Cgroup) PIDs() ([]int, error) {
	dir := c.listing()
	if dir == "" {
		return nil, nil
	}
	pids, err := cgroups.GetAllPids(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return pids, err
}

// Kill sends SIGKILL to every process in the cgroup and returns when none is
// left, or with an error after patience.
func (c *Cgroup) Kill(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for pause := 200 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		pids, err := c.PIDs()
		if err != nil {
			return fmt.Errorf("kill cgroup: %w", err)
		}
		if len(pids) == 0 {
			return nil
		}
		if c.Unified == "" || writeFile(filepath.Join(c.Unified, "cgroup.kill"), "1") != nil {
			if dir := c.V1["freezer"]; dir != "" {
				_ = writeFile(filepath.Join(dir, "freezer.state"), "THAWED")
			}
			for _, pid := range pids {
				if pid > 1 && pid != os.Getpid() {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill cgroup: processes %v do not end", pids)
		}
		time.Sleep(pause)
	}
}

// Remove removes the cgroup and all below it. The processes must be gone;
// ones that are about to go are waited for briefly.
func (c *Cgroup) Remove() error {
	var errs []error
	for _, dir := range c.dirs() {
		if err := removeTree(dir); err != nil {
			errs = append(errs, fmt.Errorf("remove cgroup: %w", err))
		}
	}
	return errors.Join(errs...)
}

func removeTree(dir string) error {
	var err error
	for pause := 500 * time.Microsecond; pause < time.Second; pause *= 2 {
		err = unix.Rmdir(dir)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		entries, _ := os.ReadDir(dir)
		below := false
		for _, e := range entries {
			if e.IsDir() {
				below = true
				_ = removeTree(filepath.Join(dir, e.Name()))
			}
		}
		if !below {
			time.Sleep(pause)
		}
	}
	return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
}

// OOMKills counts the processes that the kernel killed in the cgroup for want
// of memory.
func (c *Cgroup) OOMKills() int {
	n := 0
	if dir := c.V1["memory"]; dir != "" {
		n += countIn(filepath.Join(dir, "memory.oom_control"), "oom_kill")
	} else if c.Unified != "" {
		n += countIn(filepath.Join(c.Unified, "memory.events"), "oom_kill")
	}
	return n
}

// countIn reads one value of a "key value" per line file; 0 if absent.
func countIn(path, key string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok && k == key {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}

// membership opens what a supervisor needs to put a process into the cgroup.
// The caller closes the files.
func (c *Cgroup) membership() (m members, err error) {
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	var join []string
	for _, dir := range c.dirs() {
		if dir != c.Unified {
			join = append(join, filepath.Join(dir, joinFile))
		}
	}
	for _, dir := range c.Joined {
		file := filepath.Join(dir, joinFile)
		if _, err := os.Stat(file); err != nil {
			file = filepath.Join(dir, "cgroup.procs")
		}
		join = append(join, file)
	}
	for _, path := range join {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return m, fmt.Errorf("open cgroup: %w", err)
		}
		m.join = append(m.join, f)
	}
	if c.Unified != "" {
		if m.unified, err = os.Open(c.Unified); err != nil {
			return m, fmt.Errorf("open cgroup: %w", err)
		}
		m.kill, _ = os.OpenFile(filepath.Join(c.Unified, "cgroup.kill"), os.O_WRONLY, 0)
	}
	if dir := c.listing(); dir != "" && m.kill == nil {
		if m.procs, err = os.Open(filepath.Join(dir, "cgroup.procs")); err != nil {
			return m, fmt.Errorf("open cgroup: %w", err)
		}
	}
	return m, nil
}

type members struct {
	join                 []*os.File
	unified, kill, procs *os.File
}

func (m *members) close() {
	for _, f := range append(m.join, m.unified, m.kill, m.procs) {
		if f != nil {
			f.Close()
		}
	}
}
