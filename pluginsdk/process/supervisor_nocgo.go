//go:build linux && !cgo

package process

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Without a C compiler this does in Go what supervisor.c does, at the price of
// a Go runtime per task.

// joinFile moves the whole process: a Go process has several threads.
const joinFile = "cgroup.procs"

func init() {
	switch os.Args[0] {
	case SupervisorName:
		runtime.GOMAXPROCS(1)
		debug.SetGCPercent(10)
		runtime.LockOSThread()
		s, err := readSpec()
		if err != nil {
			os.Exit(125)
		}
		os.Exit(s.supervise())
	case ExecName:
		runtime.LockOSThread()
		s, err := readSpec()
		if err != nil {
			os.Exit(125)
		}
		stage, err := s.becomeTask()
		tell(int(s.StatusFD), stage, err, 0)
		os.Exit(127)
	}
}

// decodedSpec is a spec as its reader sees it.
type decodedSpec struct {
	wireHeader
	groups     []int
	path, dir  string
	args, envs []string
}

func readSpec() (*decodedSpec, error) {
	f := os.NewFile(specFD, "spec")
	keep = append(keep, f) // the exec stage gets it again
	raw, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		return nil, err
	}
	s := &decodedSpec{}
	n, err := binary.Decode(raw, binary.NativeEndian, &s.wireHeader)
	if err != nil || s.Magic != specMagic || int(s.Size) != len(raw) {
		return nil, errors.New("not a task specification")
	}
	groups := make([]uint32, s.Groups)
	m, err := binary.Decode(raw[n:], binary.NativeEndian, groups)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		s.groups = append(s.groups, int(g))
	}
	rest := raw[n+m:]
	next := func() string {
		before, after, _ := bytes.Cut(rest, []byte{0})
		rest = after
		return string(before)
	}
	s.path, s.dir = next(), next()
	for range s.Args {
		s.args = append(s.args, next())
	}
	for range s.Env {
		s.envs = append(s.envs, next())
	}
	return s, nil
}

func tell(fd int, stage int32, err error, pid int) {
	status := wireStatus{Stage: stage, PID: int32(pid)}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		status.Errno = int32(errno)
	} else if err != nil {
		status.Errno = int32(syscall.EIO)
	}
	b, _ := binary.Append(nil, binary.NativeEndian, status)
	_ = unix.Send(fd, b, unix.MSG_NOSIGNAL)
}

// becomeTask turns the process into the task; it returns only on failure.
func (s *decodedSpec) becomeTask() (stage int32, err error) {
	self := []byte(strconv.Itoa(os.Getpid()))
	for i := range s.Joins {
		if _, err := unix.Write(int(s.JoinFD)+int(i), self); err != nil {
			return stageCgroup, err
		}
	}
	if s.UnifiedFD >= 0 {
		procs, err := unix.Openat(int(s.UnifiedFD), "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			_, err = unix.Write(procs, self)
		}
		if err != nil {
			return stageCgroup, err
		}
	}
	if _, err := unix.Setsid(); err != nil && err != unix.EPERM {
		return stageSession, err
	}
	if s.Flags&flagTerminal != 0 {
		if err := unix.IoctlSetInt(0, unix.TIOCSCTTY, 0); err != nil {
			return stageSession, err
		}
	}
	if s.NetnsFD >= 0 {
		if err := unix.Setns(int(s.NetnsFD), unix.CLONE_NEWNET); err != nil {
			return stageNetwork, err
		}
	}
	if s.Flags&flagOOMScore != 0 {
		if err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(int(s.OOMScoreAdj))), 0); err != nil {
			return stageOOMScore, err
		}
	}
	if s.Flags&flagCredentials != 0 {
		if err := errors.Join(syscall.Setgroups(s.groups), syscall.Setresgid(int(s.GID), int(s.GID), int(s.GID)),
			syscall.Setresuid(int(s.UID), int(s.UID), int(s.UID))); err != nil {
			return stageUser, err
		}
	}
	if err := unix.Chdir(s.dir); err != nil {
		return stageDir, err
	}
	if s.Flags&flagNoNewPrivileges != 0 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return stagePrivileges, err
		}
	}
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		for fd := 3; fd < 4096; fd++ {
			unix.CloseOnExec(fd)
		}
	}
	return stageExec, syscall.Exec(s.path, s.args, s.envs)
}

