package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what a task has used so far. Source tells which figures are real.
type Usage struct {
	At time.Time
	// CPU times since the start of the task.
	CPUTotal, CPUUser, CPUSystem time.Duration
	// ThrottledPeriods and ThrottledTime count what a CPU quota cost.
	ThrottledPeriods uint64
	ThrottledTime    time.Duration
	// Memory in bytes: RSS anonymous and mapped pages, Cache file pages, Usage
	// all that counts towards the limit, MaxUsage its highest value, Kernel
	// the kernel's share, Swap what was swapped out.
	RSS, Cache, Usage, MaxUsage, Kernel, KernelMax, Swap uint64
	// Source is where the figures come from.
	Source Source
}

// Source is where figures come from, and so which of them exist.
type Source int

const (
	// FromProcesses: only CPUTotal, CPUUser, CPUSystem and RSS, of the
	// processes that are alive.
	FromProcesses Source = iota
	// FromCgroupV1: everything.
	FromCgroupV1
	// FromCgroupV2: everything except KernelMax.
	FromCgroupV2
)

// Percent is the CPU use between two readings, 100 for one core.
func (u Usage) Percent(before Usage) (total, user, system float64) {
	wall := u.At.Sub(before.At)
	if wall <= 0 {
		return 0, 0, 0
	}
	share := func(a, b time.Duration) float64 { return max(0, 100*float64(a-b)/float64(wall)) }
	return share(u.CPUTotal, before.CPUTotal), share(u.CPUUser, before.CPUUser), share(u.CPUSystem, before.CPUSystem)
}

// Usage reads the figures of the cgroup.
func (c *Cgroup) Usage() (Usage, error) {
	u := Usage{At: time.Now()}
	read := c.usageV2
	if onV1(c.V1) {
		read = c.usageV1
	}
	err := read(&u)
	return u, err
}

func (c *Cgroup) usageV1(u *Usage) error {
	u.Source = FromCgroupV1
	if dir := c.V1["cpuacct"]; dir != "" {
		total, err := number(dir, "cpuacct.usage")
		if err != nil {
			return err
		}
		user, _ := number(dir, "cpuacct.usage_user")
		system, _ := number(dir, "cpuacct.usage_sys")
		u.CPUTotal, u.CPUUser, u.CPUSystem = time.Duration(total), time.Duration(user), time.Duration(system)
	}
	if dir := c.V1["cpu"]; dir != "" {
		stat := numbers(dir, "cpu.stat")
		u.ThrottledPeriods, u.ThrottledTime = stat["nr_throttled"], time.Duration(stat["throttled_time"])
	}
	dir := c.V1["memory"]
	if dir == "" {
		return nil
	}
	var err error
	if u.Usage, err = number(dir, "memory.usage_in_bytes"); err != nil {
		return err
	}
	stat := numbers(dir, "memory.stat")
	u.RSS, u.Cache, u.Swap = stat["total_rss"]+stat["total_mapped_file"], stat["total_cache"], stat["total_swap"]
	u.MaxUsage, _ = number(dir, "memory.max_usage_in_bytes")
	u.Kernel, _ = number(dir, "memory.kmem.usage_in_bytes")
	u.KernelMax, _ = number(dir, "memory.kmem.max_usage_in_bytes")
	return nil
}

func (c *Cgroup) usageV2(u *Usage) error {
	u.Source = FromCgroupV2
	if _, err := os.Stat(c.Unified); err != nil {
		return err
	}
	cpu := numbers(c.Unified, "cpu.stat")
	u.CPUTotal = time.Duration(cpu["usage_usec"]) * time.Microsecond
	u.CPUUser = time.Duration(cpu["user_usec"]) * time.Microsecond
	u.CPUSystem = time.Duration(cpu["system_usec"]) * time.Microsecond
	u.ThrottledPeriods, u.ThrottledTime = cpu["nr_throttled"], time.Duration(cpu["throttled_usec"])*time.Microsecond
	u.Usage, _ = number(c.Unified, "memory.current")
	u.MaxUsage, _ = number(c.Unified, "memory.peak")
	u.Swap, _ = number(c.Unified, "memory.swap.current")
	stat := numbers(c.Unified, "memory.stat")
	u.RSS, u.Cache, u.Kernel = stat["anon"]+stat["file_mapped"], stat["file"], stat["kernel"]
	return nil
}

// Usage reads the figures of the task: its cgroup's, or, without one, those of
// its living processes.
func (p *Process) Usage() (Usage, error) {
	if c := p.record.Cgroup; c != nil && (onV1(c.V1) || c.Unified != "") {
		return c.Usage()
	}
	return treeUsage(p.record.PID, p.record.SupervisorPID), nil
}

// treeUsage adds up the descendants of the supervisor (which adopts the task's
// orphans), or of the task if the supervisor is gone.
func treeUsage(task, supervisor int) Usage {
	u := Usage{At: time.Now(), Source: FromProcesses}
	queue := children(supervisor)
	if len(queue) == 0 {
		queue = []int{task}
	}
	for len(queue) > 0 {
		pid := queue[0]
		queue = append(queue[1:], children(pid)...)
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			continue
		}
		f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(f) < 22 {
			continue
		}
		field := func(i int) time.Duration { // of proc_pid_stat(5), from 3
			n, _ := strconv.ParseInt(string(f[i-3]), 10, 64)
			return time.Duration(n)
		}
		const tick = time.Second / 100 // USER_HZ is 100 wherever Linux runs
		u.CPUUser += (field(14) + field(16)) * tick
		u.CPUSystem += (field(15) + field(17)) * tick
		u.RSS += uint64(field(24)) * uint64(pageSize())
	}
	u.CPUTotal = u.CPUUser + u.CPUSystem
	return u
}

var pageSize = sync.OnceValue(unix.Getpagesize)

func children(pid int) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, file := range files {
		b, _ := os.ReadFile(file)
		for _, f := range bytes.Fields(b) {
			if n, err := strconv.Atoi(string(f)); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

func number(dir, file string) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

// numbers reads a "key value" per line file; absent keys and files are zero.
func numbers(dir, file string) map[string]uint64 {
	m := map[string]uint64{}
	b, _ := os.ReadFile(filepath.Join(dir, file))
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			if n, err := strconv.ParseUint(v, 10, 64); err == nil {
				m[k] = n
			}
		}
	}
	return m
}
