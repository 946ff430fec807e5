package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startPatience bounds the wait for a supervisor to start its task; the work
// takes a few milliseconds.
const startPatience = 30 * time.Second

// Start starts a task. When it returns, the task's command is executing and
// Record leads back to it; on error nothing runs and nothing remains, neither the
// state directory nor Spec.Cgroup. A plugin that dies within Start leaves no
// task behind.
func Start(spec Spec) (*Process, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("start task %s: %w", spec.ID, err)
	}
	p, err := start(&spec)
	if err != nil {
		errs := []error{fmt.Errorf("start task %s: %w", spec.ID, err)}
		if c := spec.Cgroup; c != nil {
			errs = append(errs, c.Kill(killPatience), c.Remove())
		}
		return nil, errors.Join(append(errs, removeState(spec.StateDir))...)
	}
	return p, nil
}

func start(spec *Spec) (_ *Process, err error) {
	if _, err := os.Stat(spec.StateDir); err != nil {
		if err := Reserve(spec); err != nil {
			return nil, err
		}
	} else if err := beginning(spec).save(); err != nil {
		return nil, err
	}
	f := &inherited{}
	defer f.close()
	for _, path := range []string{spec.Stdin, spec.Stdout, spec.Stderr} {
		file, err := OpenStdio(path, spec.Credential)
		if err != nil {
			return nil, err
		}
		f.add(file)
	}
	plugin, err := f.status()
	if err != nil {
		return nil, err
	}
	defer plugin.Close()
	dir, err := os.Open(spec.StateDir)
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	f.add(dir)
	// The lock passes to the supervisor with the descriptor and shows Sweep
	// that it is still at work.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	name := SupervisorName
	if l := spec.Launch; l != nil {
		name = l.Name
		f.files[specFD], err = specFile(l.Request)
	} else {
		var h wireHeader
		if h, err = f.prepare(spec, wireHeader{StateFD: stateFD}); err == nil {
			err = f.spec(spec, h)
		}
	}
	if err != nil {
		return nil, err
	}
	child, err := spawn(name, spec.ID, f)
	if err != nil {
		return nil, fmt.Errorf("start supervisor: %w", err)
	}
	f.close() // the supervisor's end of the status socket must be its own
	p, err := handshake(plugin, spec, child.pid)
	if err != nil {
		child.close()
		_, _ = unix.Wait4(child.pid, nil, 0, nil) // it exits as plugin is closed
		return nil, err
	}
	p.supervisor = child
	go p.watch()
	return p, nil
}

// handshake hears from the supervisor, stores the record and acknowledges. On
// error it closes the socket, upon which the supervisor kills the task.
func handshake(plugin *os.File, spec *Spec, supervisor int) (_ *Process, err error) {
	var task *pidfd
	defer func() {
		if err != nil {
			plugin.Close()
			if task != nil {
				task.close()
			}
		}
	}()
	if err := plugin.SetDeadline(time.Now().Add(startPatience)); err != nil {
		return nil, err
	}
	b := make([]byte, 4096)
	n, err := plugin.Read(b)
	if err != nil || n == 0 {
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			err = errors.New("it ended before the task started")
		}
		return nil, fmt.Errorf("hear from supervisor: %w", err)
	}
	status, text, err := decodeStatus(b[:n])
	if err != nil {
		return nil, fmt.Errorf("hear from supervisor: %w", err)
	}
	if err := status.err(spec, text); err != nil {
		return nil, err
	}
	r := beginning(spec)
	r.PID, r.SupervisorPID, r.StartedAt = int(status.PID), supervisor, time.Now()
	// Until the acknowledgement the supervisor does not reap, so these
	// succeed even for a task that is through already.
	if task, err = openPidfd(r.PID, 0); err != nil {
		return nil, err
	}
	if r.StartTime, err = StartTime(r.PID); err != nil {
		return nil, err
	}
	if r.SupervisorStartTime, err = StartTime(supervisor); err != nil {
		return nil, err
	}
	if err := r.save(); err != nil {
		return nil, err
	}
	if _, err := plugin.Write([]byte{1}); err != nil {
		return nil, fmt.Errorf("acknowledge the task to its supervisor: %w", err)
	}
	return &Process{record: *r, task: task, done: make(chan struct{}), stopped: make(chan struct{})}, nil
}

// beginning is the record of a task that is being started: enough to clean up
// if nothing better replaces it.
func beginning(spec *Spec) *Record {
	return &Record{ID: spec.ID, BootID: BootID(), StateDir: spec.StateDir, Anchor: spec.Anchor, Cgroup: spec.Cgroup,
		StarterPID: os.Getpid(), StarterStartTime: ownStartTime()}
}

var ownStartTime = sync.OnceValue(func() uint64 {
	t, _ := StartTime(os.Getpid())
	return t
})

