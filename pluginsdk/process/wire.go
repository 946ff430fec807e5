package process

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// SupervisorName is argv[0] of a task's supervisor.
	SupervisorName = "serai-supervisor"
	// ExecName is argv[0] of a process on its way to becoming a command
	// inside a running task.
	ExecName = "serai-task-exec"
)

const specMagic = 0x53524931

const (
	flagAdopt uint32 = 1 << iota
	flagCredentials
	flagOOMScore
	flagNoNewPrivileges
	flagTerminal
)

// wireHeader begins the spec; supervisor.c has the same structure. After it
// come the group ids (uint32 each), then NUL-terminated strings: path,
// directory, arguments, environment. Integers have the machine's byte order:
// both ends are the same binary.
type wireHeader struct {
	Magic, Flags                 uint32
	PID                          int32
	UID, GID, Groups             uint32
	OOMScoreAdj                  int32
	Args, Env                    uint32
	StatusFD, StateFD, UnifiedFD int32
	KillFD, ProcsFD, JoinFD      int32
	Joins, Size                  uint32
	NetnsFD                      int32
}

// wireStatus is what the supervisor sends: a stage and, unless that is
// stageStarted, the errno that ended it. A launch stage may add a text.
type wireStatus struct {
	Stage, Errno, PID int32
}

// Stages of a start. supervisor.c counts them alike.
const (
	stageStarted int32 = iota
	stageSpec
	stageFork
	stageCgroup
	stageSession
	stageOOMScore
	stageUser
	stageDir
	stagePrivileges
	stageExec
	stageLaunch
	stageNetwork
)

// stageNames say what a supervisor was doing when it had to give up.
var stageNames = map[int32]string{
	stageSpec:       "read the task's specification",
	stageFork:       "fork",
	stageCgroup:     "join the task's cgroup",
	stageSession:    "open a session",
	stageOOMScore:   "set oom_score_adj",
	stageUser:       "change to the task's user",
	stageDir:        "enter the working directory",
	stagePrivileges: "set no_new_privs",
	stageExec:       "execute the command",
	stageNetwork:    "enter the network namespace",
}

// StartError says which step of a start failed. Path is the command or the
// directory, whichever the step was about.
type StartError struct {
	Stage string
	Path  string
	Err   error // an errno
}

func (e *StartError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s: %v", e.Stage, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Stage, e.Path, e.Err)
}

func (e *StartError) Unwrap() error { return e.Err }

func (s wireStatus) err(spec *Spec, text string) error {
	switch s.Stage {
	case stageStarted:
		return nil
	case stageLaunch:
		return errors.New(text)
	}
	e := &StartError{Stage: stageNames[s.Stage], Err: syscall.Errno(s.Errno)}
	switch s.Stage {
	case stageDir:
		e.Path = spec.Dir
	case stageExec:
		e.Path = spec.Path
	}
	return e
}

func decodeStatus(b []byte) (s wireStatus, text string, err error) {
	n, err := binary.Decode(b, binary.NativeEndian, &s)
	if err != nil {
		return s, "", fmt.Errorf("status of %d bytes: %w", len(b), err)
	}
	return s, string(b[n:]), nil
}

// encode renders the spec for the descriptors named in h.
func (s *Spec) encode(h wireHeader) ([]byte, error) {
	h.Magic = specMagic
	h.Args, h.Env = uint32(len(s.Args)), uint32(len(s.Env))
	var groups []uint32
	if c := s.Credential; c != nil {
		h.Flags |= flagCredentials
		h.UID, h.GID = c.UID, c.GID
		groups = c.Groups
	}
	h.Groups = uint32(len(groups))
	if s.OOMScoreAdj != nil {
		h.Flags |= flagOOMScore
		h.OOMScoreAdj = int32(*s.OOMScoreAdj)
	}
	if s.NoNewPrivileges {
		h.Flags |= flagNoNewPrivileges
	}
	size := binary.Size(h) + 4*len(groups)
	strs := make([]string, 0, 2+len(s.Args)+len(s.Env))
	strs = append(strs, s.Path, s.Dir)
	strs = append(strs, s.Args...)
	strs = append(strs, s.Env...)
	for _, v := range strs {
		if strings.IndexByte(v, 0) >= 0 {
			return nil, errors.New("command, directory, argument or environment contains a NUL byte")
		}
		size += len(v) + 1
	}
	h.Size = uint32(size)
	b := bytes.NewBuffer(make([]byte, 0, size))
	if err := binary.Write(b, binary.NativeEndian, h); err != nil {
		return nil, err
	}
	if err := binary.Write(b, binary.NativeEndian, groups); err != nil {
		return nil, err
	}
	for _, v := range strs {
		b.WriteString(v)
		b.WriteByte(0)
	}
	return b.Bytes(), nil
}

// specFile holds an encoded spec in memory. The caller closes it.
func specFile(b []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("serai-task-spec", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create task specification in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "task-spec")
	if _, err := f.Write(b); err != nil {
		f.Close()
		return nil, fmt.Errorf("write task specification: %w", err)
	}
	return f, nil
}
