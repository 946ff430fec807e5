package tasklog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is what a FIFO can hold while nobody reads.
const pipeSize = 1 << 20

// Kinds of output.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Stream is one FIFO and the files that it goes to.
type Stream struct {
	AllocDir string `json:"alloc_dir"` // absolute
	Task     string `json:"task"`
	Kind     string `json:"kind"`
	MaxFiles int    `json:"max_files"`
	MaxBytes int64  `json:"max_bytes"` // of one file
}

// id tells streams apart.
func (s Stream) id() string { return s.AllocDir + "\x00" + s.Task + "\x00" + s.Kind }

const logDir = "alloc/logs/"

// FIFO is the path of the pipe below the allocation's directory.
func (s Stream) FIFO() string { return logDir + "." + s.Task + "." + s.Kind + ".fifo" }

// File is the path of log file n below the allocation's directory.
func (s Stream) File(n int) string { return logDir + s.Task + "." + s.Kind + "." + strconv.Itoa(n) }

// files lists the numbers of the files that exist, ascending.
func (s Stream) files(root *os.Root) ([]int, error) {
	dir, err := root.Open(logDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	return Numbers(names, s.Task, s.Kind), nil
}

// Numbers picks the numbers of a task's log files out of the names of a
// directory, ascending.
func Numbers(names []string, task, kind string) []int {
	prefix := task + "." + kind + "."
	var numbers []int
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(rest); err == nil && n >= 0 && strconv.Itoa(n) == rest {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// openFIFO opens the pipe for reading and writing, making it at first: so it
// can be opened at once, has a reader for whoever writes, and never ends.
func (s Stream) openFIFO(root *os.Root, create bool) (*os.File, error) {
	open := func() (*os.File, error) {
		return root.OpenFile(s.FIFO(), os.O_RDWR|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	}
	f, err := open()
	if create && errors.Is(err, fs.ErrNotExist) {
		var dir *os.File
		if dir, err = root.Open(logDir); err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(s.FIFO(), logDir)
		err = unix.Mkfifoat(int(dir.Fd()), name, 0o600)
		dir.Close()
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make log pipe: %w", err)
		}
		f, err = open()
	}
	if err != nil {
		return nil, fmt.Errorf("open log pipe: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode()&fs.ModeNamedPipe == 0 {
		err = fmt.Errorf("open log pipe %s: it is not a pipe", s.FIFO())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// holdFIFO opens the pipe, making it at first, only to keep it open.
func (s Stream) holdFIFO() (fd int, err error) {
	root, err := os.OpenRoot(s.AllocDir)
	if err != nil {
		return -1, err
	}
	defer root.Close()
	f, err := s.openFIFO(root, true)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	// A bare descriptor, for a File would wake this process with every write.
	rc, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	err = rc.Control(func(orig uintptr) { fd, dupErr = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, dupErr)
}

// A pump moves one stream into its files. Its goroutine ends with stop.
type pump struct {
	root *os.Root
	fifo *os.File
	log  func(format string, args ...any)
	done chan struct{}

	mu      sync.Mutex
	stream  Stream
	numbers []int // of the files that exist; the last is being written
	out     *os.File
	offset  int64 // in out
	copying bool  // splice does not work here: read and write
	stopped bool
}

func startPump(s Stream, log func(string, ...any)) (*pump, error) {
	root, err := os.OpenRoot(s.AllocDir)
	if err != nil {
		return nil, fmt.Errorf("collect log of %s: %w", s.Task, err)
	}
	p := &pump{root: root, stream: s, log: log, done: make(chan struct{})}
	if err := p.open(); err != nil {
		p.close()
		return nil, fmt.Errorf("collect log of %s: %w", s.Task, err)
	}
	go p.run()
	return p, nil
}

func (p *pump) open() (err error) {
	if p.fifo, err = p.stream.openFIFO(p.root, true); err != nil {
		return err
	}
	// A smaller pipe works as well.
	if rc, err := p.fifo.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
	}
	if p.numbers, err = p.stream.files(p.root); err != nil {
		return err
	}
	n := 0
	if len(p.numbers) > 0 {
		n = p.numbers[len(p.numbers)-1]
	} else {
		p.numbers = []int{0}
	}
	return p.openFile(n)
}

// openFile goes on at the end of file n.
func (p *pump) openFile(n int) error {
	f, err := p.root.OpenFile(p.stream.File(n), os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return fmt.Errorf("open log file: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open log file %s: it is not a file", p.stream.File(n))
	}
	if err != nil {
		f.Close()
		return err
	}
	p.out, p.offset = f, info.Size()
	return nil
}

// rotate begins a new file when the current one is full, and removes the
// oldest ones. The number of a file is never used again.
func (p *pump) rotate() error {
	if p.out != nil && p.offset < p.stream.MaxBytes {
		return nil
	}
	next := p.numbers[len(p.numbers)-1] + 1
	if p.out != nil {
		p.out.Close()
		p.out = nil
	} else {
		next-- // the last attempt failed
	}
	if err := p.openFile(next); err != nil {
		p.numbers = append(p.numbers, next)
		p.numbers = slices.Compact(p.numbers)
		return err
	}
	p.numbers = slices.Compact(append(p.numbers, next))
	for len(p.numbers) > max(p.stream.MaxFiles, 1) {
		if err := p.root.Remove(p.stream.File(p.numbers[0])); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old log file: %w", err)
		}
		p.numbers = p.numbers[1:]
	}
	return nil
}

// move brings what fits from the pipe into the current file. EAGAIN means that
// the pipe is empty. The lock is held.
func (p *pump) move(fifo int) error {
	if err := p.rotate(); err != nil {
		return err
	}
	room := int(min(p.stream.MaxBytes-p.offset, pipeSize))
	if p.copying {
		return p.copy(fifo, room)
	}
	off := p.offset
	n, err := unix.Splice(fifo, nil, int(p.out.Fd()), &off, room, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	if errors.Is(err, unix.EINVAL) {
		p.copying = true
		return p.copy(fifo, room)
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return unix.EAGAIN
	}
	p.offset += n
	return nil
}

// copy does the same where the file system can't splice. Being killed between
// the two calls loses what was read.
func (p *pump) copy(fifo, room int) error {
	buf := make([]byte, min(room, 64<<10))
	n, err := unix.Read(fifo, buf)
	if err != nil {
		return err
	}
	for buf = buf[:max(n, 0)]; len(buf) > 0; {
		w, err := p.out.WriteAt(buf, p.offset)
		p.offset += int64(w)
		buf = buf[w:]
		if err != nil {
			p.log("write %s: %v; waiting for room", p.out.Name(), err)
			time.Sleep(retryEvery)
		}
	}
	return nil
}

// retryEvery is the time between attempts when a file can't be written, as on
// a full disk. Meanwhile the pipe fills up and then the task waits.
const retryEvery = 500 * time.Millisecond

// run moves data until stop.
func (p *pump) run() {
	defer close(p.done)
	rc, err := p.fifo.SyscallConn()
	if err != nil {
		p.log("read %s: %v", p.stream.FIFO(), err)
		return
	}
	var lastFault string
	for {
		var moveErr error
		err := rc.Read(func(fd uintptr) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			moveErr = p.move(int(fd))
			return !errors.Is(moveErr, unix.EAGAIN)
		})
		if err != nil { // the deadline that stop sets
			return
		}
		fault := ""
		if moveErr != nil && !errors.Is(moveErr, unix.EINTR) {
			fault = moveErr.Error()
			if fault != lastFault {
				p.log("collect log of %s: %s", p.stream.Task, fault)
			}
			timer := time.NewTimer(retryEvery)
			<-timer.C
		}
		lastFault = fault
		p.mu.Lock()
		stopped := p.stopped
		p.mu.Unlock()
		if stopped {
			return
		}
	}
}

// flush moves all that is in the pipe now.
func (p *pump) flush() error {
	rc, err := p.fifo.SyscallConn()
	if err != nil {
		return err
	}
	var moveErr error
	err = rc.Control(func(fd uintptr) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for {
			moveErr = p.move(int(fd))
			if moveErr != nil && !errors.Is(moveErr, unix.EINTR) {
				return
			}
		}
	})
	if err == nil && !errors.Is(moveErr, unix.EAGAIN) {
		err = moveErr
	}
	return err
}

// setLimits changes how much is kept.
func (p *pump) setLimits(s Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stream.MaxFiles, p.stream.MaxBytes = s.MaxFiles, s.MaxBytes
}

// stop ends the pump; what the pipe still holds stays in it unless it was
// flushed before.
func (p *pump) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	_ = p.fifo.SetReadDeadline(time.Unix(1, 0))
	<-p.done
	p.close()
}

func (p *pump) close() {
	if p.fifo != nil {
		p.fifo.Close()
	}
	if p.out != nil {
		p.out.Close()
	}
	p.root.Close()
}
