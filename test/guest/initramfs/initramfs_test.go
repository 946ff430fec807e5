package initramfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/test/guest/initramfs"
)

// list reads an archive as the kernel does.
func list(archive []byte) ([]string, error) {
	const header = 110
	var all []string
	for at := 0; ; {
		if len(archive) < at+header || string(archive[at:at+6]) != "070701" {
			return all, fmt.Errorf("no header at %d", at)
		}
		field := func(i int) int {
			n, _ := strconv.ParseUint(string(archive[at+6+8*i:at+14+8*i]), 16, 32)
			return int(n)
		}
		mode, size, length := field(1), field(6), field(11)
		name := string(archive[at+header : at+header+length-1])
		from := (at + header + length + 3) &^ 3
		if name == "TRAILER!!!" {
			return all, nil
		}
		all = append(all, fmt.Sprintf("%o %s %s", mode, name, archive[from:from+size]))
		at = (from + size + 3) &^ 3
	}
}

func TestWriter(t *testing.T) {
	local := filepath.Join(t.TempDir(), "local")
	if err := os.WriteFile(local, []byte("copied"), 0o640); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := initramfs.NewWriter(&b)
	w.File("/init", 0o755, []byte("#!/bin/sh\n"))
	w.Link("bin/sh", "busybox")
	w.Copy("/usr/lib/x", local)
	w.File("usr/lib/y", 0o644, nil)
	w.Folder("/proc")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := list(b.Bytes())
	want := []string{"100755 init #!/bin/sh\n", "40755 bin ", "120777 bin/sh busybox", "40755 usr ", "40755 usr/lib ",
		"100640 usr/lib/x copied", "100644 usr/lib/y ", "40755 proc "}
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v, %s", err, cmp.Diff(want, got))
	}
}

func TestMissingFile(t *testing.T) {
	w := initramfs.NewWriter(&bytes.Buffer{})
	w.Copy("x", filepath.Join(t.TempDir(), "none"))
	w.File("y", 0o644, nil)
	if err := w.Close(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
