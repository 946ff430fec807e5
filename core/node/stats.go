package node

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/model"
)

// hostStats keeps the last reading of the processors' times: shares are those
// of the time between two readings, the first of which the node takes when it
// starts.
type hostStats struct {
	mu   sync.Mutex
	last []cpuTimes
}

// HostStats implements httpapi.NodeBackend.
func (n *Node) HostStats(context.Context) (*model.HostStats, error) {
	s := &model.HostStats{Timestamp: time.Now().UnixNano(), DeviceStats: []*model.DeviceGroupStats{}}
	var err error
	if s.Memory, err = memory(); err != nil {
		return nil, err
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return nil, fmt.Errorf("measure uptime: %w", err)
	}
	s.Uptime = uint64(info.Uptime)
	if s.CPU, s.CPUTicksConsumed, err = n.stats.processors(n.base.NodeResources.Cpu); err != nil {
		return nil, err
	}
	if s.DiskStats, err = disks(); err != nil {
		return nil, err
	}
	s.AllocDirStats, err = diskStats(n.config.AllocDir, n.base.Attributes["unique.storage.volume"])
	if err != nil {
		return nil, err
	}
	return s, nil
}

// memory reads /proc/meminfo.
func memory() (*model.HostMemoryStats, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, fmt.Errorf("measure memory: %w", err)
	}
	kib := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 {
			kib[strings.TrimSuffix(f[0], ":")], _ = strconv.ParseUint(f[1], 10, 64)
		}
	}
	m := &model.HostMemoryStats{Total: kib["MemTotal"] << 10, Available: kib["MemAvailable"] << 10, Free: kib["MemFree"] << 10}
	m.Used = m.Total - min(m.Total, m.Available)
	return m, nil
}

// disks measures every file system that is on a device, once.
func disks() ([]*model.HostDiskStats, error) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("measure disks: %w", err)
	}
	list := []*model.HostDiskStats{}
	seen := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 || !strings.HasPrefix(f[0], "/dev/") || seen[f[0]] {
			continue
		}
		seen[f[0]] = true
		// Blanks in a mount point are written as \040.
		mount := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(f[1])
		if d, err := diskStats(mount, f[0]); err == nil { // it may be gone
			list = append(list, d)
		}
	}
	return list, nil
}

func diskStats(mount, device string) (*model.HostDiskStats, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(mount, &st); err != nil {
		return nil, fmt.Errorf("measure disk of %s: %w", mount, err)
	}
	size := uint64(st.Bsize)
	d := &model.HostDiskStats{
		Device: device, Mountpoint: mount,
		Size: st.Blocks * size, Used: (st.Blocks - st.Bfree) * size, Available: st.Bavail * size,
	}
	if total := d.Used + d.Available; total > 0 {
		d.UsedPercent = 100 * float64(d.Used) / float64(total)
	}
	if st.Files > 0 {
		d.InodesUsedPercent = 100 * float64(st.Files-st.Ffree) / float64(st.Files)
	}
	return d, nil
}

// cpuTimes are what a processor did, in clock ticks since boot.
type cpuTimes struct {
	name                     string
	user, system, busy, idle float64
}

// readTimes reads /proc/stat.
func readTimes() ([]cpuTimes, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil, fmt.Errorf("measure processors: %w", err)
	}
	var list []cpuTimes
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 9 || !strings.HasPrefix(f[0], "cpu") || f[0] == "cpu" {
			continue
		}
		var v [8]float64 // user nice system idle iowait irq softirq steal
		for i := range v {
			v[i], _ = strconv.ParseFloat(f[i+1], 64)
		}
		list = append(list, cpuTimes{
			name: f[0], user: v[0], system: v[2], idle: v[3] + v[4],
			busy: v[0] + v[1] + v[2] + v[5] + v[6] + v[7],
		})
	}
	return list, nil
}

// processors returns the shares since the last reading, and the MHz that were
// used in all.
func (h *hostStats) processors(c model.NodeCPU) (list []*model.HostCPUStats, ticks float64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, err := readTimes()
	if err != nil {
		return nil, 0, err
	}
	list = shares(h.last, now, float64(c.CpuShares)/float64(max(c.TotalCpuCores, 1)))
	for _, s := range list {
		ticks += s.TotalTicks
	}
	h.last = now
	return list, ticks, nil
}

// shares compares two readings. perCore is the MHz of a processor.
func shares(before, now []cpuTimes, perCore float64) []*model.HostCPUStats {
	was := map[string]cpuTimes{}
	for _, t := range before {
		was[t.name] = t
	}
	list := make([]*model.HostCPUStats, 0, len(now))
	for _, t := range now {
		b := was[t.name]
		s := &model.HostCPUStats{CPU: t.name}
		if total := t.busy + t.idle - b.busy - b.idle; total > 0 {
			percent := func(a, b float64) float64 { return max(0, 100*(a-b)/total) }
			s.User, s.System, s.Idle = percent(t.user, b.user), percent(t.system, b.system), percent(t.idle, b.idle)
			s.TotalPercent = percent(t.busy, b.busy)
			s.TotalTicks = s.TotalPercent / 100 * perCore
		}
		list = append(list, s)
	}
	return list
}
