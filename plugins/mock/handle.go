package mock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/logs"
)

// taskState is what a task is recovered from, beside its config.
type taskState struct {
	StartedAt time.Time `json:"started_at"`
}

// Task is one pretended task.
type Task struct {
	config    *TaskConfig
	startedAt time.Time

	stop context.CancelCauseFunc
	done chan struct{}
	// result is set before done is closed.
	result driver.ExitResult
	err    error

	stdout, stderr *os.File
	workers        sync.WaitGroup

	mu      sync.Mutex
	signals []string
}

// stopped is the cause that ends a task from outside.
type stopped struct{ signal syscall.Signal }

func (s stopped) Error() string { return "stopped by " + s.signal.String() }

// newTask sets a task going that is age old.
func newTask(t *driver.TaskConfig, c *TaskConfig, startedAt time.Time, age time.Duration) (*Task, error) {
	task := &Task{config: c, startedAt: startedAt, done: make(chan struct{})}
	var err error
	if task.stdout, task.stderr, err = logs.OpenTask(t); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(context.Background())
	task.stop = stop
	// What an earlier process had printed is not printed again.
	task.workers.Go(func() {
		print(ctx, task.stdout, c.StdoutString, c.StdoutRepeat, c.StdoutRepeatDuration, age)
	})
	task.workers.Go(func() {
		print(ctx, task.stderr, c.StderrString, c.StderrRepeat, c.StderrRepeatDuration, age)
	})
	if c.PluginExitAfter > age {
		crash := time.AfterFunc(c.PluginExitAfter-age, func() { os.Exit(3) })
		context.AfterFunc(ctx, func() { crash.Stop() })
	}
	go task.run(ctx, age)
	return task, nil
}

func (t *Task) run(ctx context.Context, age time.Duration) {
	var end <-chan time.Time
	if t.config.RunFor > 0 || t.config.Exit {
		timer := time.NewTimer(max(t.config.RunFor-age, 0))
		defer timer.Stop()
		end = timer.C
	}
	select {
	case <-end:
		t.result = driver.ExitResult{Code: t.config.ExitCode, Signal: t.config.ExitSignal, OOMKilled: t.config.OOMKilled}
		if t.config.ExitErrMsg != "" {
			t.err = errors.New(t.config.ExitErrMsg)
		}
		// A task that ends by itself has printed all that it had to print at once.
		if t.config.StdoutRepeat == 0 && t.config.StderrRepeat == 0 {
			select {
			case <-t.printed():
			case <-ctx.Done():
			}
		}
	case <-ctx.Done():
		if s := (stopped{}); errors.As(context.Cause(ctx), &s) {
			t.result = driver.ExitResult{Signal: int(s.signal)}
		}
	}
	t.stop(nil)
	// Closing releases a print that waits for a reader.
	t.stdout.Close()
	t.stderr.Close()
	t.workers.Wait()
	close(t.done)
}

// printed is closed when there is nothing more to print.
func (t *Task) printed() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.workers.Wait()
	}()
	return done
}

// print writes text once and repeat times more, leaving out what is older than age.
func print(ctx context.Context, w io.Writer, text string, repeat int, every, age time.Duration) {
	if text == "" {
		return
	}
	first := 0
	if age > 0 {
		first = repeat + 1
		if every > 0 {
			first = min(first, int(age/every)+1)
		}
		if sleep(ctx, every-age%max(every, 1)) != nil {
			return
		}
	}
	for i := first; i <= repeat; i++ {
		if i > first && sleep(ctx, every) != nil {
			return
		}
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

// State is all there is.
func (t *Task) State() any { return taskState{StartedAt: t.startedAt} }

// Wait waits for the end.
func (t *Task) Wait(ctx context.Context) (driver.ExitResult, error) {
	select {
	case <-t.done:
		return t.result, t.err
	case <-ctx.Done():
		return driver.ExitResult{}, ctx.Err()
	}
}

// Stop obeys after KillAfter, or is killed.
func (t *Task) Stop(ctx context.Context, signal string, timeout time.Duration) error {
	if t.config.StopError != "" && signal != "SIGKILL" {
		return errors.New(t.config.StopError)
	}
	sig := unix.SIGTERM
	if signal != "" {
		if sig = unix.SignalNum(signal); sig == 0 {
			return fmt.Errorf("signal %q is not known", signal)
		}
	}
	if sig != unix.SIGKILL && t.config.KillAfter > 0 {
		obeys := time.NewTimer(min(t.config.KillAfter, timeout))
		defer obeys.Stop()
		select {
		case <-obeys.C:
		case <-t.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		if t.config.KillAfter > timeout {
			sig = unix.SIGKILL
		}
	}
	t.stop(stopped{sig})
	<-t.done
	return nil
}

// Destroy has nothing left to free.
func (t *Task) Destroy(context.Context) error { return nil }

// Signal notes the signal.
func (t *Task) Signal(_ context.Context, signal string) error {
	if t.config.SignalError != "" {
		return errors.New(t.config.SignalError)
	}
	if unix.SignalNum(signal) == 0 {
		return fmt.Errorf("signal %q is not known", signal)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.signals = append(t.signals, signal)
	return nil
}

// Exec prints the command and then its own input, up to the end of it. The word "sleep" blocks until the end of
// the context instead.
func (t *Task) Exec(ctx context.Context, cmd driver.ExecCommand) (driver.ExitResult, error) {
	if cmd.Args[0] == "sleep" {
		<-ctx.Done()
		return driver.ExitResult{Signal: int(unix.SIGKILL)}, nil
	}
	if _, err := fmt.Fprintln(cmd.Stdout, strings.Join(cmd.Args, " ")); err != nil {
		return driver.ExitResult{}, err
	}
	if cmd.TTY {
		select {
		case size := <-cmd.Resize:
			fmt.Fprintf(cmd.Stdout, "terminal %dx%d\n", size.Width, size.Height)
		case <-ctx.Done():
		}
	}
	if _, err := io.Copy(cmd.Stdout, cmd.Stdin); err != nil {
		return driver.ExitResult{}, err
	}
	fmt.Fprintln(cmd.Stderr, "done")
	return driver.ExitResult{Code: t.config.ExecExitCode}, nil
}

// Attributes show what has happened to the task.
func (t *Task) Attributes() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return map[string]string{"signals": strings.Join(t.signals, ",")}
}

// Address is the scripted one, if any.
func (t *Task) Address() *driver.NetworkOverride {
	if t.config.DriverIP == "" && len(t.config.DriverPorts) == 0 {
		return nil
	}
	ports := make(map[string]int32, len(t.config.DriverPorts))
	for label, port := range t.config.DriverPorts {
		ports[label] = int32(port)
	}
	return &driver.NetworkOverride{Addr: t.config.DriverIP, AutoAdvertise: t.config.DriverAdvertise, PortMap: ports}
}
