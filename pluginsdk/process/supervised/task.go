// Package supervised turns a process.Process into a driver.Task, with what
// drivers of plain processes have in common: the environment, the user, the
// limits, the figures.
package supervised

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

// Task is a supervised process as a driver.Task. A driver embeds it and adds
// Exec. All methods may be called concurrently.
type Task struct {
	Process *process.Process
	meter   meter
}

// New wraps a process. node tells the speed of its cores and may be nil.
func New(p *process.Process, node *driver.Node) *Task {
	t := &Task{Process: p}
	t.meter.begin(p, node)
	return t
}

// Recover attaches to the process of a state that State gave. Extra is what
// the driver added to it.
func Recover(saved driver.SavedState, node *driver.Node, extra any) (*Task, error) {
	var s State
	if err := saved.Decode(&s); err != nil {
		return nil, err
	}
	if extra != nil && len(s.Extra) > 0 {
		if err := json.Unmarshal(s.Extra, extra); err != nil {
			return nil, fmt.Errorf("decode saved task state: %w", err)
		}
	}
	p, err := process.Attach(s.Process)
	if err != nil {
		return nil, err
	}
	return New(p, node), nil
}

// State is what a driver saves of a task.
type State struct {
	Process process.Record  `json:"process"`
	Extra   json.RawMessage `json:"extra,omitempty"`
}

// State returns the process's record for the handle, with the driver's own
// addition, which may be nil.
func (t *Task) State() any { return t.StateWith(nil) }

// StateWith is State with an addition that encoding/json can write.
func (t *Task) StateWith(extra any) any {
	s := State{Process: t.Process.Record()}
	if extra != nil {
		if b, err := json.Marshal(extra); err == nil {
			s.Extra = b
		}
	}
	return s
}

// Wait blocks until the task has ended.
func (t *Task) Wait(ctx context.Context) (driver.ExitResult, error) {
	exit, err := t.Process.Wait(ctx)
	if err != nil {
		return driver.ExitResult{}, err
	}
	return Result(exit), exit.Err
}

// Result translates an exit.
func Result(e process.Exit) driver.ExitResult {
	r := driver.ExitResult{Code: e.Code, Signal: int(e.Signal), OOMKilled: e.OOMKilled}
	if e.Signal != 0 {
		r.Code = 128 + int(e.Signal)
	}
	return r
}

// Stop sends the signal (SIGINT if it is empty or unknown: a task must end all
// the same), waits up to timeout, then kills every process of the task.
func (t *Task) Stop(ctx context.Context, signal string, timeout time.Duration) error {
	sig, err := ParseSignal(signal)
	if err != nil {
		sig = syscall.SIGINT
	}
	return t.Process.Stop(ctx, sig, timeout)
}

// Signal sends a signal to the task's first process.
func (t *Task) Signal(_ context.Context, signal string) error {
	sig, err := ParseSignal(signal)
	if err != nil {
		return err
	}
	return t.Process.Signal(sig)
}

// Destroy removes the task's cgroup and state, and kills what should still run.
func (t *Task) Destroy(ctx context.Context) error { return t.Process.Destroy(ctx) }

// Attributes are shown to whoever inspects the task.
func (t *Task) Attributes() map[string]string {
	r := t.Process.Record()
	return map[string]string{
		"pid":            strconv.Itoa(r.PID),
		"supervisor_pid": strconv.Itoa(r.SupervisorPID),
		"started_at":     r.StartedAt.Format(time.RFC3339Nano),
	}
}

// ParseSignal reads a signal's name, with or without SIG, in any case, or its
// number.
func ParseSignal(name string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil && unix.SignalName(syscall.Signal(n)) != "" {
		return syscall.Signal(n), nil
	}
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	if sig := unix.SignalNum(upper); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("unknown signal %q: use a name such as SIGTERM or SIGHUP", name)
}

// ExecStream connects an exec request to process.Exec. The function returned
// must be called when the command has ended.
func ExecStream(ctx context.Context, cmd driver.ExecCommand) (process.Stream, func()) {
	s := process.Stream{TTY: cmd.TTY, Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr}
	if cmd.Resize == nil {
		return s, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	sizes := make(chan process.WindowSize)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case size, ok := <-cmd.Resize:
				if !ok {
					return
				}
				select {
				case sizes <- process.WindowSize{Rows: uint16(size.Height), Columns: uint16(size.Width)}:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	s.Resize = sizes
	return s, func() { cancel(); <-done }
}

// ErrNotRunning is what Exec returns for a task that has ended.
var ErrNotRunning = errors.New("exec: the task is not running")
