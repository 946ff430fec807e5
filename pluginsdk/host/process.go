package host

import (
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollExit is the interval of looking after a foreign process where the kernel has no pidfd.
const pollExit = 100 * time.Millisecond

// process is a plugin's process: a child of ours, or one that an earlier host started.
type process struct {
	pid    int
	exited chan struct{}
	// reason is set before exited is closed.
	reason string

	mu sync.Mutex
	// pidfd is nil where the kernel has none, and after release.
	pidfd    *os.File
	released chan struct{}
	once     sync.Once
	watcher  sync.WaitGroup
}

// adoptChild looks after a child that was just started.
func adoptChild(cmd *exec.Cmd) *process {
	p := &process{pid: cmd.Process.Pid, exited: make(chan struct{}), released: make(chan struct{})}
	p.pidfd, _ = openPidfd(p.pid)
	// A child must be reaped, so this goroutine lives as long as the child does, even past a release.
	go func() {
		err := cmd.Wait()
		p.reason = "exit status 0"
		if err != nil {
			p.reason = err.Error()
		}
		close(p.exited)
	}()
	return p
}

// adoptForeign looks after the process of a record until release.
func adoptForeign(r Record) (*process, error) {
	p := &process{pid: r.PID, exited: make(chan struct{}), released: make(chan struct{})}
	fd, err := openPidfd(r.PID)
	if err != nil && !errors.Is(err, unix.ENOSYS) {
		return nil, ErrGone
	}
	p.pidfd = fd
	// Asked after the pidfd is open, the answer holds for the process behind it.
	if !r.alive() {
		p.release()
		return nil, ErrGone
	}
	p.watcher.Go(func() { p.watch(r) })
	return p, nil
}

// watch closes exited when the process has ended, and returns early on release.
func (p *process) watch(r Record) {
	if p.pidfd != nil && waitReadable(p.pidfd) == nil {
		p.reason = "exited"
		close(p.exited)
		return
	}
	tick := time.NewTicker(pollExit)
	defer tick.Stop()
	for {
		select {
		case <-p.released:
			return
		case <-tick.C:
		}
		if !r.alive() {
			p.reason = "exited"
			close(p.exited)
			return
		}
	}
}

// signal reaches this process only, never a later one of the same pid.
func (p *process) signal(s syscall.Signal) error {
	select {
	case <-p.exited:
		return os.ErrProcessDone
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.pidfd != nil {
		// Fd would make the file block, and the watcher with it.
		conn, cerr := p.pidfd.SyscallConn()
		if cerr != nil {
			return cerr
		}
		cerr = conn.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), s, nil, 0) })
		if cerr != nil {
			return cerr
		}
	} else {
		err = unix.Kill(p.pid, s)
	}
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// release gives up the watch over a foreign process, and waits for the watcher.
func (p *process) release() {
	p.once.Do(func() {
		close(p.released)
		p.mu.Lock()
		if p.pidfd != nil {
			p.pidfd.Close()
			p.pidfd = nil
		}
		p.mu.Unlock()
	})
	p.watcher.Wait()
}

// openPidfd opens a handle of a process as a file that the runtime can wait on.
func openPidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.EINVAL) {
		// Kernels before 5.10 know no flags.
		if fd, err = unix.PidfdOpen(pid, 0); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// waitReadable blocks until the process behind a pidfd has ended or the file is closed.
func waitReadable(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Read(func(fd uintptr) bool {
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(set, 0)
		return err == nil && n > 0
	})
}
