package taskrunner

import (
	"context"
	"fmt"
	"time"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
	"github.com/seraiproject/serai/core/node/taskenv"
)

// Drivers finds the driver of a task.
type Drivers interface {
	// Driver returns the driver of that name. It waits for plugins that are
	// still being started, and is an error of class model.ErrNotFound when
	// there is none.
	Driver(ctx context.Context, name string) (Driver, error)
}

// A Driver runs tasks. A call may outlast the death of the plugin behind it:
// it is then made again on the next process. All methods are safe for use by
// many goroutines.
type Driver interface {
	Traits(ctx context.Context) (Traits, error)
	// Start starts a task. Errors are *StartError.
	Start(ctx context.Context, r *StartRequest) (*Started, error)
	// Recover finds a task again that an earlier agent started.
	Recover(ctx context.Context, handle []byte) error
	// Wait returns when the task has ended, or with an error when ctx is
	// done. A task whose fate is not known ends with Exit.Err.
	Wait(ctx context.Context, id string) (Exit, error)
	// Stop sends the signal ("" for the driver's usual one) and, when the
	// task has not ended after timeout, kills it. An unknown task is no error.
	Stop(ctx context.Context, id, signal string, timeout time.Duration) error
	// Destroy frees what is left of a task, also of one that runs. An
	// unknown task is no error.
	Destroy(ctx context.Context, id string) error
	Signal(ctx context.Context, id, signal string) error
	Exec(ctx context.Context, id string, cmd []string, tty bool, io httpapi.ExecStreams) (int, error)
	// Usage measures a task.
	Usage(ctx context.Context, id string) (*model.TaskResourceUsage, error)
}

// Isolation is how much of the host a task sees.
type Isolation uint8

// Ways of isolation.
const (
	IsolationNone   Isolation = iota // the host's files
	IsolationChroot                  // the task's directory as root
	IsolationImage                   // a root of its own
	IsolationUnveil                  // parts of the host's files
)

// Traits are what the node must know of a driver.
type Traits struct {
	Isolation Isolation
	NoLogs    bool // the driver does not write to the log pipes
}

// StartRequest is all that a driver is told of a task. It is only read.
type StartRequest struct {
	ID       string
	Alloc    *model.Allocation // with Job
	Task     *model.Task
	Env      *taskenv.Env
	Dir      allocdir.TaskDir
	NodeID   model.NodeID
	NodeName string
	NodeMHz  int64  // of the whole machine
	Cgroup   string // that the task is to join, made before
}

// Started is a task that was started.
type Started struct {
	Handle  []byte
	Network *Network
}

// StartError says why a task was not started.
type StartError struct {
	Err       error
	Retryable bool // it may work later
	Invalid   bool // the task's configuration is wrong
}

func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

func invalid(format string, args ...any) *StartError {
	return &StartError{Err: fmt.Errorf(format, args...), Invalid: true}
}

// Exit is how a task ended.
type Exit struct {
	Code      int
	Signal    int
	OOMKilled bool
	Err       error // the result is not known
}

// Successful reports whether the task ended by itself with code 0.
func (x Exit) Successful() bool { return x.Code == 0 && x.Signal == 0 && x.Err == nil }
