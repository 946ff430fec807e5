package allocrunner

import (
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/taskrunner"
)

// view is what the rules look at of one task.
type view struct {
	task    *model.Task
	state   *model.TaskState
	waiting bool // for its turn
	ending  bool // it ended or was asked to
}

func (v view) dead() bool    { return v.state.State == model.TaskStateDead }
func (v view) running() bool { return v.state.State == model.TaskStateRunning }

// began reports whether the task ran at some time.
func (v view) began() bool { return v.running() || !v.state.StartedAt.IsZero() }

// ending is why a group ends.
type ending struct {
	why     endingCause
	sibling string // that failed
}

type endingCause uint8

const (
	endNot      endingCause = iota
	endStop                 // servers or user want it
	endTimeout              // max_run_duration passed
	endSibling              // a task failed
	endLeader               // the leader ended
	endMainDead             // only sidecars are left
)

// event is shown by the tasks that are ended.
func (e ending) event(now time.Time) *model.TaskEvent {
	switch e.why {
	case endSibling:
		return taskrunner.SiblingFailed(now, e.sibling)
	case endLeader:
		return taskrunner.LeaderDead(now)
	case endMainDead:
		return taskrunner.MainDead(now)
	case endTimeout:
		return taskrunner.KillingFor(now, timeoutText)
	}
	return nil
}

const timeoutText = "allocation exceeded max_run_duration"

// moves are what a group needs next.
type moves struct {
	begin []string // tasks whose turn it is
	kill  []string // tasks to end
	why   ending
}

// lifecycle decides which tasks are to begin and which to end. asked is the
// reason to end that came from outside, or endNot.
func lifecycle(tasks []view, asked endingCause) moves {
	why := reason(tasks, asked)
	m := moves{why: why}
	if why.why != endNot {
		m.kill = stage(tasks, why.why)
	}
	if asked == endTimeout {
		return m
	}
	for _, v := range tasks {
		if v.waiting && !v.ending && mayBegin(v, tasks, why.why) {
			m.begin = append(m.begin, v.task.Name)
		}
	}
	return m
}

// reason finds out if and why the group ends.
func reason(tasks []view, asked endingCause) ending {
	if asked != endNot {
		return ending{why: asked}
	}
	for _, v := range tasks {
		if v.dead() && v.state.Failed && !v.task.IsPoststop() {
			return ending{endSibling, v.task.Name}
		}
	}
	sidecars, others, mains := 0, 0, 0
	for _, v := range tasks {
		if v.task.Leader && v.dead() {
			return ending{why: endLeader}
		}
		switch {
		case v.task.IsPoststop():
			continue
		case v.task.IsMain():
			mains++
		}
		switch {
		case v.dead():
		case v.task.IsSidecar():
			sidecars++
		default:
			others++
		}
	}
	if mains > 0 && others == 0 && sidecars > 0 {
		return ending{why: endMainDead}
	}
	return ending{}
}

// stage picks the tasks that are to be ended now: the leader first and alone,
// then all others, sidecars last. Poststop tasks run after that, and are ended
// only when time is up.
func stage(tasks []view, why endingCause) []string {
	order := []func(view) bool{
		func(v view) bool { return v.waiting }, // these cost no time
		func(v view) bool { return !v.waiting && v.task.Leader },
		func(v view) bool { return !v.waiting && !v.task.Leader && !v.task.IsSidecar() },
		func(v view) bool { return !v.waiting && !v.task.Leader && v.task.IsSidecar() },
	}
	var names []string
	for _, belongs := range order {
		left := false
		for _, v := range tasks {
			if v.dead() || !belongs(v) || v.task.IsPoststop() && why != endTimeout {
				continue
			}
			left = left || !v.waiting
			if !v.ending {
				names = append(names, v.task.Name)
			}
		}
		if left {
			break
		}
	}
	return names
}

// mayBegin reports whether it is the turn of a task that waits.
func mayBegin(v view, tasks []view, why endingCause) bool {
	if v.task.IsPoststop() {
		for _, o := range tasks {
			if !o.task.IsPoststop() && !o.dead() {
				return false
			}
		}
		return true
	}
	if why != endNot {
		return false
	}
	for _, o := range tasks {
		switch {
		case v.task.IsPrestart():
		case o.task.IsPrestart() && o.task.IsSidecar():
			if !o.running() {
				return false
			}
		case o.task.IsPrestart():
			if !o.state.Successful() {
				return false
			}
		case v.task.IsPoststart() && o.task.IsMain():
			if !o.began() {
				return false
			}
		}
	}
	return true
}

// clientStatus is what the states of the tasks amount to.
func clientStatus(tasks []view, timeout bool) (status, description string) {
	var failed, running, pending bool
	for _, v := range tasks {
		switch {
		case v.dead():
			failed = failed || v.state.Failed
		case v.running():
			running = true
		default:
			pending = true
		}
	}
	switch {
	case timeout && !running && !pending:
		return model.AllocClientComplete, timeoutText
	case failed:
		return model.AllocClientFailed, "Failed tasks"
	case running:
		return model.AllocClientRunning, "Tasks are running"
	case pending:
		return model.AllocClientPending, "No tasks have started"
	}
	return model.AllocClientComplete, "All tasks have completed"
}
