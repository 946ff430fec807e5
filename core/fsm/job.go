package fsm

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// RegisterJob registers or updates a job. It answers *JobResult.
type RegisterJob struct {
	Job        *model.Job
	Submission *model.JobSubmission `msg:",omitempty"`
	Eval       *model.Evaluation    `msg:",omitempty"`
	// EnforceIndex refuses the command unless the stored job's
	// JobModifyIndex is the one given; 0 means there must be none.
	EnforceIndex   bool   `msg:",omitempty"`
	JobModifyIndex uint64 `msg:",omitempty"`
	// Launch is set when the job is the child of a periodic one: the time
	// in Unix seconds that is remembered for the parent.
	Launch int64 `msg:",omitempty"`
}

// JobResult answers RegisterJob and DeregisterJob.
type JobResult struct {
	JobModifyIndex uint64
	JobCreateIndex uint64
	Version        uint64
}

// Kind says which command it is.
func (*RegisterJob) Kind() Kind { return KindRegisterJob }

func (c *RegisterJob) apply(t *state.Txn, index uint64) (any, error) {
	old := t.Job(nil, c.Job.Key())
	if c.EnforceIndex {
		if err := CheckJobIndex(old, c.JobModifyIndex); err != nil {
			return nil, err
		}
	}
	job := t.UpsertJob(c.Job, c.Submission)
	if c.Launch != 0 {
		t.PutLaunch(&state.PeriodicLaunch{Namespace: job.Namespace, ID: job.ParentID, Launch: c.Launch})
	}
	if c.Eval != nil {
		c.Eval.JobModifyIndex = job.JobModifyIndex
		t.UpsertEval(c.Eval)
	}
	return &JobResult{job.JobModifyIndex, job.CreateIndex, job.Version}, nil
}

// CheckJobIndex is the check-and-set of a registration: it fails unless the
// stored job's JobModifyIndex is want; want 0 means there must be no job.
func CheckJobIndex(old *model.Job, want uint64) error {
	switch {
	case old == nil && want == 0:
		return nil
	case old == nil:
		return model.Errorf(model.ErrConflict, "Enforcing job modify index %d: job does not exist", want)
	case want == 0:
		return model.Errorf(model.ErrConflict, "Enforcing job modify index 0: job already exists")
	case old.JobModifyIndex != want:
		return model.Errorf(model.ErrConflict,
			"Enforcing job modify index %d: job exists with conflicting job modify index: %d", want, old.JobModifyIndex)
	}
	return nil
}

// DeregisterJob stops a job, or with Purge forgets it. It answers *JobResult;
// a job that is not there is no error.
type DeregisterJob struct {
	Namespace       string
	JobID           model.JobID
	Purge           bool
	NoShutdownDelay bool
	Time            int64             // Unix nanoseconds
	Eval            *model.Evaluation `msg:",omitempty"`
}

// Kind says which command it is.
func (*DeregisterJob) Kind() Kind { return KindDeregisterJob }

func (c *DeregisterJob) apply(t *state.Txn, index uint64) (any, error) {
	k := model.JobKey{Namespace: c.Namespace, ID: c.JobID}
	res := &JobResult{JobModifyIndex: index}
	if old := t.Job(nil, k); old != nil {
		if c.NoShutdownDelay {
			yes := true
			for a := range t.AllocsByJob(nil, k) {
				if !a.Terminal() {
					t.SetTransition(a.ID, &model.DesiredTransition{NoShutdownDelay: &yes}, c.Time)
				}
			}
		}
		if c.Purge {
			t.DeleteJob(k)
		} else {
			job := t.StopJob(k, c.Time)
			res.JobModifyIndex, res.JobCreateIndex, res.Version = job.JobModifyIndex, job.CreateIndex, job.Version
		}
	}
	if c.Eval != nil {
		c.Eval.JobModifyIndex = res.JobModifyIndex
		t.UpsertEval(c.Eval)
	}
	return res, nil
}

// StableJob marks a version as one to go back to, or not.
type StableJob struct {
	Namespace string
	JobID     model.JobID
	Version   uint64
	Stable    bool
}

// Kind says which command it is.
func (*StableJob) Kind() Kind { return KindStableJob }

func (c *StableJob) apply(t *state.Txn, _ uint64) (any, error) {
	if !t.SetStable(model.JobKey{Namespace: c.Namespace, ID: c.JobID}, c.Version, c.Stable) {
		return nil, model.Errorf(model.ErrNotFound, "job %q in namespace %q at version %d not found", c.JobID, c.Namespace, c.Version)
	}
	return nil, nil
}

// PeriodicLaunch remembers when a periodic job last started a child, or missed
// its time on purpose.
type PeriodicLaunch struct {
	Launch state.PeriodicLaunch
}

// Kind says which command it is.
func (*PeriodicLaunch) Kind() Kind { return KindPeriodicLaunch }

func (c *PeriodicLaunch) apply(t *state.Txn, _ uint64) (any, error) {
	if t.Job(nil, c.Launch.Key()) != nil {
		l := c.Launch
		t.PutLaunch(&l)
	}
	return nil, nil
}

// ReconcileSummaries counts the allocations of every job anew.
type ReconcileSummaries struct{}

// Kind says which command it is.
func (*ReconcileSummaries) Kind() Kind { return KindReconcileSummaries }

func (*ReconcileSummaries) apply(t *state.Txn, _ uint64) (any, error) {
	t.ReconcileSummaries()
	return nil, nil
}
