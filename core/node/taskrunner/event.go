package taskrunner

import (
	"fmt"
	"strconv"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// The events of a task. Types, texts and the keys of Details are part of the
// API.

func newEvent(kind string, now time.Time, text string) *model.TaskEvent {
	return &model.TaskEvent{Type: kind, Time: now.UnixNano(), DisplayMessage: text, Details: map[string]string{}}
}

func received(now time.Time) *model.TaskEvent {
	return newEvent(model.EventReceived, now, "Task received by client")
}

func buildingDirectory(now time.Time) *model.TaskEvent {
	e := newEvent(model.EventTaskSetup, now, "Building Task Directory")
	e.Message = e.DisplayMessage
	e.Details["message"] = e.Message
	return e
}

// SetupFailure says that what the task needs could not be prepared.
func SetupFailure(now time.Time, err error) *model.TaskEvent {
	e := newEvent(model.EventSetupFailure, now, err.Error())
	e.SetupError = err.Error()
	e.Details["setup_error"] = err.Error()
	return e
}

func failedValidation(now time.Time, err error) *model.TaskEvent {
	e := newEvent(model.EventFailedValidation, now, err.Error())
	e.ValidationError = err.Error()
	e.Details["validation_error"] = err.Error()
	return e
}

func driverFailure(now time.Time, err error) *model.TaskEvent {
	e := newEvent(model.EventDriverFailure, now, err.Error())
	e.DriverError = err.Error()
	e.Details["driver_error"] = err.Error()
	return e
}

func driverMessage(now time.Time, text string, details map[string]string) *model.TaskEvent {
	e := newEvent(model.EventDriver, now, text)
	e.DriverMessage = text
	for k, v := range details {
		e.Details[k] = v
	}
	e.Details["driver_message"] = text
	return e
}

func started(now time.Time) *model.TaskEvent {
	return newEvent(model.EventStarted, now, "Task started by client")
}

func terminated(now time.Time, x Exit) *model.TaskEvent {
	text := "Exit Code: " + strconv.Itoa(x.Code)
	if x.Signal != 0 {
		text += ", Signal: " + strconv.Itoa(x.Signal)
	}
	message := ""
	switch {
	case x.Err != nil:
		message = x.Err.Error()
	case x.OOMKilled:
		message = "OOM Killed"
	}
	if message != "" {
		text += fmt.Sprintf(", Exit Message: %q", message)
	}
	e := newEvent(model.EventTerminated, now, text)
	e.ExitCode, e.Signal, e.Message = x.Code, x.Signal, message
	e.Details["exit_code"] = strconv.Itoa(x.Code)
	e.Details["signal"] = strconv.Itoa(x.Signal)
	e.Details["oom_killed"] = strconv.FormatBool(x.OOMKilled)
	if message != "" {
		e.Details["exit_message"] = message
	}
	return e
}

func restarting(now time.Time, reason string, delay time.Duration) *model.TaskEvent {
	text := fmt.Sprintf("Task restarting in %v", delay)
	if reason != "" && reason != reasonWithinPolicy {
		text = reason + " - " + text
	}
	e := newEvent(model.EventRestarting, now, text)
	e.RestartReason, e.StartDelay = reason, int64(delay)
	e.Details["restart_reason"] = reason
	e.Details["start_delay"] = strconv.FormatInt(int64(delay), 10)
	return e
}

func notRestarting(now time.Time, reason string) *model.TaskEvent {
	e := newEvent(model.EventNotRestarting, now, reason)
	e.RestartReason, e.FailsTask = reason, true
	e.Details["restart_reason"] = reason
	e.Details["fails_task"] = "true"
	return e
}

func restartSignaled(now time.Time, reason string) *model.TaskEvent {
	e := newEvent(model.EventRestartSignaled, now, reason)
	e.RestartReason = reason
	e.Details["restart_reason"] = reason
	return e
}

func signaling(now time.Time, signal, reason string) *model.TaskEvent {
	text := "Task being sent a signal"
	if reason != "" {
		text = reason
	}
	e := newEvent(model.EventSignaling, now, text)
	e.TaskSignal, e.TaskSignalReason = signal, reason
	e.Details["signal"] = signal
	if reason != "" {
		e.Details["task_signal_reason"] = reason
	}
	return e
}

func killing(now time.Time, timeout time.Duration) *model.TaskEvent {
	e := newEvent(model.EventKilling, now, fmt.Sprintf("Sent interrupt. Waiting %v before force killing", timeout))
	e.KillTimeout = timeout
	e.Details["kill_timeout"] = timeout.String()
	return e
}

func killed(now time.Time, err error) *model.TaskEvent {
	e := newEvent(model.EventKilled, now, "Task successfully killed")
	if err != nil {
		e.DisplayMessage = err.Error()
		e.KillError = err.Error()
		e.Details["kill_error"] = err.Error()
	}
	return e
}

func shutdownDelay(now time.Time, delay time.Duration) *model.TaskEvent {
	e := newEvent(model.EventShutdownDelay, now, fmt.Sprintf("Waiting for shutdown_delay of %v before killing the task.", delay))
	e.Details["delay"] = delay.String()
	return e
}

func skippingShutdownDelay(now time.Time) *model.TaskEvent {
	return newEvent("Skipping shutdown delay", now, "Skipping shutdown_delay before killing the task.")
}

func failedRestoring(now time.Time, err error) *model.TaskEvent {
	text := fmt.Sprintf("failed to restore; will not run until server is contacted: %v", err)
	e := newEvent(model.EventFailedRestoringTask, now, text)
	e.Message = text
	e.Details["message"] = text
	return e
}

// SiblingFailed says that the task ends because another failed.
func SiblingFailed(now time.Time, sibling string) *model.TaskEvent {
	e := newEvent(model.EventSiblingFailed, now, fmt.Sprintf("Task's sibling %q failed", sibling))
	e.FailedSibling = sibling
	e.Details["failed_sibling"] = sibling
	return e
}

// LeaderDead says that the task ends because the leader ended.
func LeaderDead(now time.Time) *model.TaskEvent {
	return newEvent(model.EventLeaderDead, now, "Leader Task in Group dead")
}

// MainDead says that the task ends because only sidecars were left.
func MainDead(now time.Time) *model.TaskEvent {
	return newEvent(model.EventMainDead, now, "Main tasks in the group died")
}

// Unhealthy says that the task made its allocation unhealthy.
func Unhealthy(now time.Time, text string) *model.TaskEvent {
	e := newEvent(model.EventAllocUnhealthy, now, text)
	e.Message = text
	e.Details["message"] = text
	return e
}

// KillingFor says why a task is killed where the usual text does not.
func KillingFor(now time.Time, reason string) *model.TaskEvent {
	e := newEvent(model.EventKilling, now, reason)
	e.KillReason = reason
	e.Details["kill_reason"] = reason
	return e
}
