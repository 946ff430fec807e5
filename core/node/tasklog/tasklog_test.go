package tasklog

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "log-collector" {
		os.Exit(CollectorMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

func allocDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, logDir), 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newCollector(t *testing.T, dir string) *Collector {
	t.Helper()
	l, err := NewCollector(Config{Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d ends", pid), func() bool {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(b), ") Z ")
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// writer opens a FIFO as a driver does: for writing only.
func writer(t *testing.T, s Stream) *os.File {
	t.Helper()
	fd, err := unix.Open(filepath.Join(s.AllocDir, s.FIFO()), unix.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "fifo")
	t.Cleanup(func() { f.Close() })
	return f
}

func content(t *testing.T, s Stream) (files []string, all []byte) {
	t.Helper()
	root, err := os.OpenRoot(s.AllocDir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	numbers, err := s.files(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		b, err := os.ReadFile(filepath.Join(s.AllocDir, s.File(n)))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fmt.Sprintf("%s:%d", filepath.Base(s.File(n)), len(b)))
		all = append(all, b...)
	}
	return files, all
}

// size is how much all files of a stream hold.
func size(t *testing.T, s Stream) (sum int64) {
	t.Helper()
	for n := 0; ; n++ {
		info, err := os.Stat(filepath.Join(s.AllocDir, s.File(n)))
		if err != nil {
			return sum
		}
		sum += info.Size()
	}
}

func TestRotation(t *testing.T) {
	l := newCollector(t, t.TempDir())
	pid := l.PID()
	s := Stream{AllocDir: allocDir(t), Task: "web", Kind: Stdout, MaxFiles: 2, MaxBytes: 1 << 20}
	if err := l.Add(s); err != nil {
		t.Fatal(err)
	}
	f := writer(t, s)
	data := bytes.Repeat([]byte("0123456789abcde\n"), 3584<<10/16)
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(s); err != nil {
		t.Fatal(err)
	}
	files, all := content(t, s)
	if got := fmt.Sprint(files); got != "[web.stdout.2:1048576 web.stdout.3:524288]" {
		t.Error(got)
	}
	if !bytes.Equal(all, data[2<<20:]) {
		t.Error("what is left is not the end of what was written")
	}
	// Smaller limits count from the next file on; numbers are not used again.
	s.MaxFiles, s.MaxBytes = 1, 1000
	if err := l.Add(s); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "tail")
	if err := l.Remove(s); err != nil {
		t.Fatal(err)
	}
	files, all = content(t, s)
	if got := fmt.Sprint(files, " ", string(all)); got != "[web.stdout.4:4] tail" {
		t.Error(got)
	}
	if _, err := os.Stat(filepath.Join(s.AllocDir, s.FIFO())); !os.IsNotExist(err) {
		t.Errorf("pipe is still there: %v", err)
	}
	l.Close()
	gone(t, pid)
}

// TestKilledWhileWriting kills the collector again and again, then the
// agent's side with it, while a task writes; every byte must arrive once.
func TestKilledWhileWriting(t *testing.T) {
	dir := t.TempDir()
	l := newCollector(t, dir)
	s := Stream{AllocDir: allocDir(t), Task: "t", Kind: Stderr, MaxFiles: 1 << 20, MaxBytes: 1_000_003}
	if err := l.Add(s); err != nil {
		t.Fatal(err)
	}
	f := writer(t, s)
	// When agent and collector are both gone, the pipe is kept by the task's
	// supervisor.
	supervisor, err := s.holdFIFO()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(supervisor)
	want := sha256.New()
	var lines int
	var task sync.WaitGroup
	stop := make(chan struct{})
	task.Go(func() {
		rng := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-stop:
				return
			default:
			}
			line := fmt.Sprintf("%d %s\n", lines, strings.Repeat("x", rng.IntN(900)))
			if _, err := io.WriteString(f, line); err != nil {
				t.Errorf("the task saw: %v", err)
				return
			}
			io.WriteString(want, line)
			lines++
		}
	})
	for i := range 12 {
		before := size(t, s)
		eventually(t, "output grows", func() bool { return size(t, s) > before+50_000 })
		pid := l.PID()
		if i%3 == 2 { // the agent goes first, so no one starts another
			l.Close()
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		gone(t, pid)
		if i%3 == 2 {
			l = newCollector(t, dir)
			if err := l.Add(s); err != nil {
				t.Fatal(err)
			}
		} else {
			eventually(t, "another collector", func() bool { p := l.PID(); return p != 0 && p != pid })
		}
	}
	close(stop)
	task.Wait()
	if err := l.Remove(s); err != nil {
		t.Fatal(err)
	}
	_, all := content(t, s)
	got := sha256.Sum256(all)
	if !bytes.Equal(got[:], want.Sum(nil)) {
		t.Errorf("%d lines written; what arrived (%d lines) differs", lines, bytes.Count(all, []byte("\n")))
	}
	t.Logf("%d lines, %d bytes", lines, len(all))
	pid := l.PID()
	l.Close()
	gone(t, pid)
}

func TestAdoptedByNextAgent(t *testing.T) {
	dir := t.TempDir()
	l := newCollector(t, dir)
	pid := l.PID()
	s := Stream{AllocDir: allocDir(t), Task: "t", Kind: Stdout, MaxFiles: 10, MaxBytes: 1 << 20}
	if err := l.Add(s); err != nil {
		t.Fatal(err)
	}
	f := writer(t, s)
	fmt.Fprint(f, "one ")
	l.Close()
	fmt.Fprint(f, "two ") // no agent is there; the collector is
	eventually(t, "output without an agent", func() bool { _, all := content(t, s); return string(all) == "one two " })

	l = newCollector(t, dir)
	if l.PID() != pid {
		t.Errorf("collector %d was not adopted; now %d", pid, l.PID())
	}
	if err := l.Add(s); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "three")
	if err := l.Flush(s); err != nil {
		t.Fatal(err)
	}
	if _, all := content(t, s); string(all) != "one two three" {
		t.Errorf("%q", all)
	}
	l.Close()

	l = newCollector(t, dir)
	if err := l.Retain(func(Stream) bool { return false }); err != nil {
		t.Fatal(err)
	}
	l.Close()
	gone(t, pid) // nothing to read, no agent
}

