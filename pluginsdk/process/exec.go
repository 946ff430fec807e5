package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// WindowSize is the size of a terminal in characters.
type WindowSize struct{ Rows, Columns uint16 }

// Stream connects a command to its caller. Nil members are allowed.
type Stream struct {
	// TTY runs the command on a new terminal: everything it prints arrives on
	// Stdout.
	TTY bool
	// Stdin is copied to the command until it ends or fails. A Read may be
	// left pending when the command has ended; the owner of Stdin ends it.
	Stdin io.Reader
	// Stdout and Stderr receive the output. Both may be written to at once.
	Stdout, Stderr io.Writer
	// Resize delivers new sizes of the terminal; 0x0 is ignored.
	Resize <-chan WindowSize
}

// Exec runs a command to its end, in the cgroup, as the user and with the
// environment given by spec, as a child of the calling process: it serves
// "alloc exec" and scripts, and ends when its caller ends. Spec.StateDir,
// Stdin, Stdout and Stderr are not used. A command that ended badly is not an
// error; one that could not be started is. When ctx is done, the command and
// its descendants in its session are killed.
func Exec(ctx context.Context, spec Spec, s Stream) (Exit, error) {
	if err := spec.validateCommand(); err != nil {
		return Exit{}, fmt.Errorf("exec in task %s: %w", spec.ID, err)
	}
	exit, err := execute(ctx, &spec, s)
	if err != nil {
		return Exit{}, fmt.Errorf("exec in task %s: %w", spec.ID, err)
	}
	return exit, nil
}

func execute(ctx context.Context, spec *Spec, s Stream) (Exit, error) {
	ends, stdio, err := s.Open(spec.Credential)
	if err != nil {
		return Exit{}, err
	}
	defer ends.Close()
	f := &inherited{}
	defer f.close()
	for _, file := range stdio {
		f.add(file)
	}
	plugin, err := f.status()
	if err != nil {
		return Exit{}, err
	}
	defer plugin.Close()
	h := wireHeader{StateFD: -1}
	if s.TTY {
		h.Flags |= flagTerminal
	}
	if h, err = f.prepare(spec, h); err != nil {
		return Exit{}, err
	}
	if err := f.spec(spec, h); err != nil {
		return Exit{}, err
	}
	child, err := spawn(ExecName, spec.ID, f)
	if err != nil {
		return Exit{}, err
	}
	defer child.close()
	f.close()

	// The socket closes with the execution of the command, or says why not.
	b := make([]byte, 64)
	if n, err := plugin.Read(b); err == nil && n > 0 {
		_ = reap(child)
		status, text, err := decodeStatus(b[:n])
		if err != nil {
			return Exit{}, err
		}
		return Exit{}, status.err(spec, text)
	}
	stop := context.AfterFunc(ctx, func() {
		_ = syscall.Kill(-child.pid, syscall.SIGKILL)
		_ = child.signal(syscall.SIGKILL)
	})
	defer stop()
	ends.Copy(s)
	ws := reap(child)
	ends.Drain(drainPatience)
	exit := Exit{FinishedAt: time.Now()}
	if ws.Signaled() {
		exit.Signal = ws.Signal()
	} else {
		exit.Code = ws.ExitStatus()
	}
	return exit, ctx.Err()
}

// drainPatience is how long output is waited for after the command has ended:
// a background child of it may hold the pipe for ever.
const drainPatience = time.Second

func reap(child *pidfd) unix.WaitStatus {
	_ = child.wait()
	var ws unix.WaitStatus
	for {
		if _, err := unix.Wait4(child.pid, &ws, 0, nil); !errors.Is(err, unix.EINTR) {
			return ws
		}
	}
}

// Ends are the caller's ends of a command's standard streams.
type Ends struct {
	terminal              *os.File
	stdin, stdout, stderr *os.File
	outputs               sync.WaitGroup
	others                sync.WaitGroup
	stop                  chan struct{}
	once                  sync.Once
}

