package httpapi

import (
	"context"
	"io"

	"github.com/seraiproject/serai/core/model"
)

// A NodeBackend is the machine's side of the API: what can only be answered
// by the node that runs an allocation. core/node implements it. All methods
// are safe for use by many goroutines. An allocation that the node does not
// have is model.ErrNotFound.
type NodeBackend interface {
	// NodeID is this node's ID.
	NodeID() model.NodeID
	// HostStats measures the machine.
	HostStats(ctx context.Context) (*model.HostStats, error)
	// AllocStats measures an allocation; task "" means all tasks.
	AllocStats(ctx context.Context, id model.AllocID, task string) (*model.AllocResourceUsage, error)
	// RestartAlloc restarts a task; task "" means every task that runs, or
	// with all also those that ended.
	RestartAlloc(ctx context.Context, id model.AllocID, task string, all bool) error
	// SignalAlloc sends a signal ("SIGHUP") to a task; task "" means all.
	SignalAlloc(ctx context.Context, id model.AllocID, task, signal string) error
	// GCAlloc removes what is left of an allocation that ended.
	GCAlloc(ctx context.Context, id model.AllocID) error
	// GCAllocs removes what is left of every allocation that ended.
	GCAllocs(ctx context.Context) error

	// ListDir lists a directory of an allocation, by name. Paths are
	// relative to the allocation's directory and never leave it.
	ListDir(ctx context.Context, id model.AllocID, path string) ([]*model.AllocFileInfo, error)
	// StatFile describes one file.
	StatFile(ctx context.Context, id model.AllocID, path string) (*model.AllocFileInfo, error)
	// OpenFile reads a file from offset; limit < 0 means to its end.
	OpenFile(ctx context.Context, id model.AllocID, path string, offset, limit int64) (io.ReadCloser, error)
	// StreamFile sends a file from offset (counted from origin "start" or
	// "end"), then with follow what is appended, until ctx is done.
	StreamFile(ctx context.Context, id model.AllocID, path string, from Position, send func(*model.StreamFrame) error) error
	// StreamLogs sends a task's log, over all its rotated files, as
	// StreamFile does. kind is "stdout" or "stderr". It ends by itself when
	// the task is dead and its log was sent.
	StreamLogs(ctx context.Context, id model.AllocID, task, kind string, from Position, send func(*model.StreamFrame) error) error

	// Exec runs a command beside a running task and returns its exit code.
	Exec(ctx context.Context, id model.AllocID, task string, cmd []string, tty bool, io ExecStreams) (int, error)

	// Plugins lists the node's plugins, by name.
	Plugins(ctx context.Context) ([]*model.PluginInfo, error)
}

// Position is where a stream starts, and if it goes on at the end.
type Position struct {
	Origin string // "start" (or "") or "end"
	Offset int64  // bytes from Origin; from the end counted backwards
	Follow bool
}

// ExecStreams connects a command to its user. Stdin ends with io.EOF. Resize
// may be nil.
type ExecStreams struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Resize <-chan WindowSize
}

// WindowSize is the size of a terminal, in characters.
type WindowSize struct {
	Width, Height int
}
