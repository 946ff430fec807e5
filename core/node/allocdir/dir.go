package allocdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Names of directories.
const (
	Shared  = "alloc"
	Data    = "data"
	Logs    = "logs"
	Tmp     = "tmp"
	Local   = "local"
	Secrets = "secrets"
	Private = "private"
)

// DefaultSecretsMB is the size of a task's secrets and private directories.
const DefaultSecretsMB = 1

// nobody owns what tasks of any user may write to.
const nobody = 65534

// Dir is the directory of one allocation. It is plain data: the directory
// need not exist.
type Dir struct {
	Root string // absolute
}

// TaskDir is the part of one task.
type TaskDir struct {
	Alloc Dir
	Name  string
}

// Shared is the part that the tasks share.
func (d Dir) Shared() string { return filepath.Join(d.Root, Shared) }

// Logs is the directory of the tasks' log files and pipes.
func (d Dir) Logs() string { return filepath.Join(d.Root, Shared, Logs) }

// Task names the part of a task.
func (d Dir) Task(name string) TaskDir { return TaskDir{d, name} }

// Root is the task's own directory.
func (t TaskDir) Root() string { return filepath.Join(t.Alloc.Root, t.Name) }

// Local is for the task's files.
func (t TaskDir) Local() string { return filepath.Join(t.Root(), Local) }

// Secrets is for files that no one else may see.
func (t TaskDir) Secrets() string { return filepath.Join(t.Root(), Secrets) }

// Private is for files of the agent about the task.
func (t TaskDir) Private() string { return filepath.Join(t.Root(), Private) }

// Stdout is the log pipe that a driver writes the task's output to.
func (t TaskDir) Stdout() string {
	return filepath.Join(t.Alloc.Logs(), "."+t.Name+".stdout.fifo")
}

// Stderr is the same for errors.
func (t TaskDir) Stderr() string {
	return filepath.Join(t.Alloc.Logs(), "."+t.Name+".stderr.fifo")
}

// Create makes the allocation's shared part. What is there stays.
func (d Dir) Create() error {
	if err := os.MkdirAll(d.Root, 0o711); err != nil {
		return fmt.Errorf("create alloc directory: %w", err)
	}
	if err := os.Chmod(d.Root, 0o711); err != nil {
		return fmt.Errorf("create alloc directory: %w", err)
	}
	for _, p := range []string{"", Data, Logs, Tmp} {
		if err := create(filepath.Join(d.Shared(), p), 0o777); err != nil {
			return err
		}
	}
	return nil
}

// Create makes the task's part, with secretsMB (0: the default) of memory for
// secrets. What is there stays.
func (t TaskDir) Create(secretsMB int) error {
	if secretsMB <= 0 {
		secretsMB = DefaultSecretsMB
	}
	if err := create(t.Root(), 0o777); err != nil {
		return err
	}
	if err := create(t.Local(), 0o777); err != nil {
		return err
	}
	if err := create(filepath.Join(t.Root(), Tmp), 0o777|os.ModeSticky); err != nil {
		return err
	}
	for _, p := range []string{t.Secrets(), t.Private()} {
		if err := create(p, 0o777); err != nil {
			return err
		}
		if err := mountMemory(p, secretsMB); err != nil {
			return err
		}
	}
	return nil
}

// Forget takes away the task's secrets: the memory behind them is given back.
// Where there was none, they stay until the allocation is removed.
func (t TaskDir) Forget() error {
	for _, p := range []string{t.Secrets(), t.Private()} {
		err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		switch {
		case err == nil, errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPERM):
		default:
			return fmt.Errorf("unmount %s: %w", p, err)
		}
	}
	return nil
}

// create makes a directory of that mode, whatever the umask, owned by nobody
// where the agent may give it away.
func create(path string, mode fs.FileMode) error {
	err := os.Mkdir(path, mode.Perm())
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err == nil && os.Geteuid() == 0 {
		err = os.Lchown(path, nobody, nobody)
	}
	if err != nil {
		return fmt.Errorf("create directory %s: %w", path, err)
	}
	return nil
}

