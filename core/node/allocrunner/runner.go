package allocrunner

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
	"github.com/seraiproject/serai/core/node/taskrunner"
)

// Store keeps an allocation.
type Store interface {
	PutAlloc(a *model.Allocation) error
	PutHealth(id model.AllocID, h *model.AllocDeploymentStatus) error
	DeleteAlloc(id model.AllocID) error
}

// Config of a Runner.
type Config struct {
	Node    *taskrunner.Node
	Store   Store
	Dir     string // of all allocations
	Alloc   *model.Allocation
	Health  *model.AllocDeploymentStatus // decided by an earlier agent
	Restore bool                         // an earlier agent ran it
	// Changed is called when there is something to tell the servers. It must
	// not block.
	Changed func(*Runner)
	// Previous returns the runner of an allocation on this node, or nil.
	Previous func(model.AllocID) *Runner
}

// Runner runs one allocation. Its methods may be called from any goroutine.
type Runner struct {
	config Config
	log    *slog.Logger
	dir    allocdir.Dir
	kick   chan struct{} // something changed
	done   chan struct{} // closed when the allocation ended and nothing runs
	ended  chan struct{} // closed when Run has returned

	mu      sync.Mutex
	alloc   *model.Allocation
	tasks   []*taskrunner.Runner
	asked   endingCause
	noDelay bool
	health  *model.AllocDeploymentStatus
	status  string
	text    string
}

// New makes a runner.
func New(c Config) (*Runner, error) {
	g := c.Alloc.Group()
	if g == nil {
		return nil, fmt.Errorf("run alloc %s: its job has no group %q", c.Alloc.ID, c.Alloc.TaskGroup)
	}
	r := &Runner{
		config: c, log: c.Node.Log.With("alloc", c.Alloc.ID), dir: allocdir.Dir{Root: filepath.Join(c.Dir, string(c.Alloc.ID))},
		kick: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}),
		alloc: c.Alloc, health: c.Health,
	}
	for _, t := range g.Tasks {
		tr, err := taskrunner.New(taskrunner.Config{Node: c.Node, Alloc: c.Alloc, Task: t, Dir: r.dir, Changed: r.wake})
		if err != nil {
			return nil, err
		}
		r.tasks = append(r.tasks, tr)
	}
	if c.Alloc.ServerTerminal() {
		r.asked = endStop
	}
	r.status, r.text = clientStatus(r.views(), false)
	return r, nil
}

// wake makes the runner's goroutine look at its tasks.
func (r *Runner) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// views is what the rules see of the tasks.
func (r *Runner) views() []view {
	views := make([]view, len(r.tasks))
	for i, t := range r.tasks {
		views[i] = view{t.Task(), t.State(), t.Waiting(), t.Ending()}
	}
	return views
}

// Dir is the allocation's directory.
func (r *Runner) Dir() allocdir.Dir { return r.dir }

// Alloc is the allocation as last received. It is shared: not to be changed.
func (r *Runner) Alloc() *model.Allocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alloc
}

// Tasks are the runners of the tasks, in the order of the job.
func (r *Runner) Tasks() []*taskrunner.Runner { return r.tasks }

// Task finds the runner of a task; nil when there is none.
func (r *Runner) Task(name string) *taskrunner.Runner {
	for _, t := range r.tasks {
		if t.Name() == name {
			return t
		}
	}
	return nil
}

// Done is closed when the allocation ended and nothing of it runs any more.
func (r *Runner) Done() <-chan struct{} { return r.done }

// Ended reports whether the allocation ended and nothing of it runs any more.
func (r *Runner) Ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Stopping reports whether servers or user want the allocation to end.
func (r *Runner) Stopping() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked != endNot
}

// Observed is what the servers are to be told.
func (r *Runner) Observed() *model.Allocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &model.Allocation{
		ID: r.alloc.ID, Namespace: r.alloc.Namespace, NodeID: r.alloc.NodeID, JobID: r.alloc.JobID,
		TaskGroup: r.alloc.TaskGroup, ClientStatus: r.status, ClientDescription: r.text,
		DeploymentStatus: r.health, TaskStates: map[string]*model.TaskState{},
	}
	for _, t := range r.tasks {
		a.TaskStates[t.Name()] = t.State()
		if n := t.Network(); n != nil && n.IP != "" && a.NetworkStatus == nil {
			a.NetworkStatus = &model.AllocNetworkStatus{Address: n.IP}
		}
	}
	return a
}

// Update brings a newer version of the allocation. With DesiredStatus stop the
// tasks end.
func (r *Runner) Update(a *model.Allocation) error {
	if err := r.config.Store.PutAlloc(a); err != nil {
		return err
	}
	r.mu.Lock()
	old := r.alloc
	r.alloc = a
	if a.DeploymentID != old.DeploymentID && r.health != nil {
		r.health = nil
		if err := r.config.Store.PutHealth(a.ID, nil); err != nil {
			r.log.Warn("health is not stored", "error", err)
		}
	}
	if a.ServerTerminal() {
		r.asked = max(r.asked, endStop)
		d := a.DesiredTransition.NoShutdownDelay
		r.noDelay = r.noDelay || d != nil && *d
	}
	r.mu.Unlock()
	if g := a.Group(); g != nil {
		for _, t := range r.tasks {
			if task := g.Task(t.Name()); task != nil {
				t.Update(a, task)
			}
		}
	}
	r.wake()
	return nil
}

