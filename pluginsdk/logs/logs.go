// Package logs opens the pipes through which a task's output reaches its host.
//
// A host makes two FIFOs per task and keeps their reading ends; a driver writes to them. A driver that opened
// them for writing alone would fail without a reader and be hit by SIGPIPE when the reader goes. Opened for
// both, a write without a reader fills the pipe, then waits, and nothing is lost.
package logs

import (
	"fmt"
	"os"
	"syscall"

	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// Open opens a FIFO, or any other file, to be written to. An empty path is the null device. It never blocks;
// a later Write may, until there is a reader or the file is closed.
//
// The file is not inherited by processes that the driver starts, unless it is passed to them.
func Open(path string) (*os.File, error) {
	if path == "" {
		path = os.DevNull
	}
	// Opening must not make a regular file out of a FIFO that is not there.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open task log: %w", err)
	}
	return f, nil
}

// OpenTask opens both outputs of a task. The caller closes both files.
func OpenTask(t *driverpb.TaskConfig) (stdout, stderr *os.File, err error) {
	if stdout, err = Open(t.GetStdoutPath()); err != nil {
		return nil, nil, err
	}
	if stderr, err = Open(t.GetStderrPath()); err != nil {
		stdout.Close()
		return nil, nil, err
	}
	return stdout, stderr, nil
}
