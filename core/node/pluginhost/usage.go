package pluginhost

import (
	"context"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/pluginsdk/driver"
)

const (
	usageEvery = time.Second
	// usageIdle is how long a task goes on being measured after someone asked.
	usageIdle = 30 * time.Second
	// usageFirst bounds the wait for the first figures.
	usageFirst = 3 * time.Second
)

// usage measures a task as long as someone asks for it: figures that no one
// looks at cost nothing.
type usage struct {
	cancel context.CancelFunc
	idle   *time.Timer
	first  chan struct{}

	mu   sync.Mutex
	last *model.TaskResourceUsage
}

func (u *usage) stop() {
	u.idle.Stop()
	u.cancel()
}

// Usage implements taskrunner.Driver.
func (p *plugin) Usage(ctx context.Context, id string) (*model.TaskResourceUsage, error) {
	l, err := p.current(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	t := p.tasks[id]
	if t == nil {
		p.mu.Unlock()
		return nil, nil
	}
	u := t.usage
	if u == nil {
		life, cancel := context.WithCancel(p.host.ctx)
		u = &usage{cancel: cancel, first: make(chan struct{})}
		u.idle = time.AfterFunc(usageIdle, cancel)
		t.usage = u
		p.host.work.Go(func() {
			u.follow(life, p, l, id)
			p.mu.Lock()
			if t.usage == u {
				t.usage = nil
			}
			p.mu.Unlock()
		})
	} else {
		u.idle.Reset(usageIdle)
	}
	p.mu.Unlock()
	timer := time.NewTimer(usageFirst)
	defer timer.Stop()
	select {
	case <-u.first:
	case <-timer.C:
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last, nil
}

// follow reads figures until the task ends, the process dies, or no one asks.
func (u *usage) follow(ctx context.Context, p *plugin, l *live, id string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-l.process.Exited():
			cancel()
		case <-ctx.Done():
		}
	}()
	announce := sync.OnceFunc(func() { close(u.first) })
	defer announce()
	for s, err := range l.driver.TaskStats(ctx, id, usageEvery) {
		if err != nil {
			if ctx.Err() == nil {
				p.log.Debug("task is not measured", "task", id, "error", err)
			}
			return
		}
		m := &model.TaskResourceUsage{Timestamp: s.Time.UnixNano(), ResourceUsage: resourceUsage(s.CPU, s.Memory)}
		if len(s.Processes) > 0 {
			m.Pids = map[string]*model.ResourceUsage{}
			for pid, r := range s.Processes {
				m.Pids[pid] = resourceUsage(r.GetCpu(), r.GetMemory())
			}
		}
		u.mu.Lock()
		u.last = m
		u.mu.Unlock()
		announce()
	}
}

// Names of figures, as the API lists them.
var (
	cpuNames = map[int32]string{
		int32(driver.CPUSystem): "System Mode", int32(driver.CPUUser): "User Mode", int32(driver.CPUTicks): "Total Ticks",
		int32(driver.CPUThrottledPeriods): "Throttled Periods", int32(driver.CPUThrottledTime): "Throttled Time",
		int32(driver.CPUPercent): "Percent",
	}
	memoryNames = map[int32]string{
		int32(driver.MemoryRSS): "RSS", int32(driver.MemoryCache): "Cache", int32(driver.MemoryMax): "Max Usage",
		int32(driver.MemoryKernel): "Kernel Usage", int32(driver.MemoryKernelMax): "Kernel Max Usage",
		int32(driver.MemoryTotal): "Usage", int32(driver.MemorySwap): "Swap",
	}
)

func resourceUsage(c *driver.CPUUsage, m *driver.MemoryUsage) *model.ResourceUsage {
	r := &model.ResourceUsage{CpuStats: &model.CPUStats{}, MemoryStats: &model.MemoryStats{}}
	if c != nil {
		r.CpuStats = &model.CPUStats{
			SystemMode: c.GetSystemMode(), UserMode: c.GetUserMode(), TotalTicks: c.GetTotalTicks(), Percent: c.GetPercent(),
			ThrottledPeriods: c.GetThrottledPeriods(), ThrottledTime: c.GetThrottledTime(),
		}
		for _, f := range c.GetMeasuredFields() {
			r.CpuStats.Measured = append(r.CpuStats.Measured, cpuNames[int32(f)])
		}
	}
	if m != nil {
		r.MemoryStats = &model.MemoryStats{
			RSS: m.GetRss(), Cache: m.GetCache(), Swap: m.GetSwap(), Usage: m.GetUsage(), MaxUsage: m.GetMaxUsage(),
			KernelUsage: m.GetKernelUsage(), KernelMaxUsage: m.GetKernelMaxUsage(),
		}
		for _, f := range m.GetMeasuredFields() {
			r.MemoryStats.Measured = append(r.MemoryStats.Measured, memoryNames[int32(f)])
		}
	}
	return r
}
