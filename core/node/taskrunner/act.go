package taskrunner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
	"github.com/seraiproject/serai/core/node/taskenv"
	"github.com/seraiproject/serai/core/node/tasklog"
)

// act carries out one action. Nothing here blocks the runner's goroutine.
func (r *Runner) act(ctx context.Context, a action, s *State, timer *time.Timer) {
	switch a {
	case doSetUp:
		r.work.Go(func() { r.setUp(ctx) })
	case doStart:
		r.work.Go(func() { r.start(ctx, s.ID) })
	case doWait:
		r.busy.Add(1)
		r.work.Go(func() {
			defer r.busy.Done()
			r.wait(ctx, s.ID)
		})
	case doStop:
		r.work.Go(func() { r.stop(ctx, s.ID) })
	case doRecover:
		r.work.Go(func() { r.recover(ctx, s) })
	case doTimer:
		timer.Reset(max(0, time.Until(s.WakeAt)))
	case doDestroy:
		r.destroying.Add(1)
		r.work.Go(func() {
			defer r.destroying.Done()
			r.destroy(ctx, s.ID)
		})
	case doFinish:
		r.work.Go(func() { r.finish(ctx) })
	}
}

// setUpSteps is the order in which a task is made ready. Every step can be
// done again; what it makes is freed by finish or with the allocation.
var setUpSteps = []struct {
	name string
	do   func(*Runner, context.Context, *model.Task) *StartError
}{
	{"check", (*Runner).checkSupported},
	{"directories", (*Runner).makeDirectories},
	{"dispatch payload", (*Runner).writePayload},
	{"log pipes", (*Runner).openLogs},
}

func (r *Runner) setUp(ctx context.Context) {
	r.finished.Store(false)
	t := r.task.Load()
	for _, step := range setUpSteps {
		if err := step.do(r, ctx, t); err != nil {
			if ctx.Err() == nil {
				r.log.Warn("task is not set up", "step", step.name, "error", err)
				r.send(evNotSetUp{err})
			}
			return
		}
	}
	r.send(evSetUp{})
}

// checkSupported refuses what this node would otherwise silently leave out.
func (r *Runner) checkSupported(_ context.Context, t *model.Task) *StartError {
	for _, c := range []struct {
		used bool
		what string
	}{
		{len(t.Artifacts) > 0, "artifact"},
		{len(t.Templates) > 0, "template"},
		{len(t.VolumeMounts) > 0, "volume_mount"},
		{len(t.Secrets) > 0, "secret"},
		{t.Vault != nil, "vault"},
		{t.CSIPluginConfig != nil, "csi_plugin"},
		{t.Resources != nil && len(t.Resources.Devices) > 0, "device"},
	} {
		if c.used {
			return invalid("task %s: this node can't provide its %s block yet; remove the block", t.Name, c.what)
		}
	}
	if denied := r.config.Node.DeniedUser; denied != nil && denied(t.Driver, t.User) {
		return invalid("task %s: this node does not run tasks of driver %s as user %s", t.Name, t.Driver, t.User)
	}
	return nil
}

func (r *Runner) makeDirectories(_ context.Context, t *model.Task) *StartError {
	size := 0
	if t.Resources != nil {
		size = t.Resources.SecretsMB
	}
	if err := r.config.Dir.Task(t.Name).Create(size); err != nil {
		return &StartError{Err: err, Retryable: true}
	}
	return nil
}

func (r *Runner) writePayload(_ context.Context, t *model.Task) *StartError {
	job := r.alloc.Load().Job
	if t.DispatchPayload == nil || t.DispatchPayload.File == "" || len(job.Payload) == 0 {
		return nil
	}
	root, err := os.OpenRoot(r.config.Dir.Task(t.Name).Root())
	if err != nil {
		return &StartError{Err: err, Retryable: true}
	}
	defer root.Close()
	path := filepath.Join(allocdir.Local, t.DispatchPayload.File)
	if err := root.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return invalid("write dispatch payload: %w", err)
	}
	if err := root.WriteFile(path, job.Payload, 0o777); err != nil {
		return invalid("write dispatch payload: %w", err)
	}
	return nil
}

