package taskrunner

import (
	"time"

	"github.com/seraiproject/serai/core/model"
)

// An event is what happened to a task. Its Time is when.
type event interface{ isEvent() }

type (
	evTurn     struct{}                  // the group has come to this task
	evSetUp    struct{}                  // setting up is done
	evNotSetUp struct{ err *StartError } // it failed
	evStarted  struct {                  // the driver started the task
		handle  []byte
		network *Network
	}
	evNotStarted struct{ err *StartError } // it failed to
	evExited     struct {                  // the task ended by itself or was stopped
		id   string
		exit Exit
	}
	evNotStopped struct{ err error } // the driver could not stop it
	evTimer      struct{}            // WakeAt has come
	evKill       struct {            // the task is to end
		reason *model.TaskEvent // why, when it is not the user or the servers
		ending Ending
	}
	evRestart struct { // the task is to be started again
		reason  string
		counted bool
		dead    bool // also when it has ended
	}
	evNote         struct{ note *model.TaskEvent } // only to be shown
	evDestroyed    struct{ id string }             // the driver has nothing of the task any more
	evRestored     struct{}                        // the first event in the next agent
	evRecovered    struct{}                        // the driver found the task again
	evNotRecovered struct{ err error }             // it did not
	evContact      struct{}                        // servers still want the task
)

func (evTurn) isEvent()         {}
func (evSetUp) isEvent()        {}
func (evNotSetUp) isEvent()     {}
func (evStarted) isEvent()      {}
func (evNotStarted) isEvent()   {}
func (evExited) isEvent()       {}
func (evNotStopped) isEvent()   {}
func (evTimer) isEvent()        {}
func (evKill) isEvent()         {}
func (evRestart) isEvent()      {}
func (evNote) isEvent()         {}
func (evDestroyed) isEvent()    {}
func (evRestored) isEvent()     {}
func (evRecovered) isEvent()    {}
func (evNotRecovered) isEvent() {}
func (evContact) isEvent()      {}

// An action is what the runner has to do next. Actions are idempotent; what
// comes of them comes back as an event.
type action uint8

const (
	doSetUp   action = iota // evSetUp or evNotSetUp
	doStart                 // with State.ID; evStarted or evNotStarted
	doWait                  // evExited
	doStop                  // evNotStopped, or nothing: doWait tells of the end
	doDestroy               // evDestroyed
	doRecover               // evRecovered or evNotRecovered
	doTimer                 // evTimer at State.WakeAt
	doFinish                // free what the task holds on this node
)

var actionNames = [...]string{"set up", "start", "wait", "stop", "destroy", "recover", "timer", "finish"}

func (a action) String() string { return actionNames[a] }

// facts are what next needs to know of a task beside its state.
type facts struct {
	now    time.Time
	jitter float64       // from [0, 1)
	newID  func() string // names the next start

	policy        *model.RestartPolicy
	ephemeral     bool // exit code 0 is its end
	killTimeout   time.Duration
	shutdownDelay time.Duration
}

