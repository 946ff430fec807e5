// Package footprint makes a process smaller.
package footprint

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// DropProgramPages gives back the pages of the program's file that starting it
// brought in: a big program needs few of them later. What is needed again is
// mapped again, from the kernel's cache, in microseconds. It is an optimisation
// that may fail.
func DropProgramPages() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line)
		// Only what can't have been written to, or it would be lost.
		if len(f) < 6 || strings.Contains(f[1], "w") || strings.Join(f[5:], " ") != exe {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(f[0], "%x-%x", &from, &to); err != nil {
			continue
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
	}
}
