package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errNoProcess: the process that a PID once named is gone.
var errNoProcess = errors.New("process is gone")

// pidfd is a reference to one process that can never come to mean another.
// It is waited on through Go's poller: no thread is blocked.
type pidfd struct {
	pid  int
	file *os.File
}

// openPidfd refers to pid, provided it started at startTime (in clock ticks
// since boot; 0 accepts any). It returns errNoProcess if that process is gone.
func openPidfd(pid int, startTime uint64) (*pidfd, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil, errNoProcess
		}
		return nil, fmt.Errorf("refer to process %d: %w", pid, err)
	}
	p := &pidfd{pid: pid, file: os.NewFile(uintptr(fd), "pidfd")}
	if startTime != 0 {
		// Read after opening: the number may have been re-used before, but
		// not between here and there without the times differing.
		if got, err := StartTime(pid); err != nil || got != startTime {
			p.close()
			return nil, errNoProcess
		}
	}
	return p, nil
}

// wait blocks until the process has ended (it may still be a zombie) or close
// is called, which gives os.ErrClosed.
func (p *pidfd) wait() error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	err = conn.Read(func(fd uintptr) bool { return readable(int(fd)) })
	if errors.Is(err, os.ErrClosed) {
		return os.ErrClosed
	}
	return err
}

func readable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err == unix.EINTR {
			continue
		}
		return n > 0 || err != nil
	}
}

func (p *pidfd) control(f func(fd int) error) error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func (p *pidfd) signal(sig syscall.Signal) error {
	err := p.control(func(fd int) error { return unix.PidfdSendSignal(fd, sig, nil, 0) })
	if errors.Is(err, unix.ESRCH) || errors.Is(err, os.ErrClosed) {
		return errNoProcess
	}
	return err
}

// exitStatus asks the kernel how a process ended that somebody else has
// already reaped. Kernels before 6.15 do not keep it.
func (p *pidfd) exitStatus() (unix.WaitStatus, bool) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	err := p.control(func(fd int) error { return unix.IoctlPidfdInfo(fd, &info) })
	if err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
		return 0, false
	}
	return unix.WaitStatus(info.Exit_code), true
}

// awaitExitStatus is exitStatus with some patience for init to reap.
func (p *pidfd) awaitExitStatus(patience time.Duration) (unix.WaitStatus, bool) {
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		var ws unix.WaitStatus
		if pid, err := unix.Wait4(p.pid, &ws, unix.WNOHANG, nil); err == nil && pid == p.pid {
			return ws, true
		}
		if ws, ok := p.exitStatus(); ok {
			return ws, true
		}
		if time.Now().After(deadline) {
			return 0, false
		}
	}
}

func (p *pidfd) close() { p.file.Close() }

// StartTime returns when a process started, in clock ticks since boot.
// Together with BootID it tells a process from a later one of the same number.
func StartTime(pid int) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			return 0, errNoProcess
		}
		return 0, err
	}
	// The command's name is in brackets and may contain anything.
	i := bytes.LastIndexByte(b, ')')
	fields := bytes.Fields(b[i+1:])
	if i < 0 || len(fields) < 20 {
		return 0, fmt.Errorf("read start time of process %d: unexpected content of /proc/%d/stat", pid, pid)
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// BootID identifies the machine's current boot.
var BootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})
