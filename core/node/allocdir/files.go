package allocdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/model"
)

// ErrEscapes says that a path leads out of the allocation's directory.
var ErrEscapes = model.Errorf(model.ErrInvalid, "Path escapes the alloc directory")

// Files reads an allocation's directory for users. Close it after use.
type Files struct {
	root *os.Root
}

// Files opens the directory for reading.
func (d Dir) Files() (*Files, error) {
	root, err := os.OpenRoot(d.Root)
	if err != nil {
		return nil, fileError(err)
	}
	return &Files{root}, nil
}

// Close releases the directory.
func (f *Files) Close() error { return f.root.Close() }

// clean makes a user's path relative to the root. "/" and "" are the root.
func clean(p string) (string, error) {
	p = strings.TrimLeft(filepath.ToSlash(p), "/")
	p = path.Clean(p)
	if p == ".." || strings.HasPrefix(p, "../") {
		return "", ErrEscapes
	}
	return p, nil
}

// secret reports whether the cleaned path is inside a task's secrets or
// private directory.
func secret(p string) bool {
	parts := strings.Split(p, "/")
	return len(parts) > 2 && (parts[1] == Secrets || parts[1] == Private)
}

// fileError gives errors of the file system their class.
func fileError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return model.Errorf(model.ErrNotFound, "%w", err)
	case strings.Contains(err.Error(), "escapes from parent"):
		// os.Root has no exported error for a link that leads outside.
		return ErrEscapes
	}
	return err
}

// List lists a directory, by name.
func (f *Files) List(p string) ([]*model.AllocFileInfo, error) {
	p, err := clean(p)
	if err != nil {
		return nil, err
	}
	dir, err := f.root.Open(p)
	if err != nil {
		return nil, fileError(err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, fileError(err)
	}
	list := make([]*model.AllocFileInfo, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, fileError(err)
		}
		list = append(list, describe(info))
	}
	slices.SortFunc(list, func(a, b *model.AllocFileInfo) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Stat describes a file, with the type of its content.
func (f *Files) Stat(p string) (*model.AllocFileInfo, error) {
	p, err := clean(p)
	if err != nil {
		return nil, err
	}
	info, err := f.root.Stat(p)
	if err != nil {
		return nil, fileError(err)
	}
	d := describe(info)
	if info.Mode().IsRegular() && !secret(p) {
		d.ContentType = f.contentType(p)
	}
	return d, nil
}

func describe(info fs.FileInfo) *model.AllocFileInfo {
	return &model.AllocFileInfo{
		Name: info.Name(), IsDir: info.IsDir(), Size: info.Size(),
		FileMode: info.Mode().String(), ModTime: info.ModTime(),
	}
}

func (f *Files) contentType(p string) string {
	if t := mime.TypeByExtension(path.Ext(p)); t != "" {
		return t
	}
	r, err := f.root.Open(p)
	if err != nil {
		return ""
	}
	defer r.Close()
	var head [512]byte
	n, err := io.ReadFull(r, head[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return ""
	}
	return http.DetectContentType(head[:n])
}

// Open opens a regular file for reading. Secrets can't be read.
func (f *Files) Open(p string) (*os.File, error) {
	p, err := clean(p)
	if err != nil {
		return nil, err
	}
	if secret(p) {
		return nil, model.Errorf(model.ErrDenied, "Reading secret file prohibited: %s", p)
	}
	// A pipe must not be opened: that could wait for ever, and would steal
	// the task's output.
	info, err := f.root.Stat(p)
	if err != nil {
		return nil, fileError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, model.Errorf(model.ErrInvalid, "read %s: not a regular file", p)
	}
	file, err := f.root.OpenFile(p, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileError(err)
	}
	if err := f.checkLinkedSecret(file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// checkLinkedSecret refuses a secret file that was reached by a link.
func (f *Files) checkLinkedSecret(file *os.File) error {
	target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	root, err := filepath.EvalSymlinks(f.root.Name())
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	rel, err := filepath.Rel(root, target)
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	if secret(rel) {
		return model.Errorf(model.ErrDenied, "Reading secret file prohibited: %s", rel)
	}
	return nil
}
