package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLost is the reason an exit code is not known: the supervisor was killed
// (or the machine restarted) and nobody else saw the task end.
var ErrLost = errors.New("exit code lost: the task ended while neither its supervisor nor its driver was running")

// ErrGone says that there is nothing left to attach to: the task was destroyed,
// or the machine was restarted while it ran.
var ErrGone = errors.New("task is gone")

// ErrNotRunning is returned for a signal to a task that has ended.
var ErrNotRunning = errors.New("task is not running")

// Record is all that is needed to find a running task again. It is plain data
// for a task handle.
type Record struct {
	ID       string `json:"id"`
	BootID   string `json:"boot_id"`
	StateDir string `json:"state_dir"`
	// PID is the task's first process, SupervisorPID its parent. The start
	// times (clock ticks since boot) tell them from later processes.
	PID                 int       `json:"pid"`
	StartTime           uint64    `json:"start_time"`
	SupervisorPID       int       `json:"supervisor_pid"`
	SupervisorStartTime uint64    `json:"supervisor_start_time"`
	StartedAt           time.Time `json:"started_at"`
	Cgroup              *Cgroup   `json:"cgroup,omitempty"`
	Anchor              string    `json:"anchor,omitempty"`
	// StarterPID is the plugin process that called Start. While PID is 0 the
	// start has not succeeded yet.
	StarterPID       int    `json:"starter_pid"`
	StarterStartTime uint64 `json:"starter_start_time"`
}

// Exit is how a task ended.
type Exit struct {
	// Code is the exit code, 0 if a signal ended the task.
	Code int
	// Signal is the signal that ended the task, or 0.
	Signal syscall.Signal
	// OOMKilled says that the kernel killed a process of the task for want of
	// memory and that the task did not end well.
	OOMKilled bool
	// FinishedAt is when the task ended, or, if Err is set, when that was
	// noticed.
	FinishedAt time.Time
	// Err is ErrLost if Code and Signal are not known.
	Err error
}

// Success reports a known exit with code 0 and no signal.
func (e Exit) Success() bool { return e.Err == nil && e.Code == 0 && e.Signal == 0 }

// Process is a task under supervision. All methods may be called concurrently.
type Process struct {
	record     Record
	supervisor *pidfd // nil if it was gone at Attach
	task       *pidfd // nil if it was gone at Attach

	done     chan struct{} // closed once exit is set
	exit     Exit
	stopped  chan struct{} // closed when the watcher has returned
	closeOne sync.Once
}

// Attach finds a task again from its record. A task that has ended meanwhile
// is returned as well, with its exit ready to be waited for. The error is
// ErrGone for one that was destroyed or ended with the machine.
func Attach(r Record) (*Process, error) {
	if r.StateDir == "" || r.PID <= 1 {
		return nil, fmt.Errorf("attach to task %s: record names no process or no state directory", r.ID)
	}
	p := &Process{record: r, done: make(chan struct{}), stopped: make(chan struct{})}
	if _, err := os.Stat(r.StateDir); err != nil {
		return nil, fmt.Errorf("attach to task %s: %w: no state in %s", r.ID, ErrGone, r.StateDir)
	}
	if _, ended := p.readExit(); !ended && r.BootID != BootID() {
		return nil, fmt.Errorf("attach to task %s: %w: the machine was restarted", r.ID, ErrGone)
	}
	if r.BootID == BootID() {
		var err error
		if p.supervisor, err = openPidfd(r.SupervisorPID, r.SupervisorStartTime); err != nil && !errors.Is(err, errNoProcess) {
			return nil, fmt.Errorf("attach to task %s: %w", r.ID, err)
		}
		if p.task, err = openPidfd(r.PID, r.StartTime); err != nil && !errors.Is(err, errNoProcess) {
			p.closeFiles()
			return nil, fmt.Errorf("attach to task %s: %w", r.ID, err)
		}
	}
	go p.watch()
	return p, nil
}

// Record returns what Attach needs.
func (p *Process) Record() Record { return p.record }

// PID is the task's first process.
func (p *Process) PID() int { return p.record.PID }

// Done is closed when the task has ended and Exit is known.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the task has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Exit returns how the task ended; the zero Exit while it runs.
func (p *Process) Exit() Exit {
	if p.Running() {
		return Exit{}
	}
	return p.exit
}

// Wait blocks until the task has ended or ctx is done. It may be called any
// number of times.
func (p *Process) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-p.done:
		return p.exit, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}