// logs reports whether output is to be collected.
func (r *Runner) logs(t *model.Task) bool { return t.LogConfig == nil || !t.LogConfig.Disabled }

func (r *Runner) streams(t *model.Task) []tasklog.Stream {
	s := tasklog.Stream{AllocDir: r.config.Dir.Root, Task: t.Name, MaxFiles: 10, MaxBytes: 10 << 20}
	if t.LogConfig != nil {
		s.MaxFiles, s.MaxBytes = max(t.LogConfig.MaxFiles, 1), int64(max(t.LogConfig.MaxFileSizeMB, 1))<<20
	}
	out, err := s, s
	out.Kind, err.Kind = tasklog.Stdout, tasklog.Stderr
	return []tasklog.Stream{out, err}
}

func (r *Runner) openLogs(ctx context.Context, t *model.Task) *StartError {
	if !r.logs(t) {
		return nil
	}
	d, err := r.driver(ctx)
	if err != nil {
		return &StartError{Err: err, Retryable: !errors.Is(err, model.ErrNotFound)}
	}
	traits, err := d.Traits(ctx)
	if err != nil {
		return &StartError{Err: err, Retryable: true}
	}
	if traits.NoLogs {
		return nil
	}
	if err := r.config.Node.Logs.Add(r.streams(t)...); err != nil {
		return &StartError{Err: err, Retryable: true}
	}
	r.collected.Store(true)
	return nil
}

// env makes the task's environment.
func (r *Runner) env(t *model.Task, traits Traits) *taskenv.Env {
	dir := r.config.Dir.Task(t.Name)
	c := &taskenv.Config{
		Alloc: r.alloc.Load(), Task: t, Node: r.config.Node.Node, Region: r.config.Node.Region,
		ParentCgroup: r.config.Node.Node.CgroupParent,
		AllocDir:     "/alloc", TaskDir: "/local", SecretsDir: "/secrets",
	}
	if traits.Isolation == IsolationNone || traits.Isolation == IsolationUnveil {
		c.AllocDir, c.TaskDir, c.SecretsDir = dir.Alloc.Shared(), dir.Local(), dir.Secrets()
	}
	if traits.Isolation != IsolationImage {
		c.Host = r.config.Node.HostEnv
	}
	return taskenv.New(c)
}

func (r *Runner) start(ctx context.Context, id string) {
	r.destroying.Wait() // the last run has to be gone
	r.busy.Wait()
	t, a, n := r.task.Load(), r.alloc.Load(), r.config.Node
	fail := func(err error, retryable bool) {
		var se *StartError
		if !errors.As(err, &se) {
			se = &StartError{Err: err, Retryable: retryable}
		}
		if ctx.Err() == nil {
			r.log.Warn("task is not started", "driver", t.Driver, "error", err)
			r.send(evNotStarted{se})
		}
	}
	d, err := r.driver(ctx)
	if err != nil {
		fail(err, !errors.Is(err, model.ErrNotFound))
		return
	}
	traits, err := d.Traits(ctx)
	if err != nil {
		fail(err, true)
		return
	}
	if !r.collected.Load() { // they were set up by an earlier agent
		if err := r.openLogs(ctx, t); err != nil {
			fail(err, true)
			return
		}
	}
	q := &StartRequest{
		ID: id, Alloc: a, Task: t, Env: r.env(t, traits), Dir: r.config.Dir.Task(t.Name),
		NodeID: n.Node.ID, NodeName: n.Node.Name, NodeMHz: n.MHz,
	}
	if n.Cgroups != nil {
		var cores []uint16
		if res := a.AllocatedResources; res != nil && res.Tasks[t.Name] != nil {
			cores = res.Tasks[t.Name].Cpu.ReservedCores
		}
		if q.Cgroup, err = n.Cgroups.Create(a.ID, t.Name, cores); err != nil {
			fail(err, true)
			return
		}
	}
	started, err := d.Start(ctx, q)
	if err != nil {
		fail(err, false)
		return
	}
	r.send(evStarted{started.Handle, started.Network})
}