// supervise is the life of a supervisor; see supervisor.md.
func (s *decodedSpec) supervise() int {
	// Caught and dropped, not ignored: a task would inherit the latter.
	signal.Notify(make(chan os.Signal, 1))
	resetLibcSignals()
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	pid := int(s.PID)
	if s.Flags&flagAdopt == 0 {
		var stage int32
		var err error
		if pid, stage, err = s.forkTask(); err != nil {
			tell(int(s.StatusFD), stage, err, 0)
			return 1
		}
	}
	tell(int(s.StatusFD), stageStarted, nil, pid)
	ack := make([]byte, 1)
	n, _, err := unix.Recvfrom(int(s.StatusFD), ack, 0)
	for err == unix.EINTR {
		n, _, err = unix.Recvfrom(int(s.StatusFD), ack, 0)
	}
	unix.Close(int(s.StatusFD))
	if n != 1 {
		_ = unix.Kill(pid, unix.SIGKILL)
		s.killLeftovers(pid)
		reapOrphans()
		return 1
	}
	info := s.awaitTask(pid)
	s.killLeftovers(pid)
	if s.StateFD >= 0 {
		s.record(pid, info)
	}
	reapOrphans()
	return 0
}

// forkTask starts the exec stage with this process's descriptors, except for
// the status socket, and returns when it has become the task.
func (s *decodedSpec) forkTask() (pid int, stage int32, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, stageFork, err
	}
	defer unix.Close(pair[0])
	fds := []uintptr{0, 1, 2}
	last := max(s.StateFD, s.UnifiedFD, s.KillFD, s.ProcsFD, s.NetnsFD, s.JoinFD+int32(s.Joins)-1)
	for fd := int32(specFD); fd <= last; fd++ {
		if fd == s.StatusFD {
			fds = append(fds, uintptr(pair[1]))
		} else {
			fds = append(fds, uintptr(fd))
		}
	}
	pid, err = syscall.ForkExec("/proc/self/exe", []string{ExecName}, &syscall.ProcAttr{Env: []string{}, Files: fds})
	unix.Close(pair[1])
	if err != nil {
		return 0, stageFork, err
	}
	b := make([]byte, 64)
	n, _, err := unix.Recvfrom(pair[0], b, 0)
	for err == unix.EINTR {
		n, _, err = unix.Recvfrom(pair[0], b, 0)
	}
	if n == 0 {
		return pid, stageStarted, nil
	}
	status, _, err := decodeStatus(b[:n])
	if err != nil {
		return 0, stageFork, err
	}
	return 0, status.Stage, syscall.Errno(status.Errno)
}

// exitInfo is the part of siginfo_t that a child's end fills.
type exitInfo struct {
	signo, errno, code int32
	_                  int32
	pid                int32
	uid                uint32
	status             int32
	_                  [100]byte
}

// awaitTask reaps everybody but the task, which stays a zombie.
func (s *decodedSpec) awaitTask(pid int) exitInfo {
	for {
		var info exitInfo
		_, _, errno := unix.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT|unix.WALL, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			os.Exit(1)
		}
		if int(info.pid) == pid {
			return info
		}
		_, _ = unix.Wait4(int(info.pid), nil, unix.WALL, nil)
	}
}

func (s *decodedSpec) killLeftovers(pid int) {
	killed := false
	if s.KillFD >= 0 {
		_, err := unix.Write(int(s.KillFD), []byte("1"))
		killed = err == nil
	}
	if !killed && s.ProcsFD >= 0 {
		for range 100 {
			if killList(os.NewFile(uintptr(s.ProcsFD), "procs")) == 0 {
				break
			}
			time.Sleep(500 * time.Microsecond)
		}
	}
	if pid > 1 {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
}

func killList(f *os.File) int {
	keep = append(keep, f)
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	killed := 0
	for _, field := range bytes.Fields(b) {
		if pid, err := strconv.Atoi(string(field)); err == nil && pid > 1 && pid != os.Getpid() && unix.Kill(pid, unix.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

func reapOrphans() {
	for pause := 100 * time.Microsecond; pause < time.Second; pause *= 2 {
		for _, pid := range children(os.Getpid()) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
			if err == unix.ECHILD {
				return
			}
			if pid <= 0 {
				break
			}
		}
		time.Sleep(pause)
	}
}

func (s *decodedSpec) record(pid int, info exitInfo) {
	const killed, dumped = 2, 3 // CLD_KILLED, CLD_DUMPED
	r := map[string]any{"pid": pid, "exit_code": info.status, "signal": 0, "finished_at": time.Now().UnixNano()}
	if info.code == killed || info.code == dumped {
		r["exit_code"], r["signal"] = 0, info.status
	}
	b, err := json.Marshal(r)
	if err != nil {
		return
	}
	dir := fmt.Sprintf("/proc/self/fd/%d/", s.StateFD)
	f, err := os.OpenFile(dir+"exit.tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	if _, err := f.Write(b); err == nil && f.Sync() == nil && os.Rename(dir+"exit.tmp", dir+exitFile) == nil {
		_ = unix.Fsync(int(s.StateFD))
	}
}

// resetLibcSignals gives the signals that Go leaves alone, because C libraries
// keep them to themselves, their default action. A starter that ignores them
// would otherwise make the task do so too.
func resetLibcSignals() {
	var standard [4]uint64 // a kernel sigaction; all zero is the default
	for s := 32; s <= 34; s++ {
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&standard)), 0, 8, 0, 0)
	}
}