// Stop ends the tasks, as when the servers want it.
func (r *Runner) Stop() {
	r.mu.Lock()
	r.asked = max(r.asked, endStop)
	r.mu.Unlock()
	r.wake()
}

// Contact tells that servers still want the allocation.
func (r *Runner) Contact() {
	for _, t := range r.tasks {
		t.Contact()
	}
}

// Restart starts one task, or with "" all that run, again; with all also those
// that ended.
func (r *Runner) Restart(task string, all bool) error {
	if r.Alloc().ServerTerminal() || r.Stopping() {
		return model.Errorf(model.ErrInvalid, "restart of an alloc that should not run")
	}
	if r.Ended() {
		return model.Errorf(model.ErrInvalid, "Task not running")
	}
	switch {
	case task != "" && all:
		return model.Errorf(model.ErrInvalid, "task name cannot be set when restarting all tasks")
	case task != "":
		t := r.Task(task)
		if t == nil {
			return model.Errorf(model.ErrNotFound, "Could not find task runner for task: %s", task)
		}
		return t.Restart("User requested task to restart", false)
	}
	reason := "User requested running tasks to restart"
	if all {
		reason = "User requested all tasks to restart"
	}
	restarted := false
	for _, t := range r.tasks {
		if t.Task().IsPoststop() {
			continue
		}
		if t.Restart(reason, all) == nil {
			restarted = true
		}
	}
	if !restarted {
		return model.Errorf(model.ErrInvalid, "Task not running")
	}
	return nil
}

// Signal sends a signal to one task, or with "" to all.
func (r *Runner) Signal(ctx context.Context, task, signal string) error {
	if task != "" {
		t := r.Task(task)
		if t == nil {
			return model.Errorf(model.ErrNotFound, "Task not found")
		}
		return t.Signal(ctx, signal)
	}
	var first error
	for _, t := range r.tasks {
		if err := t.Signal(ctx, signal); err != nil && first == nil {
			first = fmt.Errorf("signal task %s: %w", t.Name(), err)
		}
	}
	return first
}

// Usage measures one task, or with "" all.
func (r *Runner) Usage(ctx context.Context, task string) (*model.AllocResourceUsage, error) {
	u := &model.AllocResourceUsage{
		ResourceUsage: &model.ResourceUsage{MemoryStats: &model.MemoryStats{}, CpuStats: &model.CPUStats{}},
		Tasks:         map[string]*model.TaskResourceUsage{},
	}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, t := range r.tasks {
		if task != "" && t.Name() != task {
			continue
		}
		asked.Go(func() {
			m, err := t.Usage(ctx)
			if err != nil {
				r.log.Debug("task is not measured", "task", t.Name(), "error", err)
			}
			if m == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			u.Tasks[t.Name()] = m
			u.Timestamp = max(u.Timestamp, m.Timestamp)
			add(u.ResourceUsage, m.ResourceUsage)
		})
	}
	asked.Wait()
	return u, nil
}

func add(sum, r *model.ResourceUsage) {
	m, n := sum.MemoryStats, r.MemoryStats
	m.RSS += n.RSS
	m.Cache += n.Cache
	m.Swap += n.Swap
	m.Usage += n.Usage
	m.MaxUsage += n.MaxUsage
	m.KernelUsage += n.KernelUsage
	m.KernelMaxUsage += n.KernelMaxUsage
	m.MappedFile += n.MappedFile
	m.Measured = n.Measured
	c, d := sum.CpuStats, r.CpuStats
	c.SystemMode += d.SystemMode
	c.UserMode += d.UserMode
	c.TotalTicks += d.TotalTicks
	c.Percent += d.Percent
	c.ThrottledPeriods += d.ThrottledPeriods
	c.ThrottledTime += d.ThrottledTime
	c.Measured = d.Measured
}

// Destroy removes all that is left of an allocation that ended: its files and
// what the node remembers of it.
func (r *Runner) Destroy() error {
	if !r.Ended() {
		return fmt.Errorf("remove alloc %s: it has not ended", r.config.Alloc.ID)
	}
	<-r.ended
	if err := r.dir.Destroy(); err != nil {
		return err
	}
	return r.config.Store.DeleteAlloc(r.config.Alloc.ID)
}

// timeLimit is when the group's max_run_duration ends; zero when there is none.
func (r *Runner) timeLimit() time.Time {
	a := r.Alloc()
	g := a.Group()
	if g == nil || g.MaxRunDuration == nil || *g.MaxRunDuration <= 0 {
		return time.Time{}
	}
	return time.Unix(0, a.CreateTime).Add(*g.MaxRunDuration)
}
