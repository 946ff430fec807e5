package wasm

import (
	"context"
	"fmt"
	"sync"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// usageMeter turns running totals into rates.
type usageMeter struct {
	mu   sync.Mutex
	last process.Usage
}

// since returns the CPU use since the last call, 100 for one core.
func (m *usageMeter) since(u process.Usage) (total, user, system float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.last.At.IsZero() {
		total, user, system = u.Percent(m.last)
	}
	m.last = u
	return total, user, system
}

// Stats implements driver.StatsReporter.
func (t *Task) Stats(context.Context) (driver.Usage, error) {
	u, err := t.process.Usage()
	if err != nil {
		return driver.Usage{}, fmt.Errorf("measure wasm task: %w", err)
	}
	total, user, system := t.usage.since(u)
	env, _, _ := t.driver.settings()
	cpu := &driver.CPUUsage{
		Percent: total, UserMode: user, SystemMode: system,
		TotalTicks:       total / 100 * coreMHz(env.Node),
		ThrottledPeriods: u.ThrottledPeriods, ThrottledTime: uint64(u.ThrottledTime),
		MeasuredFields: append(cpuFields[:0:0], cpuFields...),
	}
	memory := &driver.MemoryUsage{
		Rss: u.RSS, Cache: u.Cache, MaxUsage: u.MaxUsage, Usage: u.Usage, KernelUsage: u.Kernel, KernelMaxUsage: u.KernelMax, Swap: u.Swap,
		MeasuredFields: append(memoryFields[:0:0], memoryFields...),
	}
	switch u.Source {
	case process.FromProcesses:
		cpu.MeasuredFields, memory.MeasuredFields = cpu.MeasuredFields[:4], memory.MeasuredFields[:1]
	case process.FromCgroupV2:
		memory.MeasuredFields = memory.MeasuredFields[:6]
	}
	return driver.Usage{Time: u.At, CPU: cpu, Memory: memory}, nil
}

// What is measured: the first four, and the first one, in any case.
var (
	cpuFields = []driverpb.CPUUsage_Fields{driver.CPUPercent, driver.CPUUser, driver.CPUSystem, driver.CPUTicks,
		driver.CPUThrottledPeriods, driver.CPUThrottledTime}
	memoryFields = []driverpb.MemoryUsage_Fields{driver.MemoryRSS, driver.MemoryCache, driver.MemoryMax, driver.MemoryTotal,
		driver.MemoryKernel, driver.MemorySwap, driver.MemoryKernelMax}
)

// coreMHz is the mean speed of the node's cores, 0 if unknown.
func coreMHz(node *driver.Node) float64 {
	if node == nil || len(node.Topology.GetCores()) == 0 {
		return 0
	}
	var sum uint64
	cores := node.Topology.GetCores()
	for _, core := range cores {
		switch {
		case core.GetBaseSpeed() > 0:
			sum += core.GetBaseSpeed()
		case core.GetMaxSpeed() > 0:
			sum += core.GetMaxSpeed()
		default:
			sum += core.GetGuessSpeed()
		}
	}
	return float64(sum) / float64(len(cores))
}
