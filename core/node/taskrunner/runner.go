package taskrunner

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
	"github.com/seraiproject/serai/core/node/tasklog"
)

// Store keeps a task's state.
type Store interface {
	PutTask(id model.AllocID, task string, state msgp.Marshaler) error
	Task(id model.AllocID, task string, into msgp.Unmarshaler) (bool, error)
}

// Logs brings a task's output into files.
type Logs interface {
	Add(...tasklog.Stream) error
	Flush(...tasklog.Stream) error
	Remove(...tasklog.Stream) error
}

// Cgroups makes the cgroup that a task joins.
type Cgroups interface {
	Create(id model.AllocID, task string, cores []uint16) (path string, err error)
	Kill(id model.AllocID, task string) (killed int, err error)
	Remove(id model.AllocID, task string) error
}

// Node is what a task is told of its node. It is only read.
type Node struct {
	Node           *model.Node
	Region         string
	MHz            int64
	MaxKillTimeout time.Duration
	HostEnv        map[string]string
	Drivers        Drivers
	Store          Store
	Logs           Logs
	Cgroups        Cgroups // may be nil
	// DeniedUser reports whether tasks of a driver must not run as a user; nil
	// allows all.
	DeniedUser func(driver, user string) bool
	Log        *slog.Logger
}

// Config of a Runner.
type Config struct {
	Node  *Node
	Alloc *model.Allocation // with Job
	Task  *model.Task       // of Alloc
	Dir   allocdir.Dir
	// Changed is called after every change of what the methods tell, by
	// goroutines of the runner. It must not block.
	Changed func()
}

// Runner runs one task. Its methods may be called from any goroutine; Run is
// called once.
type Runner struct {
	config Config
	log    *slog.Logger
	events chan event
	done   chan struct{} // closed when no event is taken any more
	work   sync.WaitGroup
	destroying,
	busy sync.WaitGroup

	alloc     atomic.Pointer[model.Allocation]
	task      atomic.Pointer[model.Task]
	state     atomic.Pointer[State]
	restored  bool
	finished  atomic.Bool
	collected atomic.Bool // this agent has the task's output collected
}

// New makes a runner, which goes on with what the store knows of the task.
func New(c Config) (*Runner, error) {
	r := &Runner{
		config: c,
		log:    c.Node.Log.With("alloc", c.Alloc.ID, "task", c.Task.Name),
		events: make(chan event, 16),
		done:   make(chan struct{}),
	}
	r.alloc.Store(c.Alloc)
	r.task.Store(c.Task)
	var s State
	found, err := c.Node.Store.Task(c.Alloc.ID, c.Task.Name, &s)
	if err != nil {
		return nil, err
	}
	if found && s.Observed != nil {
		r.restored = true
		r.state.Store(&s)
		return r, nil
	}
	r.state.Store(NewState(time.Now()))
	return r, nil
}

// Name is the task's name.
func (r *Runner) Name() string { return r.config.Task.Name }

// Task is the task as last updated.
func (r *Runner) Task() *model.Task { return r.task.Load() }

// State is what was observed of the task. It is shared: not to be changed.
func (r *Runner) State() *model.TaskState { return r.state.Load().Observed }

// Waiting reports whether the task still waits for its turn.
func (r *Runner) Waiting() bool { return r.state.Load().phase() == Waiting }

// Ending reports whether the task ended or was asked to.
func (r *Runner) Ending() bool {
	s := r.state.Load()
	return s.Ending != nil || s.phase() == Dead
}

// Finished reports whether the task ended and nothing of it is left to free.
func (r *Runner) Finished() bool { return r.finished.Load() && r.state.Load().phase() == Dead }

// LogsDisabled reports whether the task's output is thrown away.
func (r *Runner) LogsDisabled() bool { return !r.logs(r.task.Load()) }

// Network is the task's own address, or nil.
func (r *Runner) Network() *Network { return r.state.Load().Network }

// Update gives the task a newer version of its allocation, whose changes do
// not need a restart.
func (r *Runner) Update(a *model.Allocation, t *model.Task) {
	r.alloc.Store(a)
	r.task.Store(t)
	if s := r.state.Load(); s.SetUp && s.phase() != Dead && r.logs(t) {
		if err := r.config.Node.Logs.Add(r.streams(t)...); err != nil {
			r.log.Warn("limits of log files were not changed", "error", err)
		}
	}
}

// Begin tells that it is the task's turn.
func (r *Runner) Begin() { r.send(evTurn{}) }

// Contact tells that servers still want the task.
func (r *Runner) Contact() { r.send(evContact{}) }

// Kill ends the task. reason is an event to show first, or nil.
func (r *Runner) Kill(reason *model.TaskEvent, fail, noDelay bool) {
	r.send(evKill{reason, Ending{Fail: fail, NoDelay: noDelay}})
}

// Note shows an event.
func (r *Runner) Note(e *model.TaskEvent) { r.send(evNote{e}) }

