package engine

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"
)

// rootFS is a directory that cannot be left: every path is resolved below it by os.Root, symbolic links included. (The
// engine's own directory file system follows a link wherever it points, and a guest that may write can make links.)
type rootFS struct {
	experimentalsys.UnimplementedFS
	root     *os.Root
	readOnly bool
}

func (r *rootFS) OpenFile(name string, flag experimentalsys.Oflag, perm fs.FileMode) (experimentalsys.File, experimentalsys.Errno) {
	const changes = experimentalsys.O_RDWR | experimentalsys.O_WRONLY | experimentalsys.O_CREAT | experimentalsys.O_TRUNC |
		experimentalsys.O_APPEND
	if r.readOnly && flag&changes != 0 {
		return nil, experimentalsys.EROFS
	}
	name = clean(name)
	if flag&experimentalsys.O_NOFOLLOW != 0 {
		if info, err := r.root.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, experimentalsys.ELOOP
		}
	}
	opened, err := r.root.OpenFile(name, openFlags(flag), perm.Perm())
	if err != nil {
		return nil, toErrno(err)
	}
	info, err := opened.Stat()
	if err != nil {
		_ = opened.Close()
		return nil, toErrno(err)
	}
	if info.IsDir() {
		return &directory{file: file{os: opened, fd: int(opened.Fd())}}, 0
	}
	return &file{os: opened, fd: int(opened.Fd()), append: flag&experimentalsys.O_APPEND != 0}, 0
}

func (r *rootFS) Lstat(name string) (sys.Stat_t, experimentalsys.Errno) {
	info, err := r.root.Lstat(clean(name))
	if err != nil {
		return sys.Stat_t{}, toErrno(err)
	}
	return sys.NewStat_t(info), 0
}

func (r *rootFS) Stat(name string) (sys.Stat_t, experimentalsys.Errno) {
	info, err := r.root.Stat(clean(name))
	if err != nil {
		return sys.Stat_t{}, toErrno(err)
	}
	return sys.NewStat_t(info), 0
}

// change does what changes the directory, unless it is read-only.
func (r *rootFS) change(do func() error) experimentalsys.Errno {
	if r.readOnly {
		return experimentalsys.EROFS
	}
	return toErrno(do())
}

func (r *rootFS) Mkdir(name string, perm fs.FileMode) experimentalsys.Errno {
	return r.change(func() error { return r.root.Mkdir(clean(name), perm.Perm()) })
}

func (r *rootFS) Chmod(name string, perm fs.FileMode) experimentalsys.Errno {
	return r.change(func() error { return r.root.Chmod(clean(name), perm.Perm()) })
}

func (r *rootFS) Rename(from, to string) experimentalsys.Errno {
	return r.change(func() error { return r.root.Rename(clean(from), clean(to)) })
}

func (r *rootFS) Rmdir(name string) experimentalsys.Errno {
	return r.change(func() error {
		info, err := r.root.Lstat(clean(name))
		if err == nil && !info.IsDir() {
			return syscall.ENOTDIR
		}
		return errors.Join(err, r.remove(name, err))
	})
}

func (r *rootFS) Unlink(name string) experimentalsys.Errno {
	return r.change(func() error {
		info, err := r.root.Lstat(clean(name))
		if err == nil && info.IsDir() {
			return syscall.EISDIR
		}
		return errors.Join(err, r.remove(name, err))
	})
}

// remove removes name unless an earlier step has failed.
func (r *rootFS) remove(name string, earlier error) error {
	if earlier != nil {
		return nil
	}
	return r.root.Remove(clean(name))
}

func (r *rootFS) Link(old, name string) experimentalsys.Errno {
	return r.change(func() error { return r.root.Link(clean(old), clean(name)) })
}

// Symlink refuses absolute targets, as WASI asks. A relative target that leads out of the directory can be written but
// never followed.
func (r *rootFS) Symlink(target, name string) experimentalsys.Errno {
	if path.IsAbs(target) {
		return experimentalsys.EPERM
	}
	return r.change(func() error { return r.root.Symlink(target, clean(name)) })
}

func (r *rootFS) Readlink(name string) (string, experimentalsys.Errno) {
	target, err := r.root.Readlink(clean(name))
	return target, toErrno(err)
}

func (r *rootFS) Utimens(name string, atim, mtim int64) experimentalsys.Errno {
	return r.change(func() error { return r.root.Chtimes(clean(name), fileTime(atim), fileTime(mtim)) })
}

// clean turns the engine's path into one that os.Root takes. Below an open directory the engine puts a slash in front.
func clean(name string) string {
	if name = strings.TrimLeft(name, "/"); name == "" {
		return "."
	}
	return name
}

// fileTime translates nanoseconds; the zero time leaves a file's time as it is.
func fileTime(nanos int64) time.Time {
	if nanos == experimentalsys.UTIME_OMIT {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// openFlags translates the engine's flags to the operating system's.
func openFlags(flag experimentalsys.Oflag) int {
	flags := os.O_RDONLY
	switch {
	case flag&experimentalsys.O_RDWR != 0:
		flags = os.O_RDWR
	case flag&experimentalsys.O_WRONLY != 0:
		flags = os.O_WRONLY
	}
	for _, pair := range []struct {
		from experimentalsys.Oflag
		to   int
	}{
		{experimentalsys.O_APPEND, os.O_APPEND},
		{experimentalsys.O_CREAT, os.O_CREATE},
		{experimentalsys.O_DIRECTORY, unix.O_DIRECTORY},
		{experimentalsys.O_DSYNC, unix.O_DSYNC},
		{experimentalsys.O_EXCL, os.O_EXCL},
		{experimentalsys.O_NONBLOCK, unix.O_NONBLOCK},
		{experimentalsys.O_RSYNC, unix.O_RSYNC},
		{experimentalsys.O_SYNC, os.O_SYNC},
		{experimentalsys.O_TRUNC, os.O_TRUNC},
	} {
		if flag&pair.from != 0 {
			flags |= pair.to
		}
	}
	return flags
}

// toErrno translates an error of the os package. Those that carry no number come from os.Root, which refuses a path
// that leads out of the directory.
func toErrno(err error) experimentalsys.Errno {
	var number syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &number):
		return experimentalsys.UnwrapOSError(number)
	case errors.Is(err, fs.ErrClosed):
		return experimentalsys.EBADF
	case errors.Is(err, fs.ErrNotExist):
		return experimentalsys.ENOENT
	case errors.Is(err, fs.ErrExist):
		return experimentalsys.EEXIST
	case errors.Is(err, fs.ErrInvalid):
		return experimentalsys.EINVAL
	}
	return experimentalsys.EPERM
}
