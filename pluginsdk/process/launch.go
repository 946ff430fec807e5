package process

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// LaunchRequest reads the request of the launch stage that the calling process
// is, and makes it adopt orphans as a supervisor does: the task may end before
// Supervise is called. It may be called once.
func LaunchRequest() ([]byte, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("adopt orphans of the task: %w", err)
	}
	f := os.NewFile(specFD, "launch-request")
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		return nil, fmt.Errorf("read launch request: %w", err)
	}
	// Kept open: the descriptor's number is needed again by Supervise.
	keep = append(keep, f)
	return b, nil
}

// keep holds files that must not be closed by the garbage collector.
var keep []*os.File

// LaunchFailed tells the plugin why the launch stage cannot make the task, and
// exits.
func LaunchFailed(err error) {
	b, _ := binary.Append(nil, binary.NativeEndian, wireStatus{Stage: stageLaunch})
	b = append(b, err.Error()...)
	_ = unix.Send(statusFD, b[:min(len(b), 4096)], unix.MSG_NOSIGNAL)
	os.Exit(1)
}

// Supervise turns a launch stage into the supervisor of its child pid, whose
// processes are in cgroup. It returns only if that fails; the child is then
// the caller's to end.
func Supervise(id string, pid int, cgroup *Cgroup) error {
	h := wireHeader{Flags: flagAdopt, PID: int32(pid), StatusFD: statusFD, StateFD: stateFD,
		UnifiedFD: -1, KillFD: -1, ProcsFD: -1, JoinFD: -1, NetnsFD: -1}
	inherit := []int{statusFD, stateFD}
	if cgroup != nil {
		m, err := (&Cgroup{Unified: cgroup.Unified, V1: cgroup.V1}).membership()
		if err != nil {
			return err
		}
		defer m.close()
		for _, f := range []struct {
			file *os.File
			fd   *int32
		}{{m.kill, &h.KillFD}, {m.procs, &h.ProcsFD}} {
			if f.file != nil {
				*f.fd = int32(f.file.Fd())
				inherit = append(inherit, int(*f.fd))
			}
		}
	}
	b, err := (&Spec{}).encode(h)
	if err != nil {
		return err
	}
	spec, err := specFile(b)
	if err != nil {
		return err
	}
	defer spec.Close()
	if err := unix.Dup3(int(spec.Fd()), specFD, 0); err != nil {
		return fmt.Errorf("hand over to supervisor: %w", err)
	}
	for _, fd := range inherit {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("hand over to supervisor: %w", err)
		}
	}
	err = syscall.Exec("/proc/self/exe", []string{SupervisorName, id}, nil)
	return fmt.Errorf("execute supervisor: %w", err)
}