// watch waits for the end of the task. The supervisor knows best; without it
// the kernel may still remember.
func (p *Process) watch() {
	defer close(p.stopped)
	if p.supervisor != nil {
		if p.supervisor.wait() != nil {
			return // closed
		}
		// Only a child of this process is reaped here; else it is init's.
		_, _ = unix.Wait4(p.record.SupervisorPID, nil, unix.WNOHANG, nil)
	}
	if exit, ok := p.readExit(); ok {
		p.finish(exit)
		return
	}
	if p.task == nil {
		p.finish(Exit{FinishedAt: time.Now(), Err: ErrLost})
		return
	}
	if p.task.wait() != nil {
		return
	}
	exit := Exit{FinishedAt: time.Now(), Err: ErrLost}
	if ws, ok := p.task.awaitExitStatus(2 * time.Second); ok {
		exit.Err = nil
		if ws.Signaled() {
			exit.Signal = ws.Signal()
		} else {
			exit.Code = ws.ExitStatus()
		}
	}
	_ = syscall.Kill(-p.record.PID, syscall.SIGKILL)
	if c := p.record.Cgroup; c != nil {
		_ = c.Kill(5 * time.Second)
	}
	p.finish(exit)
}

func (p *Process) finish(exit Exit) {
	if c := p.record.Cgroup; c != nil && !exit.Success() && c.OOMKills() > 0 {
		exit.OOMKilled = true
	}
	p.exit = exit
	close(p.done)
}

const (
	exitFile   = "exit"
	recordFile = "record.json"
)

// readExit reads the supervisor's exit record.
func (p *Process) readExit() (Exit, bool) {
	b, err := os.ReadFile(filepath.Join(p.record.StateDir, exitFile))
	if err != nil {
		return Exit{}, false
	}
	var r struct {
		PID        int   `json:"pid"`
		ExitCode   int   `json:"exit_code"`
		Signal     int   `json:"signal"`
		FinishedAt int64 `json:"finished_at"` // Unix time in ns
	}
	if json.Unmarshal(b, &r) != nil || r.PID != p.record.PID {
		return Exit{}, false
	}
	return Exit{Code: r.ExitCode, Signal: syscall.Signal(r.Signal), FinishedAt: time.Unix(0, r.FinishedAt)}, true
}

// Signal sends sig to the task's first process. It returns ErrNotRunning if
// that has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.task == nil || !p.Running() {
		return ErrNotRunning
	}
	err := p.task.signal(sig)
	if errors.Is(err, errNoProcess) {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("send %s to task %s: %w", unix.SignalName(sig), p.record.ID, err)
	}
	return nil
}

// Stop sends sig, waits up to timeout for the task to end, and kills it then.
// It returns when the task has ended, ctx is done, or the kernel cannot end it.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal, timeout time.Duration) error {
	if err := p.Signal(sig); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	return p.Kill(ctx)
}

// killPatience is how long the kernel gets to end processes that were sent
// SIGKILL: one that waits for a dead disk ends late.
const killPatience = 10 * time.Second

// Kill ends every process of the task at once and waits for the exit.
func (p *Process) Kill(ctx context.Context) error {
	if p.task != nil {
		_ = p.task.signal(syscall.SIGKILL)
	}
	if c := p.record.Cgroup; c != nil {
		if err := c.Kill(killPatience); err != nil {
			return fmt.Errorf("kill task %s: %w", p.record.ID, err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, killPatience,
		fmt.Errorf("kill task %s: process %d does not end", p.record.ID, p.record.PID))
	defer cancel()
	if _, err := p.Wait(ctx); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

// Destroy kills what still runs and removes cgroup and state directory. The
// Process must not be used afterwards, except that waiters see its exit.
func (p *Process) Destroy(ctx context.Context) error {
	err := p.Kill(ctx)
	p.Close()
	if c := p.record.Cgroup; c != nil {
		err = errors.Join(err, c.Remove())
	}
	return errors.Join(err, removeState(p.record.StateDir))
}

// Close lets go of the task without disturbing it. Waiters are not released.
func (p *Process) Close() {
	p.closeOne.Do(func() {
		p.closeFiles()
		<-p.stopped
	})
}

func (p *Process) closeFiles() {
	if p.supervisor != nil {
		p.supervisor.close()
	}
	if p.task != nil {
		p.task.close()
	}
}
