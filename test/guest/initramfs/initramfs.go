// Package initramfs writes the first root file system of a Linux kernel: a cpio
// archive in the "newc" format, as the kernel's own documentation describes it
// (Documentation/driver-api/early-userspace/buffer-format.rst).
package initramfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// File types of an archive, as stat(2) has them.
const (
	typeFolder = 0o040000
	typeFile   = 0o100000
	typeLink   = 0o120000
)

// Writer writes one archive. Folders are made as files need them. The first
// error ends it: later calls do nothing, and Close returns the error.
type Writer struct {
	to      io.Writer
	written int64
	inode   int
	folders map[string]bool
	err     error
}

// NewWriter returns a Writer to w, which it does not close. Many small writes
// are made.
func NewWriter(w io.Writer) *Writer { return &Writer{to: w, folders: map[string]bool{}} }

// Folder adds a folder.
func (w *Writer) Folder(name string) {
	name = clean(name)
	if name == "" || w.folders[name] {
		return
	}
	w.Folder(path.Dir("/" + name))
	w.folders[name] = true
	w.entry(name, typeFolder|0o755, nil)
}

// File adds a file with permissions such as 0o755.
func (w *Writer) File(name string, permissions os.FileMode, content []byte) {
	w.add(name, typeFile|int(permissions.Perm()), content)
}

// Link adds a symbolic link.
func (w *Writer) Link(name, target string) { w.add(name, typeLink|0o777, []byte(target)) }

// Copy adds a file of this machine, with its permissions.
func (w *Writer) Copy(name, from string) {
	content, err := os.ReadFile(from)
	if err != nil {
		w.fail(err)
		return
	}
	info, err := os.Stat(from)
	if err != nil {
		w.fail(err)
		return
	}
	w.File(name, info.Mode(), content)
}

// Close ends the archive.
func (w *Writer) Close() error {
	w.entry("TRAILER!!!", 0, nil)
	if w.err != nil {
		return fmt.Errorf("write initramfs: %w", w.err)
	}
	return nil
}

func (w *Writer) add(name string, mode int, content []byte) {
	w.Folder(path.Dir(clean(name)))
	w.entry(clean(name), mode, content)
}

// clean is a name as archives have it: without a slash in front.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(name)), "/")
}

// entry writes a header, the name and the content, each filled up to a multiple
// of four bytes.
func (w *Writer) entry(name string, mode int, content []byte) {
	w.inode++
	if int64(len(content)) > 0xffffffff {
		w.fail(errors.New(name + " is larger than the format allows"))
	}
	links := 1
	if mode&typeFolder == typeFolder && mode&typeFile != typeFile {
		links = 2
	}
	const owner, group, time, major, minor, check = 0, 0, 0, 0, 0, 0
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		w.inode, mode, owner, group, links, time, len(content), major, minor, major, minor, len(name)+1, check)
	w.write([]byte(header + name + "\x00"))
	w.fill()
	w.write(content)
	w.fill()
}

func (w *Writer) fill() { w.write(make([]byte, (4-w.written%4)%4)) }

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.to.Write(b)
	w.written += int64(n)
	w.fail(err)
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
