package fsm

import (
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"github.com/seraiproject/serai/core/state"
)

// A Kind says what a log entry is. The numbers are part of the format.
type Kind byte

// The kinds of command.
const (
	KindRegisterJob        Kind = 1
	KindDeregisterJob      Kind = 2
	KindStableJob          Kind = 3
	KindUpdateEvals        Kind = 4
	KindApplyPlan          Kind = 5
	KindUpdateAllocs       Kind = 6
	KindTransitionAllocs   Kind = 7
	KindRegisterNode       Kind = 8
	KindNodeStatus         Kind = 9
	KindNodeDrain          Kind = 10
	KindNodeEligibility    Kind = 11
	KindNodeEvents         Kind = 12
	KindDeleteNodes        Kind = 13
	KindDeploymentStatus   Kind = 14
	KindPromoteDeployment  Kind = 15
	KindDeploymentHealth   Kind = 16
	KindSchedulerConfig    Kind = 17
	KindPeriodicLaunch     Kind = 18
	KindReap               Kind = 19
	KindReconcileSummaries Kind = 20
)

// commandVersion is the version of the encoding of all commands so far.
const commandVersion = 0

// A Command is a change of the state. What Apply of a Raft log answers is what
// the command's apply returns.
type Command interface {
	msgp.Marshaler
	msgp.Unmarshaler

	// Kind says which command it is.
	Kind() Kind

	// apply checks the command and then changes the state. It writes
	// nothing when it returns an error.
	apply(t *state.Txn, index uint64) (any, error)
}

var makers = map[Kind]func() Command{
	KindRegisterJob:        func() Command { return &RegisterJob{} },
	KindDeregisterJob:      func() Command { return &DeregisterJob{} },
	KindStableJob:          func() Command { return &StableJob{} },
	KindUpdateEvals:        func() Command { return &UpdateEvals{} },
	KindApplyPlan:          func() Command { return &ApplyPlan{} },
	KindUpdateAllocs:       func() Command { return &UpdateAllocs{} },
	KindTransitionAllocs:   func() Command { return &TransitionAllocs{} },
	KindRegisterNode:       func() Command { return &RegisterNode{} },
	KindNodeStatus:         func() Command { return &NodeStatus{} },
	KindNodeDrain:          func() Command { return &NodeDrain{} },
	KindNodeEligibility:    func() Command { return &NodeEligibility{} },
	KindNodeEvents:         func() Command { return &NodeEvents{} },
	KindDeleteNodes:        func() Command { return &DeleteNodes{} },
	KindDeploymentStatus:   func() Command { return &DeploymentStatus{} },
	KindPromoteDeployment:  func() Command { return &PromoteDeployment{} },
	KindDeploymentHealth:   func() Command { return &DeploymentHealth{} },
	KindSchedulerConfig:    func() Command { return &SchedulerConfig{} },
	KindPeriodicLaunch:     func() Command { return &PeriodicLaunch{} },
	KindReap:               func() Command { return &Reap{} },
	KindReconcileSummaries: func() Command { return &ReconcileSummaries{} },
}

// Encode makes the log entry of a command.
func Encode(c Command) ([]byte, error) {
	b, err := c.MarshalMsg([]byte{byte(c.Kind()), commandVersion})
	if err != nil {
		return nil, fmt.Errorf("encode command %d: %w", c.Kind(), err)
	}
	return b, nil
}

// Decode reads a log entry.
func Decode(entry []byte) (Command, error) {
	if len(entry) < 2 {
		return nil, fmt.Errorf("decode command: %d bytes are too few", len(entry))
	}
	maker := makers[Kind(entry[0])]
	if maker == nil {
		return nil, fmt.Errorf("decode command: unknown kind %d; a newer server wrote it, upgrade this one", entry[0])
	}
	if entry[1] != commandVersion {
		return nil, fmt.Errorf("decode command %d: unknown version %d; a newer server wrote it, upgrade this one", entry[0], entry[1])
	}
	c := maker()
	if _, err := c.UnmarshalMsg(entry[2:]); err != nil {
		return nil, fmt.Errorf("decode command %d: %w", entry[0], err)
	}
	return c, nil
}

// Try applies a command to a transaction that is never committed.
func Try(t *state.Txn, c Command, index uint64) (any, error) {
	t.At(index)
	answer, err := c.apply(t, index)
	if err == nil {
		t.Flush()
	}
	return answer, err
}