// next decides what follows from an event. It changes nothing; the state it
// returns may be the one it was given.
func next(old *State, e event, f *facts) (*State, []action) {
	s := old.clone()
	switch e := e.(type) {
	case evTurn:
		if s.phase() == Waiting {
			s.emit(buildingDirectory(f.now))
			return s.to(SettingUp), []action{doSetUp}
		}
	case evSetUp:
		if s.phase() == SettingUp {
			s.SetUp = true
			if s.Ending != nil {
				return s.die(f, s.Ending.Fail)
			}
			return s.start(f)
		}
	case evNotSetUp:
		if s.phase() == SettingUp {
			if s.Ending != nil {
				return s.die(f, s.Ending.Fail)
			}
			if e.err.Invalid {
				s.emit(failedValidation(f.now, e.err.Err))
			} else {
				s.emit(SetupFailure(f.now, e.err.Err))
			}
			return s.failed(f, e.err.Retryable)
		}
	case evStarted:
		if s.phase() == Starting {
			s.Handle, s.Network = e.handle, e.network
			s.emit(started(f.now))
			s.Observed.State = model.TaskStateRunning
			s.Observed.StartedAt = f.now
			s.to(Running)
			if s.Ending != nil {
				s, actions := s.kill(f)
				return s, append([]action{doWait}, actions...)
			}
			return s, []action{doWait}
		}
	case evNotStarted:
		if s.phase() == Starting {
			s.ID = ""
			if s.Ending != nil {
				return s.die(f, s.Ending.Fail)
			}
			if e.err.Invalid {
				s.emit(failedValidation(f.now, e.err.Err))
			} else {
				s.emit(driverFailure(f.now, e.err.Err))
			}
			return s.failed(f, e.err.Retryable)
		}
	case evExited:
		if e.id == s.ID { // not of an earlier start that could not be stopped
			return s.exited(e.exit, f)
		}
	case evNotStopped:
		if s.phase() == Stopping {
			s.emit(killed(f.now, e.err))
			return s.die(f, true)
		}
	case evTimer:
		return s.timer(f)
	case evKill:
		return s.asked(e, f)
	case evRestart:
		return s.again(e, f)
	case evNote:
		s.emit(e.note)
		return s, nil
	case evDestroyed:
		if s.ID != e.id {
			return old, nil
		}
		s.ID, s.Handle, s.Network = "", nil, nil
		return s, nil
	case evRestored:
		return s.restored(f)
	case evRecovered:
		return s.recovered(f)
	case evNotRecovered:
		return s.lost(e.err, f)
	case evContact:
		if s.phase() == Held {
			return s.start(f)
		}
	}
	return old, nil
}

func (s *State) to(p Phase) *State {
	s.Phase = uint8(p)
	return s
}

// start asks the driver to start the task under a new name.
func (s *State) start(f *facts) (*State, []action) {
	s.WakeAt = time.Time{}
	if !s.SetUp {
		return s.to(SettingUp), []action{doSetUp}
	}
	s.ID, s.Handle, s.Network = f.newID(), nil, nil
	return s.to(Starting), []action{doStart}
}

// die ends the task for good.
func (s *State) die(f *facts, failed bool) (*State, []action) {
	s.Observed.State = model.TaskStateDead
	s.Observed.Failed = failed
	s.Observed.FinishedAt = f.now
	s.WakeAt, s.Again, s.Counted = time.Time{}, false, false
	s.to(Dead)
	if s.ID != "" {
		return s, []action{doDestroy, doFinish}
	}
	return s, []action{doFinish}
}

// exited is the end of the task's process.
func (s *State) exited(x Exit, f *facts) (*State, []action) {
	switch s.phase() {
	case Running, Delaying, Stopping:
	default:
		return s, nil
	}
	s.emit(terminated(f.now, x))
	if s.Ending != nil {
		if s.phase() == Stopping {
			s.emit(killed(f.now, nil))
		}
		return s.die(f, s.Ending.Fail)
	}
	s.Observed.State = model.TaskStatePending
	if s.Again && !s.Counted {
		s.Again = false
		return s.backoff(decision{restart: true}, f)
	}
	if s.Again {
		s.Again, s.Counted = false, false
	} else if x.Successful() && f.ephemeral {
		return s.die(f, false)
	}
	return s.failed(f, true)
}

// failed lets the restart policy decide.
func (s *State) failed(f *facts, retryable bool) (*State, []action) {
	d := decision{reason: reasonUnrecoverable}
	if retryable {
		s.Attempts, d = decide(s.Attempts, f.policy, f.now, f.jitter)
	}
	if !d.restart {
		s.emit(notRestarting(f.now, d.reason))
		return s.die(f, true)
	}
	return s.backoff(d, f)
}

// backoff waits before the next start.
func (s *State) backoff(d decision, f *facts) (*State, []action) {
	s.emit(restarting(f.now, d.reason, d.delay))
	s.Observed.State = model.TaskStatePending
	s.Observed.Restarts++
	s.Observed.LastRestart = f.now
	s.WakeAt = f.now.Add(d.delay)
	s.to(Backoff)
	if s.ID != "" {
		return s, []action{doDestroy, doTimer}
	}
	return s, []action{doTimer}
}

func (s *State) timer(f *facts) (*State, []action) {
	switch s.phase() {
	case Delaying:
		return s.stop()
	case Backoff:
		return s.start(f)
	}
	return s, nil
}

