package footprint

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// filePages is how many KiB of files are mapped in.
func filePages(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "RssFile:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the kernel does not tell")
	return 0
}

func TestDropProgramPages(t *testing.T) {
	before := filePages(t)
	DropProgramPages()
	after := filePages(t)
	t.Logf("%d KiB, then %d KiB", before, after)
	if after >= before {
		t.Errorf("%d KiB of files before, %d KiB after", before, after)
	}
}
