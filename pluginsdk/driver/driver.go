package driver

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// Driver runs tasks of one kind. C is the struct of the plugin's configuration, T the struct of a task's
// config block, both with tags as package schema reads them; an empty struct takes no configuration. H is
// one live task.
//
// All methods may be called at the same time from many goroutines, except that Configure is never called at
// the same time as itself.
type Driver[C, T any, H Task] interface {
	// Configure takes the plugin's configuration. A host calls it several times with the same values, at
	// first with env.Node nil only to have them checked, so it must be cheap and start nothing. The returned
	// error should say which value is wrong.
	Configure(ctx context.Context, env *Env, config *C) error

	// Fingerprint tells whether tasks can run here. It is called at once, then every
	// Info.FingerprintEvery, and on Env.Refingerprint; the host hears only of changes. An error means that
	// the question could not be answered, and makes the driver undetected.
	Fingerprint(ctx context.Context) (Fingerprint, error)

	// Start starts a task and returns without waiting for it. If it fails, nothing may be left behind. An
	// error wrapped with Retryable lets the host try again under the task's restart policy; any other fails
	// the task for good. The context ends with the call: what outlives it must not depend on it.
	Start(ctx context.Context, task *TaskConfig, config *T) (H, error)

	// Recover takes up a task that an earlier process of this plugin started; state is what its Task.State
	// gave. It must not start the workload again and must not take another process for it (pids are used
	// again). A task that ended meanwhile is recovered all the same if its result is still known; an
	// error makes the host destroy the task and start anew. config is nil only for handles that were not
	// written by this SDK.
	Recover(ctx context.Context, task *TaskConfig, config *T, state SavedState) (H, error)
}

// Task is one live task, from Start or Recover to Destroy.
//
// Methods may be called at the same time, except that Wait is called once only and nothing is called after
// Destroy has returned nil.
type Task interface {
	// Wait blocks until the task has ended. It is called exactly once, right after Start or Recover. The
	// context ends only when the plugin process is about to exit; the task must then be left running. An
	// error means that the task has ended, or is lost, and its result is not known.
	Wait(ctx context.Context) (ExitResult, error)

	// Stop sends signal ("SIGTERM"; empty for the driver's default), waits up to timeout for the end, then
	// kills. It returns when the task has ended or can't be ended, and is a no-op on an ended one.
	Stop(ctx context.Context, signal string, timeout time.Duration) error

	// Destroy frees what the task still holds. The task has ended before: when a host forces the end, the SDK
	// calls Stop with SIGKILL first.
	Destroy(ctx context.Context) error

	// State is what Recover will need, as a value that encoding/json can write: pids with their start
	// times, paths, ids of containers. It is read once, when Start or Recover has returned.
	State() any
}

// Signaler is a Task that takes signals.
type Signaler interface {
	// Signal sends a signal such as "SIGHUP". An unknown name is an error.
	Signal(ctx context.Context, signal string) error
}

// Execer is a Task in whose surroundings other commands can be run.
type Execer interface {
	// Exec runs one command and returns when it has ended and all of its output has been written. When the
	// context ends, the command must be killed. A non-zero exit is a result; an error says that the command
	// could not be run.
	Exec(ctx context.Context, cmd ExecCommand) (ExitResult, error)
}

// ExecCommand is a command to run beside a task.
type ExecCommand struct {
	Args []string
	// TTY asks for a terminal; all output then comes as Stdout.
	TTY bool
	// Resize carries the terminal's sizes, the first one soon after the start. It is closed when no more will
	// come, and nil without TTY.
	Resize <-chan TerminalSize
	// Stdin ends when the user's input ends, which may be long after the command: Exec must return without
	// waiting for it. It is never nil.
	Stdin io.Reader
	// Stdout and Stderr are never nil, and may be written at the same time. A write error means that nobody
	// reads any more.
	Stdout, Stderr io.Writer
}

// TerminalSize is in characters; 0 by 0 is possible and means unknown.
type TerminalSize struct {
	Height, Width int
}

// StatsReporter is a Task that knows what it uses.
type StatsReporter interface {
	// Stats measures now. It is called at the host's interval, by every host stream on its own; averages over
	// time are the task's own business.
	Stats(ctx context.Context) (Usage, error)
}

// Inspector is a Task with facts to show.
type Inspector interface {
	Attributes() map[string]string
}

// Addresser is a Task with an address of its own, different from the node's.
type Addresser interface {
	// Address is read once, when Start has returned; nil is allowed.
	Address() *NetworkOverride
}

// Networker is a Driver that makes the network namespaces of its allocations itself.
type Networker interface {
	// CreateNetwork makes the namespace of an allocation. Called again, it returns the same with created
	// false.
	CreateNetwork(ctx context.Context, allocID, hostname string) (spec *NetworkIsolation, created bool, err error)
	// DestroyNetwork removes it; one that does not exist is no error.
	DestroyNetwork(ctx context.Context, allocID string, spec *NetworkIsolation) error
}

// Shutdowner is a Driver that wants to know that its process is about to exit. Tasks must keep running.
type Shutdowner interface {
	Shutdown(ctx context.Context) error
}

// Capable is a Driver whose capabilities depend on its configuration. It is given those that follow from
// Info and the implemented interfaces, and returns the ones to announce.
type Capable interface {
	Capabilities(derived *Capabilities) *Capabilities
}

// Info says what the plugin is.
type Info struct {
	// Name is what job files put behind "driver =".
	Name string
	// Version is the plugin's own, as a semantic version.
	Version string

	// FSIsolation says how a task's file system is set apart; see the constants.
	FSIsolation FSIsolation
	// NetworkModes are the modes of namespaces that tasks can be put in. Host networking needs no entry.
	NetworkModes []NetworkMode
	// NoMounts says that host volumes cannot be mounted into tasks.
	NoMounts bool
	// NoLogs says that the driver does not write to the FIFOs of a task: the host then makes none.
	NoLogs bool
	// DynamicUsers asks for a user of its own for every task that names none.
	DynamicUsers bool

	// FingerprintEvery is the time between two calls of Fingerprint; 0 means 30 seconds.
	FingerprintEvery time.Duration
	// StatsEvery is the interval of figures when a host asks for none; 0 means 1 second.
	StatsEvery time.Duration
}

// Env is the SDK's side of a running plugin, handed to Configure. It stays valid and the same for the life of
// the process, except for Node. Its functions may be called from any goroutine.
type Env struct {
	// Log reaches the host's log; the level is decided there.
	Log *slog.Logger
	// Node is what the host tells of itself; nil when the configuration is only to be checked.
	Node *Node
	// Emit sends an event to all hosts that listen. It does not block; Time is set if it is zero.
	Emit func(Event)
	// Refingerprint asks for Fingerprint to be called now.
	Refingerprint func()
}

// Event is something that happened to a task, shown to its user.
type Event struct {
	Task    *TaskConfig
	Time    time.Time
	Message string
	// Annotations are machine-readable details.
	Annotations map[string]string
}
