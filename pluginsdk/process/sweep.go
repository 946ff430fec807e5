package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// StateDir is where an instance of a task keeps its state: a folder per task
// (which its allocation's directory and its name tell from all others on the
// machine), in it one per instance.
func StateDir(folder, allocDir, task, id string) string {
	hash := func(parts ...string) string {
		sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
		return hex.EncodeToString(sum[:8])
	}
	return filepath.Join(folder, hash(allocDir, task), hash(id))
}

// Sweep clears a folder of state directories, laid out by StateDir, of what
// nobody will ever ask for again: tasks whose plugin died while it started
// them, and tasks whose anchor (see Spec) is gone. Tasks of other living plugin
// processes, and those that may still be recovered, are left alone. A folder
// that does not exist is clean.
func Sweep(ctx context.Context, folder string) error {
	dirs, err := filepath.Glob(filepath.Join(folder, "*", "*"))
	if err != nil {
		return fmt.Errorf("sweep task states: %w", err)
	}
	var errs []error
	for _, dir := range dirs {
		var pid int
		var startTime uint64
		if n, _ := fmt.Sscanf(filepath.Base(dir), reserving, &pid, &startTime); n == 2 {
			if !alive(BootID(), pid, startTime) {
				errs = append(errs, removeState(dir))
			}
			continue
		}
		if r, err := LoadRecord(dir); err == nil && r.orphaned() {
			errs = append(errs, r.clear(ctx))
		}
	}
	tasks, _ := filepath.Glob(filepath.Join(folder, "*"))
	for _, dir := range tasks {
		_ = unix.Rmdir(dir) // goes only if it is empty
	}
	return errors.Join(errs...)
}

// reserving names a state directory that has no record yet, by the process
// that is making it.
const reserving = "new-%d-%d"

// Reserve makes the state directory of spec with a first record in it, so that
// Sweep knows it from the first moment on. Start does so itself; only a caller
// with files of its own to put there needs to.
func Reserve(spec *Spec) error {
	parent := filepath.Dir(spec.StateDir)
	r := beginning(spec)
	r.StateDir = filepath.Join(parent, fmt.Sprintf(reserving, r.StarterPID, r.StarterStartTime)+"-"+filepath.Base(spec.StateDir))
	mkdir := func() error { return os.MkdirAll(r.StateDir, 0o700) }
	err := mkdir()
	if errors.Is(err, os.ErrNotExist) {
		err = mkdir() // the task's folder has just gone with its last instance
	}
	if err != nil {
		return fmt.Errorf("create state directory: %w", err)
	}
	at := r.StateDir
	r.StateDir = spec.StateDir
	if err := r.saveIn(at); err != nil {
		return errors.Join(err, removeState(at))
	}
	if err := os.Rename(at, spec.StateDir); err != nil {
		return errors.Join(fmt.Errorf("create state directory: %w", err), removeState(at))
	}
	return nil
}

// Supersede clears earlier instances of the task that is about to start in
// stateDir, if the plugin process that started them is gone: their host never
// learned of them, or it would have destroyed them first.
func Supersede(ctx context.Context, stateDir string) error {
	entries, err := os.ReadDir(filepath.Dir(stateDir))
	if err != nil {
		return nil // usually there is none
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(filepath.Dir(stateDir), e.Name())
		r, err := LoadRecord(dir)
		if dir == stateDir || err != nil || alive(r.BootID, r.StarterPID, r.StarterStartTime) {
			continue
		}
		errs = append(errs, r.clear(ctx))
	}
	return errors.Join(errs...)
}

// Release undoes Reserve.
func Release(stateDir string) error { return removeState(stateDir) }

// removeState removes a state directory, and the folder of its task if that was
// the last instance.
func removeState(dir string) error {
	err := os.RemoveAll(dir)
	_ = unix.Rmdir(filepath.Dir(dir))
	return err
}

func (r *Record) orphaned() bool {
	if r.BootID != BootID() {
		// Only an exit that was recorded before the restart is of use.
		if _, err := os.Stat(filepath.Join(r.StateDir, exitFile)); err != nil {
			return true
		}
	}
	if r.PID == 0 && !alive(r.BootID, r.StarterPID, r.StarterStartTime) {
		return true
	}
	if r.Anchor == "" {
		return false
	}
	_, err := os.Stat(r.Anchor)
	return errors.Is(err, os.ErrNotExist)
}

// clear ends and removes a task known by its record only.
func (r *Record) clear(ctx context.Context) error {
	if r.PID > 1 {
		p, err := Attach(*r)
		if err == nil {
			return p.Destroy(ctx)
		}
		if !errors.Is(err, ErrGone) {
			return err
		}
	}
	var errs []error
	if err := r.awaitUnlock(ctx); err != nil {
		return err
	}
	if r.BootID == BootID() && r.Cgroup != nil {
		errs = append(errs, r.Cgroup.Kill(killPatience), r.Cgroup.Remove())
	}
	return errors.Join(append(errs, removeState(r.StateDir))...)
}

// awaitUnlock waits for a start that lost its plugin to notice that and give
// up: whatever it is still making could not be removed for good before.
func (r *Record) awaitUnlock(ctx context.Context) error {
	dir, err := os.Open(r.StateDir)
	if err != nil {
		return nil // gone meanwhile
	}
	defer dir.Close()
	for deadline := time.Now().Add(killPatience); ; {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("clear unfinished start of task %s: its supervisor does not give up: %w", r.ID, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func alive(boot string, pid int, startTime uint64) bool {
	if boot != BootID() || pid <= 1 || unix.Kill(pid, 0) == unix.ESRCH {
		return false
	}
	got, err := StartTime(pid)
	return err == nil && got == startTime
}
