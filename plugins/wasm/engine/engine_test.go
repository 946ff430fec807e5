package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/wazerotest"
)

// exitModule calls proc_exit(5) from its start function, before its entrypoint could be called.
var exitModule = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x08\x02\x60\x01\x7f\x00\x60\x00\x00" + // types: (i32) → (), () → ()
	"\x02\x24\x01\x16wasi_snapshot_preview1\x09proc_exit\x00\x00" +
	"\x03\x02\x01\x01" + // function 1: () → ()
	"\x07\x0a\x01\x06_start\x00\x01" +
	"\x0a\x08\x01\x06\x00\x41\x05\x10\x00\x0b") // i32.const 5, call 0

// growModule returns what memory.grow(100) does from an initial page.
var growModule = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x05\x01\x60\x00\x01\x7f" + // types: () → i32
	"\x03\x02\x01\x00" +
	"\x05\x03\x01\x00\x01" + // memory of at least 1 page
	"\x07\x08\x01\x04grow\x00\x00" +
	"\x0a\x09\x01\x07\x00\x41\xe4\x00\x40\x00\x0b")

func compileModule(t *testing.T, options Options, binary []byte) Module {
	t.Helper()
	r, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	m, err := r.Compile(t.Context(), binary)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		name   string
		module []byte
		limit  uint64
		config Config
		want   uint32
	}{
		{"exit code", exitModule, 0, Config{}, 5},
		{"memory grows", growModule, 101 * PageSize, Config{Entrypoint: "grow"}, 1},
		{"memory is refused", growModule, 100*PageSize + 1, Config{Entrypoint: "grow"}, 1<<32 - 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := compileModule(t, Options{MemoryLimit: test.limit}, test.module)
			test.config.Stdout, test.config.Stderr = os.Stdout, os.Stderr
			got, err := m.Run(t.Context(), test.config)
			if err != nil || got != test.want {
				t.Errorf("got %d, %v, want %d", got, err, test.want)
			}
			if _, err := m.Run(t.Context(), test.config); err == nil {
				t.Error("a second run was accepted")
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	got := compileModule(t, Options{}, exitModule).Describe()
	want := Description{Exports: []string{"_start"}, Imports: []string{"wasi_snapshot_preview1.proc_exit"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMemoryLimitBelowPage(t *testing.T) {
	if _, err := New(t.Context(), Options{MemoryLimit: PageSize - 1}); err == nil {
		t.Error("accepted")
	}
}

// What was compiled once is shared: as a file, and in memory. A file with other bytes is left alone.
func TestCodeIsShared(t *testing.T) {
	dir := t.TempDir()
	for _, step := range []struct {
		name    string
		prepare func()
		want    bool
	}{
		{"compiled", func() {}, true},
		{"from the cache", func() {}, true},
		{"other code", func() {
			if err := os.WriteFile(filepath.Join(dir, codeFile), []byte("other code"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		step.prepare()
		m := compileModule(t, Options{CacheDir: dir}, exitModule)
		if got := m.Describe().CodeShared; got != step.want {
			t.Errorf("%s: shared %v, want %v", step.name, got, step.want)
		}
		if code, err := m.Run(t.Context(), Config{Stdout: os.Stdout, Stderr: os.Stderr}); err != nil || code != 5 {
			t.Errorf("%s: exit code %d, %v", step.name, code, err)
		}
	}
}

func TestInspectHeader(t *testing.T) {
	for _, test := range []struct{ name, content, want string }{
		{"module", "\x00asm\x01\x00\x00\x00", ""},
		{"component", "\x00asm\x0d\x00\x01\x00", "component"},
		{"later component", "\x00asm\x0e\x00\x01\x00", "component"},
		{"later module", "\x00asm\x02\x00\x00\x00", "version 2, layer 0"},
		{"empty", "", "the file is empty"},
		{"short", "\x00asm", "only 4 bytes"},
		{"text", "(module)", "text format"},
		{"binary of the host", "\x7fELF\x02\x01\x01\x00", "ELF"},
		{"compressed", "\x1f\x8b\x08\x00\x00\x00\x00\x00", "gzip"},
		{"other", "#!/bin/sh\n", `starts with "#!/b"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := inspectHeader([]byte(test.content))
			var refused *RefusedError
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!errors.As(err, &refused) || refused.Advice == "" || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestInspectSections(t *testing.T) {
	const header = "\x00asm\x01\x00\x00\x00"
	for _, test := range []struct{ name, content, want string }{
		{"none", "", ""},
		{"whole", string(exitModule[8:]), ""},
		{"too long", "\x01\x05\x00", "beyond the end at byte 8"},
		{"no size", "\x01", "beyond the end"},
		{"endless size", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "beyond the end"},
		{"too many elements", "\x01\x01\x00\x02\x05\xff\xff\xff\xff\x0f", "more elements than it can hold at byte 11"},
		{"custom section", "\x00\x05\xff\xff\xff\xff\x0f", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := inspectSections([]byte(header + test.content))
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Nothing that is given for a module may bring the process down.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{"", "\x00asm\x0d\x00\x01\x00", "(module)", string(exitModule), string(growModule)} {
		f.Add([]byte(seed))
	}
	r, err := New(f.Context(), Options{MemoryLimit: 1 << 20})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, binary []byte) {
		m, err := r.Compile(t.Context(), binary)
		if err == nil {
			m.Describe()
			err = m.Check("")
		}
		var refused *RefusedError
		if err != nil && !errors.As(err, &refused) {
			t.Errorf("error %T: %v", err, err)
		}
	})
}

func TestParseTrap(t *testing.T) {
	err := errors.New("wasm error: out of bounds memory access\nwasm stack trace:\n\t.inner(i32)\n\t\tmain.c:7:3\n\tlib.outer()")
	want := &TrapError{Cause: "out of bounds memory access", Stack: []string{"app.inner(i32)", "\tmain.c:7:3", "lib.outer()"}}
	if diff := cmp.Diff(want, parseTrap(err, "app")); diff != "" {
		t.Error(diff)
	}
	if trap := parseTrap(errors.New("no such file"), "app"); trap != nil {
		t.Errorf("taken for a trap: %v", trap)
	}
}

// A transfer over several buffers stops where one is done in part, and never forgets what was done before an error.
func TestTransferAll(t *testing.T) {
	const vector, result = 0, 64
	for _, test := range []struct {
		name  string
		steps []int // bytes transferred per call; -1: would block
		want  int   // -1: would block
	}{
		{"all", []int{4, 4, 4}, 12},
		{"part", []int{4, 2}, 6},
		{"would block", []int{-1}, -1},
		{"would block later", []int{4, -1}, 4},
		{"end", []int{0}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			memory := wazerotest.NewFixedMemory(PageSize)
			for i := range uint32(3) {
				memory.WriteUint32Le(vector+8*i, 128+4*i)
				memory.WriteUint32Le(vector+8*i+4, 4)
			}
			calls := 0
			errno := transferAll(memory, vector, 3, result, func(buf []byte) (int, experimentalsys.Errno) {
				step := test.steps[calls]
				calls++
				if step < 0 {
					return 0, experimentalsys.EAGAIN
				}
				return step, 0
			})
			total, _ := memory.ReadUint32Le(result)
			switch {
			case test.want < 0 && errno != experimentalsys.EAGAIN:
				t.Errorf("got %d, %v, want EAGAIN", total, errno)
			case test.want >= 0 && (errno != 0 || int(total) != test.want):
				t.Errorf("got %d, %v, want %d", total, errno, test.want)
			}
			if calls != len(test.steps) {
				t.Errorf("%d calls, want %d", calls, len(test.steps))
			}
		})
	}
	memory := wazerotest.NewFixedMemory(PageSize)
	memory.WriteUint32Le(0, PageSize-1)
	memory.WriteUint32Le(4, 4)
	if errno := transferAll(memory, 0, 1, 8, nil); errno != experimentalsys.EFAULT {
		t.Errorf("buffer out of bounds: %v", errno)
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	r := &rootFS{root: root, readOnly: true}
	open := func(flag experimentalsys.Oflag) experimentalsys.Errno {
		f, errno := r.OpenFile("f", flag, 0o600)
		if errno == 0 {
			defer f.Close()
		}
		return errno
	}
	for name, errno := range map[string]experimentalsys.Errno{
		"write":    open(experimentalsys.O_WRONLY),
		"update":   open(experimentalsys.O_RDWR),
		"create":   open(experimentalsys.O_CREAT),
		"truncate": open(experimentalsys.O_TRUNC),
		"append":   open(experimentalsys.O_APPEND),
		"mkdir":    r.Mkdir("d", 0o700),
		"chmod":    r.Chmod("f", 0o600),
		"rename":   r.Rename("f", "g"),
		"rmdir":    r.Rmdir("d"),
		"unlink":   r.Unlink("f"),
		"link":     r.Link("f", "g"),
		"symlink":  r.Symlink("f", "g"),
		"utimens":  r.Utimens("f", 1, 1),
	} {
		if errno != experimentalsys.EROFS {
			t.Errorf("%s: %v", name, errno)
		}
	}
	if errno := open(experimentalsys.O_RDONLY); errno != 0 {
		t.Errorf("read: %v", errno)
	}
}