// mountMemory puts a memory file system on path unless one is there. Without
// the right to mount, path stays a plain directory.
func mountMemory(path string, sizeMB int) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err == nil && st.Type == unix.TMPFS_MAGIC {
		// The data directory itself may be a tmpfs: look if this one starts here.
		if mounted, err := mountinfo.Mounted(path); err == nil && mounted {
			return nil
		}
	}
	const flags = unix.MS_NOEXEC | unix.MS_NOSUID | unix.MS_NODEV
	opts := "mode=0777,size=" + strconv.Itoa(sizeMB) + "m"
	err := unix.Mount("tmpfs", path, "tmpfs", flags, opts+",noswap")
	if errors.Is(err, unix.EINVAL) { // kernels before 6.4 do not know noswap
		err = unix.Mount("tmpfs", path, "tmpfs", flags, opts)
	}
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	if err == nil {
		err = os.Lchown(path, nobody, nobody)
	}
	if err != nil {
		return fmt.Errorf("mount memory on %s: %w", path, err)
	}
	return nil
}

// Unmount takes away every mount inside the directory, the innermost first.
func (d Dir) Unmount() error {
	mounts, err := d.mounts()
	if err != nil {
		return err
	}
	var errs []error
	for i := len(mounts) - 1; i >= 0; i-- {
		// Lazily, for a task's leftover may still have a file open.
		err := unix.Unmount(mounts[i], unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", mounts[i], err))
		}
	}
	return errors.Join(errs...)
}

// mounts lists mount points at or below the directory, in mount order.
func (d Dir) mounts() ([]string, error) {
	root, err := filepath.EvalSymlinks(d.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	infos, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		return i.Mountpoint != root && !strings.HasPrefix(i.Mountpoint, root+"/"), false
	})
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	points := make([]string, len(infos))
	for i, info := range infos {
		points[i] = info.Mountpoint
	}
	return points, nil
}

// Destroy removes the directory with all that is in it. It refuses while
// something is mounted inside that can't be unmounted, so that no file of the
// host is ever removed through a bind mount. A directory that does not exist
// is no error.
func (d Dir) Destroy() error {
	if !filepath.IsAbs(d.Root) || filepath.Clean(d.Root) == "/" {
		return fmt.Errorf("remove alloc directory %q: not a path of an allocation", d.Root)
	}
	if err := d.Unmount(); err != nil {
		return fmt.Errorf("remove alloc directory: %w", err)
	}
	left, err := d.mounts()
	if err != nil {
		return fmt.Errorf("remove alloc directory: %w", err)
	}
	if len(left) > 0 {
		return fmt.Errorf("remove alloc directory %s: %s is still mounted", d.Root, left[0])
	}
	if err := os.RemoveAll(d.Root); err != nil {
		return fmt.Errorf("remove alloc directory: %w", err)
	}
	return nil
}

// MoveData takes over what a previous allocation on this node left: the
// shared data directory and each task's local directory. Both directories
// must be on one file system and prev must not be in use any more.
func (d Dir) MoveData(prev Dir, tasks []string) error {
	moves := [][2]string{{filepath.Join(prev.Shared(), Data), filepath.Join(d.Shared(), Data)}}
	for _, t := range tasks {
		moves = append(moves, [2]string{prev.Task(t).Local(), d.Task(t).Local()})
	}
	for _, m := range moves {
		if _, err := os.Lstat(m[0]); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(m[1]), 0o777); err != nil {
			return fmt.Errorf("take over data: %w", err)
		}
		if err := os.Remove(m[1]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("take over data: %w", err)
		}
		if err := os.Rename(m[0], m[1]); err != nil {
			return fmt.Errorf("take over data: %w", err)
		}
	}
	return nil
}
