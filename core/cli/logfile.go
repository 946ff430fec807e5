package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// logFileName is the file's name when only a folder was given.
const logFileName = "serai.log"

// logFile is a log that starts a new file when the current one is too large or
// too old. It is safe for concurrent use.
type logFile struct {
	mu       sync.Mutex
	path     string
	maxBytes int           // 0: no limit
	maxAge   time.Duration // 0: no limit
	maxFiles int           // former ones to keep; 0: all
	now      func() time.Time

	file   *os.File
	size   int
	opened time.Time
}

// openLogFile opens the log at path, a file or a folder.
func openLogFile(path string, maxBytes int, maxAge time.Duration, maxFiles int, now func() time.Time) (*logFile, error) {
	if info, err := os.Stat(path); strings.HasSuffix(path, "/") || err == nil && info.IsDir() {
		path = filepath.Join(path, logFileName)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open log_file: %w", err)
	}
	l := &logFile{path: path, maxBytes: maxBytes, maxAge: maxAge, maxFiles: maxFiles, now: now}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open log_file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open log_file: %w", err), f.Close())
	}
	l.file, l.size, l.opened = f, int(info.Size()), l.now()
	return nil
}

// Write appends whole lines.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.maxBytes > 0 && l.size > 0 && l.size+len(p) > l.maxBytes
	old := l.maxAge > 0 && l.now().Sub(l.opened) >= l.maxAge
	if full || old {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += n
	return n, err
}

// rotate puts the current file aside, under a name with the time in it, and
// removes the oldest ones beyond the limit.
func (l *logFile) rotate() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("rotate log_file: %w", err)
	}
	ext := filepath.Ext(l.path)
	stem := strings.TrimSuffix(l.path, ext)
	aside := fmt.Sprintf("%s-%d%s", stem, l.now().UnixNano(), ext)
	if err := os.Rename(l.path, aside); err != nil {
		return fmt.Errorf("rotate log_file: %w", err)
	}
	if l.maxFiles > 0 {
		former, err := filepath.Glob(stem + "-[0-9]*" + ext)
		if err != nil {
			return fmt.Errorf("rotate log_file: %w", err)
		}
		// Names differ in their time only, which may have grown a digit.
		slices.SortFunc(former, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
		for len(former) > l.maxFiles {
			if err := os.Remove(former[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("rotate log_file: %w", err)
			}
			former = former[1:]
		}
	}
	return l.open()
}

// Close ends the log.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
