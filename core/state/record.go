package state

import "github.com/seraiproject/serai/core/model"

//go:generate go run github.com/tinylib/msgp -io=false -tests=false -file=record.go -o=record_gen.go

// AllocStop is how a plan stops an allocation. Empty members stay as they are.
type AllocStop struct {
	ID                 model.AllocID
	DesiredStatus      string
	DesiredDescription string
	ClientStatus       string        `msg:",omitempty"` // lost or unknown
	ClientDescription  string        `msg:",omitempty"`
	FollowupEvalID     model.EvalID  `msg:",omitempty"`
	PreemptedBy        model.AllocID `msg:",omitempty"`
}

// A PeriodicLaunch remembers when a periodic job last started a child.
type PeriodicLaunch struct {
	Namespace string
	ID        model.JobID
	Launch    int64 // Unix seconds
}

// Key identifies the job.
func (l *PeriodicLaunch) Key() model.JobKey { return model.JobKey{Namespace: l.Namespace, ID: l.ID} }
