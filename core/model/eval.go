package model

import "time"

// Evaluation status.
const (
	EvalStatusBlocked  = "blocked"
	EvalStatusPending  = "pending"
	EvalStatusComplete = "complete"
	EvalStatusFailed   = "failed"
	EvalStatusCanceled = "canceled"
)

// What made an evaluation. The texts are part of the API.
const (
	TriggerJobRegister       = "job-register"
	TriggerJobDeregister     = "job-deregister"
	TriggerPeriodicJob       = "periodic-job"
	TriggerNodeUpdate        = "node-update"
	TriggerNodeDrain         = "node-drain"
	TriggerAllocStop         = "alloc-stop"
	TriggerScheduled         = "scheduled"
	TriggerRollingUpdate     = "rolling-update"
	TriggerDeploymentWatcher = "deployment-watcher"
	TriggerFailedFollowUp    = "failed-follow-up"
	TriggerMaxPlans          = "max-plan-attempts"
	TriggerRetryFailedAlloc  = "alloc-failure"
	TriggerQueuedAllocs      = "queued-allocs"
	TriggerPreemption        = "preemption"
	TriggerScaling           = "job-scaling"
	TriggerReconnect         = "reconnect"
	TriggerMaxDisconnect     = "max-disconnect-timeout"
)

// An Evaluation asks a scheduler to look at a job again.
type Evaluation struct {
	ID                EvalID
	Namespace         string
	Priority          int
	Type              string // of the job
	TriggeredBy       string // Trigger…
	JobID             JobID
	JobModifyIndex    uint64       `json:",omitempty" msg:",omitempty"`
	NodeID            NodeID       `json:",omitempty" msg:",omitempty"`
	NodeModifyIndex   uint64       `json:",omitempty" msg:",omitempty"`
	DeploymentID      DeploymentID `json:",omitempty" msg:",omitempty"`
	Status            string       // EvalStatus…
	StatusDescription string       `json:",omitempty" msg:",omitempty"`

	Wait      time.Duration `json:",omitempty" msg:",omitempty"`
	WaitUntil time.Time     `json:",omitempty,omitzero" msg:",omitempty"`

	NextEval     EvalID                `json:",omitempty" msg:",omitempty"`
	PreviousEval EvalID                `json:",omitempty" msg:",omitempty"`
	BlockedEval  EvalID                `json:",omitempty" msg:",omitempty"`
	RelatedEvals []*EvaluationListStub `json:",omitempty" msg:",omitempty"`

	FailedTGAllocs       map[string]*AllocMetric `json:",omitempty" msg:",omitempty"`
	PlanAnnotations      *PlanAnnotations        `json:",omitempty" msg:",omitempty"`
	ClassEligibility     map[string]bool         `json:",omitempty" msg:",omitempty"`
	EscapedComputedClass bool                    `json:",omitempty" msg:",omitempty"`
	QuotaLimitReached    string                  `json:",omitempty" msg:",omitempty"`
	AnnotatePlan         bool                    `json:",omitempty" msg:",omitempty"`
	QueuedAllocations    map[string]int          `json:",omitempty" msg:",omitempty"`
	SnapshotIndex        uint64                  `json:",omitempty" msg:",omitempty"`

	CreateIndex uint64
	ModifyIndex uint64
	CreateTime  int64 // Unix nanoseconds
	ModifyTime  int64 // Unix nanoseconds
}

// Terminal reports whether nothing more happens to the evaluation.
func (e *Evaluation) Terminal() bool {
	switch e.Status {
	case EvalStatusComplete, EvalStatusFailed, EvalStatusCanceled:
		return true
	}
	return false
}

// JobKey identifies the evaluation's job.
func (e *Evaluation) JobKey() JobKey { return JobKey{e.Namespace, e.JobID} }

// EvaluationListStub is an evaluation as lists show it.
type EvaluationListStub struct {
	ID                EvalID
	Priority          int
	Type              string
	TriggeredBy       string
	Namespace         string
	JobID             JobID
	NodeID            NodeID
	DeploymentID      DeploymentID
	Status            string
	StatusDescription string
	WaitUntil         time.Time
	NextEval          EvalID
	PreviousEval      EvalID
	BlockedEval       EvalID
	CreateIndex       uint64
	ModifyIndex       uint64
	CreateTime        int64
	ModifyTime        int64
}

// Stub returns the evaluation as lists show it.
func (e *Evaluation) Stub() *EvaluationListStub {
	return &EvaluationListStub{
		ID: e.ID, Priority: e.Priority, Type: e.Type, TriggeredBy: e.TriggeredBy,
		Namespace: e.Namespace, JobID: e.JobID, NodeID: e.NodeID, DeploymentID: e.DeploymentID,
		Status: e.Status, StatusDescription: e.StatusDescription, WaitUntil: e.WaitUntil,
		NextEval: e.NextEval, PreviousEval: e.PreviousEval, BlockedEval: e.BlockedEval,
		CreateIndex: e.CreateIndex, ModifyIndex: e.ModifyIndex,
		CreateTime: e.CreateTime, ModifyTime: e.ModifyTime,
	}
}