// DriverEvent shows what a driver tells of the task.
func (r *Runner) DriverEvent(at time.Time, text string, details map[string]string) {
	r.send(evNote{driverMessage(at, text, details)})
}

// Restart starts the task again, at once; with dead also one that ended.
func (r *Runner) Restart(reason string, dead bool) error {
	if r.state.Load().phase() != Running && !dead {
		return model.Errorf(model.ErrInvalid, "Task not running")
	}
	r.send(evRestart{reason: reason, dead: dead})
	return nil
}

// send hands an event to the runner's goroutine; after its end, to no one.
func (r *Runner) send(e event) {
	select {
	case r.events <- e:
	case <-r.done:
	}
}

// running returns the driver and its name of a task that runs.
func (r *Runner) running(ctx context.Context) (Driver, string, error) {
	s := r.state.Load()
	switch s.phase() {
	case Running, Delaying, Stopping:
	default:
		return nil, "", model.Errorf(model.ErrInvalid, "Task not running")
	}
	d, err := r.driver(ctx)
	return d, s.ID, err
}

func (r *Runner) driver(ctx context.Context) (Driver, error) {
	return r.config.Node.Drivers.Driver(ctx, r.task.Load().Driver)
}

// Signal sends a signal to the task.
func (r *Runner) Signal(ctx context.Context, signal string) error {
	d, id, err := r.running(ctx)
	if err != nil {
		return err
	}
	r.send(evNote{signaling(time.Now(), signal, "")})
	return d.Signal(ctx, id, signal)
}

// Exec runs a command beside the task.
func (r *Runner) Exec(ctx context.Context, cmd []string, tty bool, io httpapi.ExecStreams) (int, error) {
	d, id, err := r.running(ctx)
	if err != nil {
		return 0, err
	}
	return d.Exec(ctx, id, cmd, tty, io)
}

// Usage measures the task. One that does not run uses nothing.
func (r *Runner) Usage(ctx context.Context) (*model.TaskResourceUsage, error) {
	d, id, err := r.running(ctx)
	if err != nil {
		return nil, nil
	}
	return d.Usage(ctx, id)
}

// Run runs the task until it has ended and everything of it was freed, or
// until ctx is done, which leaves the task running. A task that ended may be
// started again by Restart as long as Run has not returned: so Run goes on
// until ctx is done.
func (r *Runner) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer r.work.Wait()
	defer close(r.done) // before, for the workers may be sending
	defer cancel()
	timer := time.NewTimer(0)
	if !timer.Stop() {
		<-timer.C
	}
	defer timer.Stop()
	if r.restored {
		r.step(ctx, evRestored{}, timer)
	} else {
		r.store(r.state.Load())
		r.config.Changed()
	}
	for {
		select {
		case e := <-r.events:
			r.step(ctx, e, timer)
		case <-timer.C:
			r.step(ctx, evTimer{}, timer)
		case <-ctx.Done():
			return
		}
	}
}

// step lets the machine decide, keeps what it decided, then acts.
func (r *Runner) step(ctx context.Context, e event, timer *time.Timer) {
	old := r.state.Load()
	s, actions := next(old, e, r.facts())
	if s != old {
		if s.phase() != SettingUp {
			r.store(s) // setting up can be done again from the start
		}
		r.state.Store(s)
		r.log.Debug("task changes", "event", strings.TrimPrefix(fmt.Sprintf("%T", e), "taskrunner.ev"), "phase", s.phase(), "state", s.Observed.State)
		r.config.Changed()
	}
	if ctx.Err() != nil {
		return // the next agent acts
	}
	for _, a := range actions {
		r.act(ctx, a, s, timer)
	}
}

func (r *Runner) store(s *State) {
	if err := r.config.Node.Store.PutTask(r.config.Alloc.ID, r.config.Task.Name, s); err != nil {
		// The task can still be run; it is only not found again.
		r.log.Error("state of the task is not stored", "error", err)
	}
}

func (r *Runner) facts() *facts {
	a, t := r.alloc.Load(), r.task.Load()
	f := &facts{
		now: time.Now(), jitter: rand.Float64(),
		newID: func() string {
			return fmt.Sprintf("%s/%s/%s", a.ID, t.Name, strings.ReplaceAll(model.NewUUID(), "-", "")[:8])
		},
		policy:        t.RestartPolicy,
		killTimeout:   t.KillTimeout,
		shutdownDelay: t.ShutdownDelay,
	}
	if limit := r.config.Node.MaxKillTimeout; limit > 0 && f.killTimeout > limit {
		f.killTimeout = limit
	}
	if f.policy == nil {
		if g := a.Group(); g != nil {
			f.policy = g.RestartPolicy
		}
	}
	switch a.Job.Type {
	case model.JobTypeBatch, model.JobTypeSysBatch:
		f.ephemeral = true
	}
	switch {
	case t.IsPoststop():
		f.ephemeral = true
	case t.IsPrestart(), t.IsPoststart():
		f.ephemeral = !t.Lifecycle.Sidecar
	}
	return f
}
