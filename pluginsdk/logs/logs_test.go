package logs

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLinesOutliveReaders(t *testing.T) {
	path := fifo(t)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	fmt.Fprintln(f, "before any reader")
	next := 0
	for round := range 3 {
		r, err := os.OpenFile(path, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReaderSize(r, 16)
		if round == 0 {
			if line, err := lines.ReadString('\n'); err != nil || line != "before any reader\n" {
				t.Fatalf("line %q, %v", line, err)
			}
		}
		// Everything written is read in this round, since a reader's own buffer dies with it.
		fmt.Fprintf(f, "line %d\n", next)
		if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("line %d\n", next) {
			t.Fatalf("line %q, %v; want line %d", line, err, next)
		}
		next++
		r.Close()
		// Without a reader, a writer for writing alone would be killed here.
		fmt.Fprintf(f, "line %d\n", next)
		r, err = os.OpenFile(path, os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != fmt.Sprintf("line %d\n", next) {
			t.Fatalf("line %q, %v; want line %d", line, err, next)
		}
		next++
		r.Close()
	}
}

func TestCloseReleasesABlockedWriter(t *testing.T) {
	f, err := Open(fifo(t))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	full := make(chan struct{})
	wg.Go(func() {
		var once sync.Once
		chunk := strings.Repeat("x", 4096)
		for n := 0; ; n++ {
			if n == 16 {
				// The pipe holds 64 KiB; the next write blocks.
				once.Do(func() { close(full) })
			}
			if _, err := f.WriteString(chunk); err != nil {
				return
			}
		}
	})
	<-full
	f.Close()
	wg.Wait()
}

func TestOpenTask(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "stdout.0")
	if err := os.WriteFile(plain, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, err := OpenTask(&driverpb.TaskConfig{StdoutPath: plain})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(stdout, "new")
	fmt.Fprintln(stderr, "lost")
	stdout.Close()
	stderr.Close()
	if got, err := os.ReadFile(plain); err != nil || string(got) != "old\nnew\n" {
		t.Errorf("file holds %q, %v", got, err)
	}
	missing := filepath.Join(dir, "missing.fifo")
	if _, _, err := OpenTask(&driverpb.TaskConfig{StderrPath: missing}); err == nil {
		t.Error("a missing pipe was made into a file")
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("a missing pipe was made into a file")
	}
}
