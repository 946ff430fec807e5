package model

import "time"

// Task states.
const (
	TaskStatePending = "pending"
	TaskStateRunning = "running"
	TaskStateDead    = "dead"
)

// MaxTaskEvents is how many events of a task are kept.
const MaxTaskEvents = 10

// TaskState is what a node observed of a task.
type TaskState struct {
	State       string // TaskState…
	Failed      bool
	Restarts    uint64
	LastRestart time.Time
	StartedAt   time.Time
	FinishedAt  time.Time
	Paused      string
	Events      []*TaskEvent `msg:",allownil"` // oldest first, at most MaxTaskEvents
}

// Successful reports whether the task ended without failing.
func (s *TaskState) Successful() bool { return s.State == TaskStateDead && !s.Failed }

// Types of task event. The texts are part of the API.
const (
	EventReceived            = "Received"
	EventTaskSetup           = "Task Setup"
	EventSetupFailure        = "Setup Failure"
	EventFailedValidation    = "Failed Validation"
	EventDownloadArtifacts   = "Downloading Artifacts"
	EventArtifactFailed      = "Failed Artifact Download"
	EventDriver              = "Driver"
	EventDriverFailure       = "Driver Failure"
	EventStarted             = "Started"
	EventTerminated          = "Terminated"
	EventRestarting          = "Restarting"
	EventNotRestarting       = "Not Restarting"
	EventRestartSignaled     = "Restart Signaled"
	EventSignaling           = "Signaling"
	EventKilling             = "Killing"
	EventKilled              = "Killed"
	EventSiblingFailed       = "Sibling Task Failed"
	EventLeaderDead          = "Leader Task Dead"
	EventMainDead            = "Main Tasks Dead"
	EventShutdownDelay       = "Waiting for shutdown delay"
	EventAllocUnhealthy      = "Alloc Unhealthy"
	EventTemplate            = "Template"
	EventFailedRestoringTask = "Failed Restoring Task"
	EventReconnected         = "Reconnected"
)

// A TaskEvent is one step in the life of a task. DisplayMessage is for people,
// Details for programs; the other members repeat Details under the names that
// older clients read.
type TaskEvent struct {
	Type             string
	Time             int64 // Unix nanoseconds
	DisplayMessage   string
	Details          map[string]string `msg:",allownil"` // never nil
	Message          string
	FailsTask        bool
	RestartReason    string
	SetupError       string
	DriverError      string
	DriverMessage    string
	ExitCode         int
	Signal           int
	KillReason       string
	KillTimeout      time.Duration
	KillError        string
	StartDelay       int64 // nanoseconds
	DownloadError    string
	ValidationError  string
	DiskLimit        int64
	FailedSibling    string
	VaultError       string
	TaskSignalReason string
	TaskSignal       string
	GenericSource    string
}