// Open makes the pipes or the terminal for a command. It returns the caller's
// ends and the command's stdin, stdout and stderr, each a file of its own that
// the caller closes once the command has them. The terminal is given to the
// user c.
func (s Stream) Open(c *Credential) (_ *Ends, stdio []*os.File, err error) {
	e := &Ends{stop: make(chan struct{})}
	defer func() {
		if err != nil {
			e.Close()
			for _, f := range stdio {
				f.Close()
			}
		}
	}()
	if s.TTY {
		master, slave, err := pty.Open()
		if err != nil {
			return nil, nil, fmt.Errorf("open terminal: %w", err)
		}
		stdio = append(stdio, slave)
		e.UseTerminal(master)
		if c != nil {
			if err := slave.Chown(int(c.UID), int(c.GID)); err != nil {
				return nil, stdio, fmt.Errorf("give terminal to the task's user: %w", err)
			}
		}
		for range 2 {
			fd, err := unix.FcntlInt(slave.Fd(), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				return nil, stdio, fmt.Errorf("open terminal: %w", err)
			}
			stdio = append(stdio, os.NewFile(uintptr(fd), slave.Name()))
		}
		return e, stdio, nil
	}
	in, w, err := os.Pipe()
	if err != nil {
		return nil, stdio, err
	}
	stdio, e.stdin = append(stdio, in), w
	for _, end := range []**os.File{&e.stdout, &e.stderr} {
		r, out, err := os.Pipe()
		if err != nil {
			return nil, stdio, err
		}
		stdio, *end = append(stdio, out), r
	}
	return e, stdio, nil
}

// UseTerminal makes master, the controlling side of a terminal, the caller's
// end. Ends takes it over.
func (e *Ends) UseTerminal(master *os.File) { e.terminal = master }

// NewEnds returns Ends without streams, for UseTerminal.
func NewEnds() *Ends { return &Ends{stop: make(chan struct{})} }

// Copy starts to copy between the command and s.
func (e *Ends) Copy(s Stream) {
	in, out := e.stdin, e.stdout
	if e.terminal != nil {
		in, out = e.terminal, e.terminal
	}
	for _, o := range []struct {
		from *os.File
		to   io.Writer
	}{{out, s.Stdout}, {e.stderr, s.Stderr}} {
		if o.from == nil {
			continue
		}
		if o.to == nil {
			o.to = io.Discard
		}
		e.outputs.Go(func() {
			if _, err := io.Copy(writerOnly{o.to}, o.from); err != nil {
				// Let the command run on though its output is not wanted.
				_, _ = io.Copy(io.Discard, o.from)
			}
		})
	}
	switch {
	case s.Stdin != nil:
		// Not waited for: Read is the caller's to end.
		go func() {
			_, _ = io.Copy(in, readerOnly{s.Stdin})
			if e.terminal != nil {
				_, _ = e.terminal.Write([]byte{4}) // end of input, as typed
			} else {
				in.Close()
			}
		}()
	case e.stdin != nil:
		e.stdin.Close()
	}
	if s.Resize != nil && e.terminal != nil {
		e.others.Go(func() {
			for {
				select {
				case size, ok := <-s.Resize:
					if !ok {
						return
					}
					if size.Rows > 0 && size.Columns > 0 {
						setSize(e.terminal, size)
					}
				case <-e.stop:
					return
				}
			}
		})
	}
}

// setSize tells a terminal its size. It goes through the file's own lock, for
// another goroutine may be closing the file, and its number may be given to
// another file then.
func setSize(terminal *os.File, size WindowSize) {
	conn, err := terminal.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns})
	})
}

// Drain waits for the rest of the output, up to patience, and closes the
// streams.
func (e *Ends) Drain(patience time.Duration) {
	done := make(chan struct{})
	go func() {
		e.outputs.Wait()
		close(done)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
	e.Close()
	<-done
}

// Close closes the caller's ends and waits for what Copy started.
func (e *Ends) Close() {
	e.once.Do(func() {
		close(e.stop)
		for _, f := range []*os.File{e.terminal, e.stdin, e.stdout, e.stderr} {
			if f != nil {
				f.Close()
			}
		}
	})
	e.outputs.Wait()
	e.others.Wait()
}

// writerOnly and readerOnly hide ReadFrom and WriteTo, which would bypass the
// caller's Read and Write.
type writerOnly struct{ io.Writer }
type readerOnly struct{ io.Reader }
