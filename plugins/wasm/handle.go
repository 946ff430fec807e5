package wasm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/plugins/wasm/engine"
	"github.com/seraiproject/serai/plugins/wasm/runner"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

// Task is one running module. It implements driver.Task and the optional abilities that a module can have: a guest
// offers nothing to run a command in, so there is no exec.
type Task struct {
	driver  *Driver
	config  *driver.TaskConfig
	dir     runner.Dir
	cgroup  *process.Cgroup // set by start; the process knows it afterwards
	process *process.Process
	usage   usageMeter
}

// savedState is what Recover needs.
type savedState struct {
	Process process.Record `json:"process"`
	Dir     runner.Dir     `json:"dir"`
}

// State implements driver.Task.
func (t *Task) State() any { return savedState{Process: t.process.Record(), Dir: t.dir} }

// Wait implements driver.Task.
func (t *Task) Wait(ctx context.Context) (driver.ExitResult, error) {
	exit, err := t.process.Wait(ctx)
	if err != nil {
		return driver.ExitResult{}, err
	}
	if exit.Err != nil {
		return driver.ExitResult{}, fmt.Errorf("wait for wasm task: %w", exit.Err)
	}
	result := driver.ExitResult{Code: exit.Code, Signal: int(exit.Signal), OOMKilled: exit.OOMKilled}
	left, err := t.dir.Result()
	env, _, _ := t.driver.settings()
	switch {
	case err != nil:
		env.Log.Warn("runner's result is not readable", "task", t.config.GetName(), "alloc", t.config.GetAllocId(), "error", err)
	case left.Trap != nil:
		env.Emit(driver.Event{Task: t.config, Message: describeTrap(left.Trap), Annotations: map[string]string{
			"trap": left.Trap.Cause, "wasm_stack": strings.Join(left.Trap.Stack, "\n"),
		}})
	case left.Error != "":
		env.Emit(driver.Event{Task: t.config, Message: "WebAssembly engine: " + left.Error})
	}
	if exit.Signal == 0 && left.ExitCode != 0 {
		result.Code = int(int32(left.ExitCode))
	}
	return result, nil
}

// framesShown bounds what a task event repeats of a stack; all of it is on the task's stderr.
const framesShown = 12

// describeTrap puts a trap into one line.
func describeTrap(trap *engine.TrapError) string {
	var frames []string
	for _, line := range trap.Stack {
		if !strings.HasPrefix(line, "\t") { // not a source position
			frames = append(frames, line)
		}
	}
	if len(frames) == 0 {
		return "WebAssembly trap: " + trap.Cause
	}
	if more := len(frames) - framesShown; more > 0 {
		frames = append(frames[:framesShown], fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("WebAssembly trap: %s, in %s", trap.Cause, strings.Join(frames, " < "))
}

// defaultSignal ends a task that names no kill_signal.
const defaultSignal = syscall.SIGINT

// Stop implements driver.Task. Whatever the signal, it ends the runner: it closes the listening sockets, lets the guest
// answer the requests it has begun, and ends the process.
func (t *Task) Stop(ctx context.Context, name string, timeout time.Duration) error {
	sig, ok := endingSignal(name)
	switch {
	case name == "":
		sig = defaultSignal
	case !ok:
		sig = syscall.SIGTERM
	case sig == syscall.SIGKILL:
		return t.process.Kill(ctx)
	}
	return t.process.Stop(ctx, sig, timeout)
}

// Signal implements driver.Signaler.
func (t *Task) Signal(_ context.Context, name string) error {
	sig, ok := endingSignal(name)
	if !ok {
		return fmt.Errorf("signal wasm task: a WebAssembly module cannot receive %q: only SIGINT, SIGTERM, SIGHUP and SIGKILL are taken, and end it", name)
	}
	if err := t.process.Signal(sig); err != nil {
		return fmt.Errorf("signal wasm task: %w", err)
	}
	return nil
}

// endingSignal knows the signals that a runner takes.
func endingSignal(name string) (syscall.Signal, bool) {
	name = strings.ToUpper(name)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	switch sig := unix.SignalNum(name); sig {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL:
		return sig, true
	}
	return 0, false
}

// Destroy implements driver.Task.
func (t *Task) Destroy(ctx context.Context) error {
	return errors.Join(t.process.Destroy(ctx), t.dir.Remove())
}

// discardPatience bounds the clean-up after a failed start.
const discardPatience = 15 * time.Second

// discard removes what a failed start has left.
func (t *Task) discard() error {
	ctx, cancel := context.WithTimeout(context.Background(), discardPatience)
	defer cancel()
	switch {
	case t.process != nil:
		return t.Destroy(ctx)
	case t.cgroup != nil:
		return errors.Join(t.cgroup.Remove(), t.dir.Remove())
	}
	return t.dir.Remove()
}

// Attributes implements driver.Inspector.
func (t *Task) Attributes() map[string]string {
	return map[string]string{"pid": fmt.Sprint(t.process.PID())}
}
