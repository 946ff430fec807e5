package engine

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"unsafe"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"
)

// file is a file that the guest has opened below one of its directories. It goes by descriptor alone, never by path.
type file struct {
	experimentalsys.UnimplementedFile
	os     *os.File
	fd     int // belongs to os
	append bool
}

func (f *file) Dev() (uint64, experimentalsys.Errno) {
	st, errno := f.Stat()
	return st.Dev, errno
}

func (f *file) Ino() (sys.Inode, experimentalsys.Errno) {
	st, errno := f.Stat()
	return st.Ino, errno
}

func (f *file) IsDir() (bool, experimentalsys.Errno) { return false, 0 }

func (f *file) IsAppend() bool { return f.append }

func (f *file) SetAppend(enable bool) experimentalsys.Errno {
	flags, err := unix.FcntlInt(uintptr(f.fd), unix.F_GETFL, 0)
	if err != nil {
		return toErrno(err)
	}
	flags &^= unix.O_APPEND
	if enable {
		flags |= unix.O_APPEND
	}
	if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETFL, flags); err != nil {
		return toErrno(err)
	}
	f.append = enable
	return 0
}

func (f *file) Stat() (sys.Stat_t, experimentalsys.Errno) {
	info, err := f.os.Stat()
	if err != nil {
		return sys.Stat_t{}, toErrno(err)
	}
	return sys.NewStat_t(info), 0
}

func (f *file) Read(buf []byte) (int, experimentalsys.Errno) {
	return retry(func() (int, error) { return unix.Read(f.fd, buf) })
}

func (f *file) Pread(buf []byte, off int64) (int, experimentalsys.Errno) {
	return retry(func() (int, error) { return unix.Pread(f.fd, buf, off) })
}

func (f *file) Write(buf []byte) (int, experimentalsys.Errno) {
	return retry(func() (int, error) { return unix.Write(f.fd, buf) })
}

func (f *file) Pwrite(buf []byte, off int64) (int, experimentalsys.Errno) {
	return retry(func() (int, error) { return unix.Pwrite(f.fd, buf, off) })
}

// position is an offset into a file. The engine's interface has a Seek that is not io.Seeker's; under this name vet does
// not take it for one.
type position = int64

func (f *file) Seek(offset position, whence int) (position, experimentalsys.Errno) {
	at, err := f.os.Seek(offset, whence)
	return at, toErrno(err)
}

func (f *file) Readdir(int) ([]experimentalsys.Dirent, experimentalsys.Errno) {
	return nil, experimentalsys.ENOTDIR
}

func (f *file) Truncate(size int64) experimentalsys.Errno {
	return toErrno(unix.Ftruncate(f.fd, size))
}

func (f *file) Sync() experimentalsys.Errno { return toErrno(unix.Fsync(f.fd)) }

func (f *file) Datasync() experimentalsys.Errno { return toErrno(unix.Fdatasync(f.fd)) }

func (f *file) Utimens(atim, mtim int64) experimentalsys.Errno {
	times := [2]unix.Timespec{timespec(atim), timespec(mtim)}
	// utimensat with a null path changes the descriptor's file; the unix package has no call for it.
	_, _, number := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(f.fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	return experimentalsys.UnwrapOSError(number)
}

func (f *file) Close() experimentalsys.Errno { return toErrno(f.os.Close()) }

// directory is a directory that the guest has opened.
type directory struct {
	file
}

func (d *directory) IsDir() (bool, experimentalsys.Errno)     { return true, 0 }
func (d *directory) IsAppend() bool                           { return false }
func (d *directory) SetAppend(bool) experimentalsys.Errno     { return experimentalsys.EISDIR }
func (d *directory) Read([]byte) (int, experimentalsys.Errno) { return 0, experimentalsys.EISDIR }
func (d *directory) Pread([]byte, int64) (int, experimentalsys.Errno) {
	return 0, experimentalsys.EISDIR
}
func (d *directory) Write([]byte) (int, experimentalsys.Errno) { return 0, experimentalsys.EISDIR }
func (d *directory) Pwrite([]byte, int64) (int, experimentalsys.Errno) {
	return 0, experimentalsys.EISDIR
}
func (d *directory) Truncate(int64) experimentalsys.Errno { return experimentalsys.EISDIR }

func (d *directory) Readdir(n int) ([]experimentalsys.Dirent, experimentalsys.Errno) {
	if n <= 0 {
		n = -1
	}
	listed, err := d.os.ReadDir(n)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, toErrno(err)
	}
	entries := make([]experimentalsys.Dirent, 0, len(listed))
	for _, entry := range listed {
		var st unix.Stat_t
		if err := unix.Fstatat(d.fd, entry.Name(), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed since it was listed
			}
			return nil, toErrno(err)
		}
		entries = append(entries, experimentalsys.Dirent{Name: entry.Name(), Ino: st.Ino, Type: entry.Type()})
	}
	return entries, 0
}

// timespec translates nanoseconds, or the request to leave a time as it is.
func timespec(nanos int64) unix.Timespec {
	if nanos == experimentalsys.UTIME_OMIT {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.NsecToTimespec(nanos)
}

// retry repeats a call that a signal has interrupted.
func retry(call func() (int, error)) (int, experimentalsys.Errno) {
	for {
		n, err := call()
		if err == unix.EINTR {
			continue
		}
		return max(n, 0), toErrno(err)
	}
}
