package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// libcontainer installs seccomp filters with the C library libseccomp only, so
// the filter takes another way. Each init process of ours finds a socket as
// its first extra descriptor. A thread of it waits there for a compiled filter
// and installs it for all threads at once (which the kernel offers for just
// such cases); the execve that follows keeps it.

// filterFD is where an init process finds its end of the socket.
const filterFD = 3

// filterAgent is the parent's end.
type filterAgent struct{ parent, child *os.File }

func newFilterAgent() (*filterAgent, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("create socket for seccomp filter: %w", err)
	}
	return &filterAgent{os.NewFile(uintptr(fds[0]), "filter-parent"), os.NewFile(uintptr(fds[1]), "filter-child")}, nil
}

func (a *filterAgent) close() {
	a.parent.Close()
	a.child.Close()
}

// send hands the filter over without waiting for it to take effect.
func (a *filterAgent) send(filter []unix.SockFilter) error {
	b, err := binary.Append(nil, binary.NativeEndian, filter)
	if err != nil {
		return err
	}
	if _, err := a.parent.Write(b); err != nil {
		return fmt.Errorf("send seccomp filter: %w", err)
	}
	return nil
}

// install hands the filter over and returns when it is in force.
func (a *filterAgent) install(filter []unix.SockFilter) error {
	if err := a.send(filter); err != nil {
		return err
	}
	return a.confirm()
}

// confirm waits for the other side to say that the filter is in force.
func (a *filterAgent) confirm() error {
	a.child.Close() // so that the death of the other side is noticed
	b := make([]byte, 256)
	n, err := a.parent.Read(b)
	if err != nil || n == 0 {
		return errors.New("install seccomp filter: the container's init ended")
	}
	if b[0] != 0 {
		return fmt.Errorf("install seccomp filter: %s", b[1:n])
	}
	return nil
}

// awaitFilter is the init process's side. With now it waits for the filter and
// installs it before it returns; otherwise it does so in the background.
func awaitFilter(now bool) {
	unix.CloseOnExec(filterFD)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the process
		b := make([]byte, 1<<16)
		n, _, err := unix.Recvfrom(filterFD, b, 0)
		if err == nil && n == 0 {
			err = errors.New("no filter was sent")
		}
		if err == nil {
			err = installFilter(b[:n])
		}
		answer := []byte{0}
		if err != nil {
			answer = append([]byte{1}, err.Error()...)
		}
		_ = unix.Send(filterFD, answer, unix.MSG_NOSIGNAL)
		if err != nil {
			// Without its filter the task must not start.
			os.Exit(1)
		}
	}()
	if now {
		<-done
	}
}

// installFilter applies the encoded filter to all threads of the process.
func installFilter(b []byte) error {
	filter := make([]unix.SockFilter, len(b)/int(unsafe.Sizeof(unix.SockFilter{})))
	if _, err := binary.Decode(b, binary.NativeEndian, filter); err != nil {
		return err
	}
	if len(filter) == 0 {
		return errors.New("empty filter")
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	if thread != 0 {
		return fmt.Errorf("thread %d cannot take the filter", thread)
	}
	return nil
}