// save stores the record beside the exit record, for LoadRecord.
func (r *Record) save() error { return r.saveIn(r.StateDir) }

func (r *Record) saveIn(dir string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, recordFile)
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return fmt.Errorf("store task record: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("store task record: %w", err)
	}
	return nil
}

// LoadRecord reads the record that Start left in a state directory. It serves
// to clean up after a plugin that died before it could report its task.
func LoadRecord(stateDir string) (Record, error) {
	var r Record
	b, err := os.ReadFile(filepath.Join(stateDir, recordFile))
	if err != nil {
		return r, fmt.Errorf("load task record: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("load task record %s: %w", stateDir, err)
	}
	return r, nil
}

// OpenStdio opens one of a task's standard streams; an empty path means
// /dev/null. A FIFO is opened for reading and writing: that never blocks, and
// a write to it never fails for want of a reader. If c is not nil the FIFO is
// given to that user, so that the task can open it again as /dev/stdout.
func OpenStdio(path string, c *Credential) (*os.File, error) {
	if path == "" {
		path = os.DevNull
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open standard stream: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	// Through NewFile of a blocking descriptor: the task must not inherit
	// the non-blocking mode that os.OpenFile gives FIFOs.
	f := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	if c != nil && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
		if err := unix.Fchown(fd, int(c.UID), int(c.GID)); err != nil {
			f.Close()
			return nil, fmt.Errorf("give %s to the task's user: %w", path, err)
		}
	}
	return f, nil
}

// Descriptors that every supervisor and launch stage finds, after its standard
// streams.
const (
	specFD   = 3 // a memory file: the spec, or the request of a launch
	statusFD = 4 // the socket to the plugin
	stateFD  = 5 // the state directory; not there in Exec
)

// inherited collects the files of a process to be, in descriptor order; slot
// specFD is kept for the spec.
type inherited struct {
	files  []*os.File
	closed bool
}

// add takes over a file and returns its future descriptor; nil gives -1.
func (f *inherited) add(file *os.File) int32 {
	if file == nil {
		return -1
	}
	if len(f.files) == specFD {
		f.files = append(f.files, nil)
	}
	f.files = append(f.files, file)
	return f.last()
}

func (f *inherited) last() int32 { return int32(len(f.files) - 1) }

func (f *inherited) close() {
	if f.closed {
		return
	}
	f.closed = true
	for _, file := range f.files {
		if file != nil {
			file.Close()
		}
	}
}

// prepare adds what gets the process into its cgroup.
func (f *inherited) prepare(spec *Spec, h wireHeader) (wireHeader, error) {
	h.StatusFD = statusFD
	h.UnifiedFD, h.KillFD, h.ProcsFD, h.JoinFD, h.NetnsFD = -1, -1, -1, -1, -1
	if spec.NetworkNamespace != "" {
		ns, err := os.Open(spec.NetworkNamespace)
		if err != nil {
			return h, fmt.Errorf("open network namespace: %w", err)
		}
		h.NetnsFD = f.add(ns)
	}
	if spec.Cgroup == nil {
		return h, nil
	}
	m, err := spec.Cgroup.membership()
	if err != nil {
		return h, err
	}
	h.UnifiedFD, h.KillFD, h.ProcsFD = f.add(m.unified), f.add(m.kill), f.add(m.procs)
	for i, file := range m.join {
		fd := f.add(file)
		if i == 0 {
			h.JoinFD = fd
		}
	}
	h.Joins = uint32(len(m.join))
	return h, nil
}

// status adds one end of a socket pair and returns the other.
func (f *inherited) status() (*os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("create status socket: %w", err)
	}
	f.add(os.NewFile(uintptr(fds[1]), "supervisor"))
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		return nil, fmt.Errorf("create status socket: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "plugin"), nil
}

// spec fills the slot of the spec.
func (f *inherited) spec(spec *Spec, h wireHeader) error {
	b, err := spec.encode(h)
	if err != nil {
		return err
	}
	f.files[specFD], err = specFile(b)
	return err
}

// spawn executes the plugin's own binary under another name, in a session of
// its own.
func spawn(name, id string, f *inherited) (*pidfd, error) {
	fds := make([]uintptr, len(f.files))
	for i, file := range f.files {
		fds[i] = file.Fd()
	}
	fd := -1
	pid, err := syscall.ForkExec("/proc/self/exe", []string{name, strings.ReplaceAll(id, "\x00", "")},
		&syscall.ProcAttr{Dir: "/", Env: []string{}, Files: fds, Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &fd}})
	if err != nil {
		return nil, err
	}
	if fd < 0 {
		return openPidfd(pid, 0)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	return &pidfd{pid: pid, file: os.NewFile(uintptr(fd), "pidfd")}, nil
}