// asked is the wish to end the task.
func (s *State) asked(e evKill, f *facts) (*State, []action) {
	if s.phase() == Dead {
		return s, nil
	}
	first := s.Ending == nil
	if e.reason != nil && first {
		s.emit(e.reason)
	}
	if first {
		s.Ending = &Ending{Fail: e.ending.Fail, NoDelay: e.ending.NoDelay, Unannounced: true}
	} else {
		s.Ending.Fail = s.Ending.Fail || e.ending.Fail
		s.Ending.NoDelay = s.Ending.NoDelay || e.ending.NoDelay
	}
	switch s.phase() {
	case Waiting, Backoff, Held:
		return s.die(f, s.Ending.Fail)
	case Running:
		return s.kill(f)
	case Delaying:
		if e.ending.NoDelay {
			s.emit(skippingShutdownDelay(f.now))
			return s.stop()
		}
	case Stopping:
		if s.Ending.Unannounced { // it is being stopped for a restart
			s.Ending.Unannounced, s.Again = false, false
			s.emit(killing(f.now, f.killTimeout))
		}
	}
	return s, nil
}

// kill begins the kill sequence of a running task.
func (s *State) kill(f *facts) (*State, []action) {
	s.Again = false
	s.Ending.Unannounced = false
	s.emit(killing(f.now, f.killTimeout))
	if f.shutdownDelay > 0 {
		if !s.Ending.NoDelay {
			s.emit(shutdownDelay(f.now, f.shutdownDelay))
			s.Observed.State = model.TaskStatePending
			s.WakeAt = f.now.Add(f.shutdownDelay)
			return s.to(Delaying), []action{doTimer}
		}
		s.emit(skippingShutdownDelay(f.now))
	}
	return s.stop()
}

func (s *State) stop() (*State, []action) {
	s.WakeAt = time.Time{}
	return s.to(Stopping), []action{doStop}
}

// again is the wish to start the task once more.
func (s *State) again(e evRestart, f *facts) (*State, []action) {
	switch s.phase() {
	case Running:
		s.emit(restartSignaled(f.now, e.reason))
		s.Again, s.Counted = true, e.counted
		return s.stop()
	case Dead:
		if !e.dead {
			return s, nil
		}
		s.emit(restartSignaled(f.now, e.reason))
		s.Ending = nil
		s.SetUp = false
		s.Observed.State, s.Observed.Failed = model.TaskStatePending, false
		s.Observed.FinishedAt = time.Time{}
		s.Observed.Restarts++
		s.Observed.LastRestart = f.now
		return s.to(Waiting), nil
	}
	return s, nil
}

// restored goes on where an earlier agent was ended.
func (s *State) restored(f *facts) (*State, []action) {
	switch s.phase() {
	case SettingUp:
		return s, []action{doSetUp}
	case Starting:
		// The driver may have started it without our knowing: that one is
		// destroyed, by name, before the task is started again.
		if s.Ending != nil {
			return s.die(f, s.Ending.Fail)
		}
		s.WakeAt = f.now
		return s.to(Backoff), []action{doDestroy, doTimer}
	case Running, Delaying, Stopping:
		return s, []action{doRecover}
	case Backoff:
		if s.ID != "" {
			return s, []action{doDestroy, doTimer}
		}
		return s, []action{doTimer}
	case Dead:
		if s.ID != "" {
			return s, []action{doDestroy, doFinish}
		}
		return s, []action{doFinish}
	}
	return s, nil
}

func (s *State) recovered(f *facts) (*State, []action) {
	switch s.phase() {
	case Running:
		return s, []action{doWait}
	case Delaying:
		return s, []action{doWait, doTimer}
	case Stopping:
		return s, []action{doWait, doStop}
	}
	return s, nil
}

// lost is a task that its driver does not find again.
func (s *State) lost(err error, f *facts) (*State, []action) {
	switch s.phase() {
	case Running, Delaying, Stopping:
	default:
		return s, nil
	}
	if s.Ending != nil {
		s.emit(killed(f.now, nil))
		return s.die(f, s.Ending.Fail)
	}
	s.emit(failedRestoring(f.now, err))
	s.Again, s.Counted = false, false
	s.Observed.State = model.TaskStatePending
	return s.to(Held), []action{doDestroy}
}
