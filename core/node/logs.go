package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"syscall"
	"time"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
	"github.com/seraiproject/serai/core/node/tasklog"
	"github.com/seraiproject/serai/core/node/taskrunner"
)

const (
	// A file that is followed is looked at again after a time that grows
	// while nothing comes.
	shortestLook, longestLook = 10 * time.Millisecond, 250 * time.Millisecond
	// beat is the time between frames that keep a connection alive.
	beat = time.Second
)

// tail paces the reading of a file that grows.
type tail struct {
	look  time.Duration
	spoke time.Time
}

func newTail() *tail { return &tail{look: shortestLook, spoke: time.Now()} }

// wait waits before the next look, and sends a sign of life when it is time.
func (t *tail) wait(ctx context.Context, got bool, send func(*model.StreamFrame) error) error {
	now := time.Now()
	if got {
		t.look, t.spoke = shortestLook, now
	} else {
		t.look = min(t.look*2, longestLook)
	}
	if now.Sub(t.spoke) >= beat {
		t.spoke = now
		if err := send(&model.StreamFrame{}); err != nil {
			return err
		}
	}
	if !pause(ctx, t.look) {
		return ctx.Err()
	}
	return nil
}

func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}

// StreamLogs implements httpapi.NodeBackend.
func (n *Node) StreamLogs(ctx context.Context, id model.AllocID, task, kind string, from httpapi.Position, send func(*model.StreamFrame) error) error {
	r, err := n.find(id)
	if err != nil {
		return err
	}
	t := r.Task(task)
	if t == nil {
		return model.Errorf(model.ErrInvalid, "unknown task name %q", task)
	}
	if kind != tasklog.Stdout && kind != tasklog.Stderr {
		return model.Errorf(model.ErrInvalid, "must provide log type (stdout/stderr)")
	}
	f, err := r.Dir().Files()
	if err != nil {
		return err
	}
	defer f.Close()
	l := &logReader{files: f, task: t, kind: kind, send: send, tail: newTail(), follow: from.Follow}
	defer l.close()
	return ignoreDone(ctx, l.run(ctx, from))
}

// logReader reads the rotated files of one stream of output as one.
type logReader struct {
	files  *allocdir.Files
	task   *taskrunner.Runner
	kind   string
	send   func(*model.StreamFrame) error
	tail   *tail
	follow bool

	number  int // of the file being read
	current *stream
}

func (l *logReader) close() {
	if l.current != nil {
		l.current.file.Close()
		l.current = nil
	}
}

func (l *logReader) name(number int) string {
	return path.Join(allocdir.Shared, allocdir.Logs, l.task.Name()+"."+l.kind+"."+strconv.Itoa(number))
}

// numbers lists the files that exist, with their sizes.
func (l *logReader) numbers() (numbers []int, sizes map[int]int64, err error) {
	list, err := l.files.List(path.Join(allocdir.Shared, allocdir.Logs))
	if errors.Is(err, model.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	names := make([]string, len(list))
	bySize := map[string]int64{}
	for i, e := range list {
		names[i] = e.Name
		bySize[e.Name] = e.Size
	}
	numbers = tasklog.Numbers(names, l.task.Name(), l.kind)
	sizes = map[int]int64{}
	for _, number := range numbers {
		sizes[number] = bySize[path.Base(l.name(number))]
	}
	return numbers, sizes, nil
}

func (l *logReader) run(ctx context.Context, from httpapi.Position) error {
	numbers, sizes, err := l.numbers()
	for err == nil && len(numbers) == 0 {
		// Nothing was written yet: only who follows a task that will write
		// can wait for it.
		if !l.follow || l.task.State().State == model.TaskStateDead || l.task.LogsDisabled() {
			return model.Errorf(model.ErrNotFound, "log entry for task %q and log type %q not found", l.task.Name(), l.kind)
		}
		if err = l.tail.wait(ctx, false, l.send); err == nil {
			numbers, sizes, err = l.numbers()
		}
	}
	if err != nil {
		return err
	}
	offset := start(numbers, sizes, from, &l.number)
	if err := l.open(l.number, offset); err != nil {
		return err
	}
	for {
		dead := l.task.State().State == model.TaskStateDead // before reading: then all is there
		got, err := l.drain(ctx)
		if err != nil {
			return err
		}
		if !l.follow || dead {
			return nil
		}
		if err := l.tail.wait(ctx, got, l.send); err != nil {
			return err
		}
	}
}

// start finds the file and the offset in it where a position is: counted over
// all files that exist.
func start(numbers []int, sizes map[int]int64, from httpapi.Position, number *int) int64 {
	offset := max(from.Offset, 0)
	if from.Origin == "end" {
		for i := len(numbers) - 1; i >= 0; i-- {
			*number = numbers[i]
			if size := sizes[numbers[i]]; size >= offset {
				return size - offset
			} else {
				offset -= size
			}
		}
		return 0
	}
	for _, k := range numbers {
		*number = k
		if size := sizes[k]; offset <= size {
			return offset
		} else {
			offset -= size
		}
	}
	return sizes[*number]
}

func (l *logReader) open(number int, offset int64) error {
	f, err := l.files.Open(l.name(number))
	if err != nil {
		return err
	}
	l.close()
	l.number = number
	l.current = &stream{file: f, name: l.name(number), offset: offset, send: l.send}
	return nil
}

// drain sends all that is there now, over file after file.
func (l *logReader) drain(ctx context.Context) (got bool, err error) {
	for {
		// If a later file exists now, this one does not grow any more.
		next, err := l.next()
		if err != nil {
			return got, err
		}
		if err := l.current.drain(ctx); err != nil {
			return got, err
		}
		got = got || l.current.got
		if next < 0 {
			return got, nil
		}
		err = l.open(next, 0)
		if errors.Is(err, model.ErrNotFound) {
			continue // removed since; the one after it is found
		}
		if err != nil {
			return got, err
		}
	}
}

// next is the number of the file after the current one, or -1.
func (l *logReader) next() (int, error) {
	// Usually it is the next number; only when old files were removed faster
	// than they were read, all have to be looked at.
	f, err := l.files.Open(l.name(l.number + 1))
	if err == nil {
		f.Close()
		return l.number + 1, nil
	}
	if !errors.Is(err, model.ErrNotFound) {
		return -1, err
	}
	if links := fileLinks(l.current.file); links > 0 {
		return -1, nil
	}
	numbers, _, err := l.numbers()
	if err != nil {
		return -1, err
	}
	for _, k := range numbers {
		if k > l.number {
			return k, nil
		}
	}
	return -1, nil
}

func fileLinks(f *os.File) uint64 {
	info, err := f.Stat()
	if err != nil {
		return 0
	}
	return links(info)
}
