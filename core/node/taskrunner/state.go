package taskrunner

import (
	"time"

	"github.com/seraiproject/serai/core/model"
)

//go:generate go run github.com/tinylib/msgp -io=false -tests=false -file=state.go -o=state_gen.go

// Phase is how far a task has come.
type Phase uint8

// The phases. Their numbers are stored: add, never renumber.
const (
	Waiting   Phase = iota // for its turn among the group's tasks
	SettingUp              // directories, log pipes, payload
	Starting               // the driver is asked to start it
	Running
	Delaying // the shutdown delay before it is stopped
	Stopping // the driver is asked to stop it
	Backoff  // before it is started again
	Held     // it could not be found again; started anew once servers agree
	Dead
)

var phaseNames = [...]string{"waiting", "setting up", "starting", "running", "delaying", "stopping", "backoff", "held", "dead"}

func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "unknown"
}

// State is all that is known of a task, as it is stored.
type State struct {
	Phase uint8
	// Observed is what the servers are told.
	Observed *model.TaskState
	// ID is how the driver knows the task; a new one for every start, empty
	// when the driver has nothing of it any more.
	ID string
	// Handle is what the driver needs to find the task again.
	Handle  []byte
	Network *Network
	// SetUp says that setting up is done.
	SetUp    bool
	Attempts Attempts
	// WakeAt ends Delaying and Backoff.
	WakeAt time.Time
	// Ending says that the task is to end, and how.
	Ending *Ending
	// Again says that the task is being stopped only to be started again at
	// once; Counted, that the restart policy decides.
	Again, Counted bool
}

// Ending is the end of a task as it was asked for.
type Ending struct {
	Fail        bool // the task counts as failed
	NoDelay     bool // without shutdown delay
	Unannounced bool // the Killing event is still to come
}

// Attempts counts restarts for the restart policy.
type Attempts struct {
	Count int
	Since time.Time // when the running interval began; zero: none
}

// Network is an address of the task that is not the node's.
type Network struct {
	IP            string
	Ports         map[string]int
	AutoAdvertise bool
}

// NewState is the state of a task that was just received.
func NewState(now time.Time) *State {
	return &State{Observed: &model.TaskState{
		State:  model.TaskStatePending,
		Events: []*model.TaskEvent{received(now)},
	}}
}

func (s *State) phase() Phase { return Phase(s.Phase) }

// clone copies what next changes.
func (s *State) clone() *State {
	c := *s
	o := *s.Observed
	o.Events = s.Observed.Events[:len(s.Observed.Events):len(s.Observed.Events)]
	c.Observed = &o
	if s.Ending != nil {
		e := *s.Ending
		c.Ending = &e
	}
	return &c
}

// emit adds an event; only the newest are kept.
func (s *State) emit(e *model.TaskEvent) {
	s.Observed.Events = append(s.Observed.Events, e)
	if n := len(s.Observed.Events) - model.MaxTaskEvents; n > 0 {
		s.Observed.Events = append([]*model.TaskEvent(nil), s.Observed.Events[n:]...)
	}
}
