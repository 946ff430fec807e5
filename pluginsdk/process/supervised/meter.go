package supervised

import (
	"bufio"
	"cmp"
	"context"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

// meter turns cumulative CPU times into shares of the time between readings.
type meter struct {
	coreMHz float64

	mu   sync.Mutex
	last process.Usage
	cpu  *driver.CPUUsage // computed at last
}

// minimumSpan keeps two hosts that ask at the same moment from seeing shares
// of a meaninglessly short time.
const minimumSpan = 100e6 // ns

// begin reads the task once, so that the first shares do not count what it took
// to make the task's process as the task's own.
func (m *meter) begin(p *process.Process, node *driver.Node) {
	m.coreMHz = CoreMHz(node)
	if u, err := p.Usage(); err == nil {
		m.last = u
	}
}

// Stats measures the task now. Shares of CPU are averages since the previous
// call, or, at the first, since the driver took up the task.
func (t *Task) Stats(context.Context) (driver.Usage, error) {
	u, err := t.Process.Usage()
	if err != nil {
		return driver.Usage{}, err
	}
	return driver.Usage{Time: u.At, CPU: t.meter.measure(u, t.Process), Memory: memory(u)}, nil
}

func (m *meter) measure(u process.Usage, p *process.Process) *driver.CPUUsage {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last.At.IsZero() {
		m.last.At = p.Record().StartedAt
	}
	if m.cpu != nil && u.At.Sub(m.last.At) < minimumSpan {
		return m.cpu
	}
	total, user, system := u.Percent(m.last)
	m.last = u
	m.cpu = &driver.CPUUsage{
		Percent: total, UserMode: user, SystemMode: system,
		TotalTicks:       total / 100 * m.coreMHz,
		ThrottledPeriods: u.ThrottledPeriods, ThrottledTime: uint64(u.ThrottledTime),
	}
	m.cpu.MeasuredFields = append(m.cpu.MeasuredFields, driver.CPUPercent, driver.CPUUser, driver.CPUSystem, driver.CPUTicks)
	if u.Source != process.FromProcesses {
		m.cpu.MeasuredFields = append(m.cpu.MeasuredFields, driver.CPUThrottledPeriods, driver.CPUThrottledTime)
	}
	return m.cpu
}

func memory(u process.Usage) *driver.MemoryUsage {
	m := &driver.MemoryUsage{Rss: u.RSS}
	m.MeasuredFields = append(m.MeasuredFields, driver.MemoryRSS)
	if u.Source == process.FromProcesses {
		return m
	}
	m.Cache, m.Usage, m.MaxUsage, m.KernelUsage, m.Swap = u.Cache, u.Usage, u.MaxUsage, u.Kernel, u.Swap
	m.MeasuredFields = append(m.MeasuredFields, driver.MemoryCache, driver.MemoryTotal, driver.MemoryMax,
		driver.MemoryKernel, driver.MemorySwap)
	if u.Source == process.FromCgroupV1 {
		m.KernelMaxUsage = u.KernelMax
		m.MeasuredFields = append(m.MeasuredFields, driver.MemoryKernelMax)
	}
	return m
}

// CoreMHz is the speed of one core: what the host says, else what the kernel
// says, else 1000.
func CoreMHz(node *driver.Node) float64 {
	if node != nil && node.Topology != nil {
		if mhz := topologyMHz(node.Topology); mhz > 0 {
			return mhz
		}
	}
	return kernelMHz()
}

func topologyMHz(t *driver.Topology) float64 {
	cores := t.GetCores()
	if len(cores) == 0 {
		return 0
	}
	if total := t.GetOverrideTotalCompute(); total > 0 {
		return float64(total) / float64(len(cores))
	}
	var sum uint64
	for _, c := range cores {
		sum += cmp.Or(c.GetBaseSpeed(), c.GetGuessSpeed(), c.GetMaxSpeed())
	}
	return float64(sum) / float64(len(cores))
}

var kernelMHz = sync.OnceValue(func() float64 {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return 1000
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == "cpu MHz" {
			if mhz, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil && mhz > 0 {
				return mhz
			}
		}
	}
	return 1000
})
