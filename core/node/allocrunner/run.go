package allocrunner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/taskrunner"
)

// Run runs the allocation until it has ended, or until ctx is done, which
// leaves its tasks running.
func (r *Runner) Run(ctx context.Context) {
	defer close(r.ended)
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	for _, t := range r.tasks {
		work.Go(func() { t.Run(ctx) })
	}
	ready := make(chan error, 1)
	if r.config.Restore && r.begun() {
		ready <- nil
	} else {
		work.Go(func() { ready <- r.setUp(ctx) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	l := &loop{Runner: r, began: time.Now()}
	for {
		select {
		case <-r.kick:
		case <-timer.C:
		case err := <-ready:
			l.ready = true
			if err != nil {
				l.fail(err)
			}
		case <-ctx.Done():
			return
		}
		wake := l.step(time.Now())
		if l.over {
			close(r.done)
			return
		}
		if !wake.IsZero() {
			timer.Reset(max(0, time.Until(wake)))
		}
	}
}

// begun reports whether a task got its turn already: then all is set up.
func (r *Runner) begun() bool {
	for _, t := range r.tasks {
		if !t.Waiting() {
			return true
		}
	}
	return false
}

func (r *Runner) finished() bool {
	for _, t := range r.tasks {
		if !t.Finished() {
			return false
		}
	}
	return true
}

// setUpSteps is the order in which an allocation is made ready. Every step can
// be done again; Destroy undoes them all.
var setUpSteps = []struct {
	name string
	do   func(*Runner, context.Context) error
}{
	{"check", (*Runner).checkSupported},
	{"directory", (*Runner).makeDirectory},
	{"data of the previous allocation", (*Runner).takeOver},
}

func (r *Runner) setUp(ctx context.Context) error {
	for _, step := range setUpSteps {
		if err := step.do(r, ctx); err != nil {
			return fmt.Errorf("set up %s: %w", step.name, err)
		}
	}
	return nil
}

// checkSupported refuses what this node would otherwise silently leave out.
func (r *Runner) checkSupported(context.Context) error {
	g := r.Alloc().Group()
	for _, n := range g.Networks {
		if n.Mode != "" && n.Mode != "host" {
			return fmt.Errorf("network mode %q: this node offers host networking only so far; use mode \"host\"", n.Mode)
		}
	}
	if len(g.Volumes) > 0 {
		return fmt.Errorf("this node can't provide volumes yet; remove the volume blocks of group %q", g.Name)
	}
	return nil
}

func (r *Runner) makeDirectory(context.Context) error { return r.dir.Create() }

// takeOver moves the data of the allocation that this one replaces, once it
// has ended.
func (r *Runner) takeOver(ctx context.Context) error {
	a := r.Alloc()
	g := a.Group()
	if a.PreviousAllocation == "" || g.EphemeralDisk == nil || !(g.EphemeralDisk.Sticky || g.EphemeralDisk.Migrate) {
		return nil
	}
	prev := r.config.Previous(a.PreviousAllocation)
	if prev == nil {
		return nil // on another node, or forgotten
	}
	select {
	case <-prev.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	names := make([]string, len(g.Tasks))
	for i, t := range g.Tasks {
		names[i] = t.Name
	}
	if err := r.dir.MoveData(prev.dir, names); err != nil {
		// The data is a best effort; the tasks can run without.
		r.log.Warn("data of the previous allocation is not taken over", "previous", a.PreviousAllocation, "error", err)
	}
	return nil
}

// loop is the state of Run.
type loop struct {
	*Runner
	ready   bool
	over    bool
	noted   bool      // a task has an event to take up, after which it calls again
	began   time.Time // of watching the health
	watched model.DeploymentID
	stopAt  time.Time // end of the group's shutdown delay
	told    told
}

// told is what the servers were told last, as far as it shows a change.
type told struct {
	status string
	health *model.AllocDeploymentStatus
	states map[string]*model.TaskState
}

// fail ends an allocation that can't be set up.
func (l *loop) fail(err error) {
	l.log.Warn("allocation is not set up", "error", err)
	now := time.Now()
	for _, t := range l.tasks {
		t.Kill(taskrunner.SetupFailure(now, fmt.Errorf("failed to setup alloc: %w", err)), true, true)
	}
}

// step applies the rules to what is observed now, and returns when to look
// again.
func (l *loop) step(now time.Time) (wake time.Time) {
	sooner := func(t time.Time) {
		if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	views := l.views()
	if limit := l.timeLimit(); !limit.IsZero() {
		if now.Before(limit) {
			sooner(limit)
		} else {
			l.mu.Lock()
			l.asked = max(l.asked, endTimeout)
			l.mu.Unlock()
		}
	}
	l.mu.Lock()
	asked, noDelay := l.asked, l.noDelay
	l.mu.Unlock()
	if l.ready && !l.delayed(asked, noDelay, now, views) {
		m := lifecycle(views, asked)
		for _, name := range m.kill {
			l.Task(name).Kill(m.why.event(now), false, noDelay)
		}
		for _, name := range m.begin {
			l.Task(name).Begin()
		}
	} else if l.ready {
		sooner(l.stopAt)
	} else if asked != endNot {
		for _, t := range l.tasks { // nothing runs yet
			t.Kill(nil, false, true)
		}
	}
	if asked == endNot {
		sooner(l.judge(views, now))
	}
	l.tell(views, asked == endTimeout)
	l.over = l.finished() && !l.noted
	l.noted = false
	return wake
}

// delayed reports whether the group's shutdown delay holds up the end.
func (l *loop) delayed(asked endingCause, noDelay bool, now time.Time, views []view) bool {
	g := l.Alloc().Group()
	if asked != endStop || noDelay || g == nil || g.ShutdownDelay == nil || *g.ShutdownDelay <= 0 {
		return false
	}
	alive := false
	for _, v := range views {
		alive = alive || v.running()
	}
	if l.stopAt.IsZero() && alive {
		l.stopAt = now.Add(*g.ShutdownDelay)
	}
	return now.Before(l.stopAt)
}

// judge decides on the allocation's health, if it is not decided yet.
func (l *loop) judge(views []view, now time.Time) (wake time.Time) {
	a := l.Alloc()
	if a.DeploymentID != l.watched {
		l.watched, l.began = a.DeploymentID, now
	}
	l.mu.Lock()
	health := l.health
	l.mu.Unlock()
	r, watch := healthRules(a)
	if !watch || health != nil && health.Healthy != nil && !*health.Healthy {
		return time.Time{}
	}
	v := judge(views, r, l.began, now)
	if health.IsHealthy() {
		// Good health only ends with the allocation.
		if status, _ := clientStatus(views, false); status != model.AllocClientFailed {
			return time.Time{}
		}
		v = verdict{known: true, text: "Unhealthy because of failed/dead task"}
	}
	if !v.known {
		return v.wake
	}
	h := &model.AllocDeploymentStatus{Healthy: &v.healthy, Timestamp: now, Canary: a.DeploymentStatus.IsCanary()}
	l.mu.Lock()
	l.health = h
	l.mu.Unlock()
	if err := l.config.Store.PutHealth(a.ID, h); err != nil {
		l.log.Warn("health is not stored", "error", err)
	}
	l.noted = len(v.tasks) > 0
	for _, name := range v.tasks {
		l.Task(name).Note(taskrunner.Unhealthy(now, v.text))
	}
	return time.Time{}
}

// tell passes on what changed.
func (l *loop) tell(views []view, timeout bool) {
	status, text := clientStatus(views, timeout)
	l.mu.Lock()
	l.status, l.text = status, text
	now := told{status: status, health: l.health, states: map[string]*model.TaskState{}}
	l.mu.Unlock()
	changed := now.status != l.told.status || now.health != l.told.health
	for _, v := range views {
		now.states[v.task.Name] = v.state
		changed = changed || l.told.states[v.task.Name] != v.state
	}
	if changed {
		l.told = now
		l.config.Changed(l.Runner)
	}
}
