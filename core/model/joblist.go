package model

// JobListStub is a job as lists show it.
type JobListStub struct {
	ID                JobID
	ParentID          JobID
	Name              string
	Namespace         string
	NodePool          string
	Datacenters       []string `msg:",allownil"`
	Multiregion       *Multiregion
	Type              string
	Priority          int
	Periodic          bool
	ParameterizedJob  bool
	Stop              bool
	Status            string
	StatusDescription string
	JobSummary        *JobSummary
	CreateIndex       uint64
	ModifyIndex       uint64
	JobModifyIndex    uint64
	SubmitTime        int64
	Meta              map[string]string `json:",omitempty" msg:",omitempty"`
}

// JobSummary counts a job's allocations.
type JobSummary struct {
	JobID       JobID
	Namespace   string
	Summary     map[string]TaskGroupSummary `msg:",allownil"`
	Children    *JobChildrenSummary
	CreateIndex uint64
	ModifyIndex uint64
}

// TaskGroupSummary counts a group's allocations by client status.
type TaskGroupSummary struct {
	Queued   int
	Complete int
	Failed   int
	Running  int
	Starting int
	Lost     int
	Unknown  int
}

// JobChildrenSummary counts the children of a periodic or parameterized job.
type JobChildrenSummary struct {
	Pending int64
	Running int64
	Dead    int64
}

// Stub returns the job as lists show it.
func (j *Job) Stub(summary *JobSummary) *JobListStub {
	return &JobListStub{
		ID: j.ID, ParentID: j.ParentID, Name: j.Name, Namespace: j.Namespace, NodePool: j.NodePool,
		Datacenters: j.Datacenters, Multiregion: j.Multiregion, Type: j.Type, Priority: j.Priority,
		Periodic: j.IsPeriodic(), ParameterizedJob: j.IsParameterized(), Stop: j.Stop,
		Status: j.Status, StatusDescription: j.StatusDescription, JobSummary: summary,
		CreateIndex: j.CreateIndex, ModifyIndex: j.ModifyIndex, JobModifyIndex: j.JobModifyIndex,
		SubmitTime: j.SubmitTime,
	}
}

// Kinds of difference.
const (
	DiffNone    = "None"
	DiffAdded   = "Added"
	DiffDeleted = "Deleted"
	DiffEdited  = "Edited"
)

// JobDiff is the difference between two versions of a job.
type JobDiff struct {
	Type       string
	ID         JobID
	Fields     []*FieldDiff     `msg:",allownil"`
	Objects    []*ObjectDiff    `msg:",allownil"`
	TaskGroups []*TaskGroupDiff `msg:",allownil"`
}

// TaskGroupDiff is the difference between two versions of a group. Updates
// counts what the change does to allocations.
type TaskGroupDiff struct {
	Type    string
	Name    string
	Fields  []*FieldDiff      `msg:",allownil"`
	Objects []*ObjectDiff     `msg:",allownil"`
	Tasks   []*TaskDiff       `msg:",allownil"`
	Updates map[string]uint64 `msg:",allownil"`
}

// TaskDiff is the difference between two versions of a task.
type TaskDiff struct {
	Type        string
	Name        string
	Fields      []*FieldDiff  `msg:",allownil"`
	Objects     []*ObjectDiff `msg:",allownil"`
	Annotations []string      `msg:",allownil"`
}

// ObjectDiff is the difference between two versions of a block.
type ObjectDiff struct {
	Type    string
	Name    string
	Fields  []*FieldDiff  `msg:",allownil"`
	Objects []*ObjectDiff `msg:",allownil"`
}

// FieldDiff is the difference between two versions of a value.
type FieldDiff struct {
	Type        string
	Name        string
	Old         string
	New         string
	Annotations []string `msg:",allownil"`
}