func TestDoesNotFollowLinks(t *testing.T) {
	l := newCollector(t, t.TempDir())
	pid := l.PID()
	defer gone(t, pid)
	defer l.Close()
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, place := range map[string]func(s Stream) error{
		"log file": func(s Stream) error { return os.Symlink(precious, filepath.Join(s.AllocDir, s.File(0))) },
		"pipe":     func(s Stream) error { return os.Symlink(precious, filepath.Join(s.AllocDir, s.FIFO())) },
		"directory": func(s Stream) error {
			logs := filepath.Join(s.AllocDir, logDir)
			if err := os.Remove(logs); err != nil {
				return err
			}
			return os.Symlink(filepath.Dir(precious), logs)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := Stream{AllocDir: allocDir(t), Task: "t", Kind: Stdout, MaxFiles: 10, MaxBytes: 1 << 20}
			if err := place(s); err != nil {
				t.Fatal(err)
			}
			if err := l.Add(s); err == nil {
				t.Error("no error")
			}
			if b, _ := os.ReadFile(precious); string(b) != "x" {
				t.Errorf("file of the host was written to: %q", b)
			}
		})
	}
}

func TestNumbers(t *testing.T) {
	names := []string{"a.stdout.10", "a.stdout.9", "a.stderr.1", "a.stdout.01", "a.stdout.x", "a.stdout.-1", ".a.stdout.fifo", "aa.stdout.1", "a.stdout.1.gz"}
	if got := fmt.Sprint(Numbers(names, "a", Stdout)); got != "[9 10]" {
		t.Error(got)
	}
}

// BenchmarkTask is the life of one task's pipes, with a line written.
func BenchmarkTask(b *testing.B) {
	l, err := NewCollector(Config{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	dir := b.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, logDir), 0o777); err != nil {
		b.Fatal(err)
	}
	ticks := func() (n int) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(l.PID()) + "/stat")
		if err != nil {
			b.Fatal(err)
		}
		fields := strings.Fields(string(stat))
		for _, f := range fields[13:15] {
			t, _ := strconv.Atoi(f)
			n += t
		}
		return n
	}
	before := ticks()
	n := 0
	for b.Loop() {
		n++
		out := Stream{AllocDir: dir, Task: strconv.Itoa(n), Kind: Stdout, MaxFiles: 10, MaxBytes: 1 << 20}
		errs := out
		errs.Kind = Stderr
		if err := l.Add(out, errs); err != nil {
			b.Fatal(err)
		}
		f, err := os.OpenFile(filepath.Join(dir, out.FIFO()), os.O_WRONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		fmt.Fprintln(f, "one line")
		f.Close()
		if err := l.Flush(out, errs); err != nil {
			b.Fatal(err)
		}
		if err := l.Remove(out, errs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(ticks()-before)*10/float64(n), "collector-ms/task")
}

func TestRemovedPipesAreLetGo(t *testing.T) {
	c := &collector{pumps: map[string]*pump{}, log: t.Logf}
	kept := Stream{AllocDir: allocDir(t), Task: "kept", Kind: Stdout, MaxFiles: 1, MaxBytes: 1 << 20}
	removed := Stream{AllocDir: allocDir(t), Task: "removed", Kind: Stdout, MaxFiles: 1, MaxBytes: 1 << 20}
	if _, err := c.do(request{Op: opAdd, Streams: []Stream{kept, removed}}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(removed.AllocDir, "alloc")); err != nil {
		t.Fatal(err)
	}
	c.dropRemoved()
	if len(c.pumps) != 1 || c.pumps[kept.id()] == nil {
		t.Errorf("%v", c.pumps)
	}
	if _, err := c.do(request{Op: opRemove, Streams: []Stream{kept}}); err != nil {
		t.Fatal(err)
	}
}
