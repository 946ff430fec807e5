package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/model"
)

// killTries and killWait bound how long Kill waits for processes to be gone.
const (
	killTries = 200
	killWait  = 5 * time.Millisecond
)

// Kill kills whatever still runs in the cgroup of a task, and returns when it
// is gone. After the driver destroyed the task that is nothing, unless the
// driver lost sight of it: its plugin and the agent were killed while it was
// being started.
func (m *Manager) Kill(id model.AllocID, task string) (killed int, err error) {
	for _, part := range []string{m.share, m.reserve} {
		dir := m.path(part, id, task)
		for try := 0; ; try++ {
			n, err := signal(dir)
			if err != nil {
				return killed, fmt.Errorf("kill what is left in cgroup %s: %w", dir, err)
			}
			killed = max(killed, n)
			if n == 0 {
				break
			}
			if try == killTries {
				return killed, fmt.Errorf("kill what is left in cgroup %s: %d processes do not end", dir, n)
			}
			time.Sleep(killWait)
		}
	}
	return killed, nil
}

// signal sends SIGKILL to every process in and below a cgroup, and returns how
// many there were.
func signal(dir string) (int, error) {
	before, err := processes(dir)
	if err != nil || len(before) == 0 {
		return 0, err
	}
	if write(filepath.Join(dir, "cgroup.kill"), "1") == nil {
		return len(before), nil
	}
	// A number may go to another process at any time: hold on to the
	// processes first, then look if they are still in the cgroup.
	fds := map[int]int{}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for pid := range before {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			fds[pid] = fd
		}
	}
	after, err := processes(dir)
	if err != nil {
		return 0, err
	}
	for pid, fd := range fds {
		if after[pid] {
			if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return 0, err
			}
		}
	}
	return len(after), nil
}

// processes lists the processes in and below a cgroup.
func processes(dir string) (map[int]bool, error) {
	pids := map[int]bool{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || !e.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids[pid] = true
			}
		}
		return err
	})
	return pids, err
}