// wait waits for the end of the task, and until all it wrote is in its files:
// who sees that it ended finds its output complete.
func (r *Runner) wait(ctx context.Context, id string) {
	d, err := r.driver(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.send(evExited{id, Exit{Err: err}})
		}
		return
	}
	x, err := d.Wait(ctx, id)
	if err != nil { // only when ctx is done
		return
	}
	if x.Signal > 0 && x.Code == 0 {
		x.Code = 128 + x.Signal
	}
	if t := r.task.Load(); r.logs(t) {
		if err := r.config.Node.Logs.Flush(r.streams(t)...); err != nil {
			r.log.Warn("output of the task may be incomplete", "error", err)
		}
	}
	r.send(evExited{id, x})
}

// How often a driver is asked to stop a task, and the waits in between.
const (
	stopTries    = 5
	stopBackoff  = 5 * time.Second
	stopLongest  = 2 * time.Minute
	stopGrowth   = 4
	destroyTries = 3
)

func (r *Runner) stop(ctx context.Context, id string) {
	t, timeout := r.task.Load(), r.facts().killTimeout
	wait := stopBackoff
	for try := 1; ; try++ {
		d, err := r.driver(ctx)
		if err == nil {
			err = d.Stop(ctx, id, t.KillSignal, timeout)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		r.log.Warn("task is not stopped", "try", try, "error", err)
		if try == stopTries {
			r.send(evNotStopped{err})
			return
		}
		if !sleep(ctx, wait) {
			return
		}
		wait = min(wait*stopGrowth, stopLongest)
	}
}

func (r *Runner) recover(ctx context.Context, s *State) {
	t := r.task.Load()
	d, err := r.driver(ctx)
	if err == nil {
		err = d.Recover(ctx, s.Handle)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.log.Warn("task is not found again", "driver", t.Driver, "error", err)
		r.send(evNotRecovered{err})
		return
	}
	if err := r.openLogs(ctx, t); err != nil {
		r.log.Warn("output of the task is not collected", "error", err)
	}
	r.send(evRecovered{})
}

func (r *Runner) destroy(ctx context.Context, id string) {
	d, err := r.driver(ctx)
	wait := time.Second
	for range destroyTries {
		if err == nil {
			err = d.Destroy(ctx, id)
		}
		if err == nil {
			r.killStrays()
			r.send(evDestroyed{id})
			return
		}
		if ctx.Err() != nil || errors.Is(err, model.ErrNotFound) {
			return
		}
		r.log.Warn("what is left of the task is not freed", "error", err)
		if !sleep(ctx, wait) {
			return
		}
		wait *= 2
		d, err = r.driver(ctx)
	}
}

// killStrays makes sure that nothing runs of a task that its driver does not
// know of: when agent and plugin are killed while they start it, no one has
// its handle.
func (r *Runner) killStrays() {
	n := r.config.Node
	if n.Cgroups == nil {
		return
	}
	killed, err := n.Cgroups.Kill(r.config.Alloc.ID, r.config.Task.Name)
	if err != nil {
		r.log.Warn("processes of the task may be left", "error", err)
	}
	if killed > 0 {
		r.log.Warn("killed processes of the task that its driver did not know of", "count", killed)
	}
}

// finish frees what the task holds on this node. Its files stay until the
// allocation is removed.
func (r *Runner) finish(ctx context.Context) {
	r.destroying.Wait()
	t := r.task.Load()
	if ctx.Err() != nil {
		return
	}
	defer func() {
		r.finished.Store(true)
		r.config.Changed()
	}()
	if r.logs(t) {
		if err := r.config.Node.Logs.Remove(r.streams(t)...); err != nil {
			r.log.Warn("log pipes are not removed", "error", err)
		}
	}
	if err := r.config.Dir.Task(t.Name).Forget(); err != nil {
		r.log.Warn("secrets of the task stay", "error", err)
	}
	if n := r.config.Node; n.Cgroups != nil {
		if err := n.Cgroups.Remove(r.config.Alloc.ID, t.Name); err != nil {
			r.log.Warn("cgroup is not removed", "error", err)
		}
	}
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
