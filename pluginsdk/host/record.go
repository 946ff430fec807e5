package host

import (
	"fmt"
	"os"
	"strings"
)

// Record is what a host keeps of a plugin process to find it again. It can be stored as JSON.
type Record struct {
	// PID, StartTime and BootID together name one process for all time. StartTime is in the kernel's clock
	// ticks since boot.
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"`
	BootID    string `json:"boot_id"`
	// Network and Address are where the plugin listens.
	Network string `json:"network"`
	Address string `json:"address"`
	// ProtocolVersion is that of the handshake.
	ProtocolVersion int `json:"protocol_version"`
	// Path is the binary that was started.
	Path string `json:"path"`
}

// removeSocket clears away what a killed plugin leaves behind.
func (r Record) removeSocket() {
	if r.Network == "unix" {
		_ = os.Remove(r.Address)
	}
}

// alive says whether the recorded process, and not a later one of the same pid, still runs.
func (r Record) alive() bool {
	boot, err := bootID()
	if err != nil || boot != r.BootID {
		return false
	}
	start, err := startTime(r.PID)
	return err == nil && start == r.StartTime
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// startTime reads when a process was started. A zombie has ended.
func startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read start time of pid %d: %w", pid, err)
	}
	// The second field is the command in brackets, which may itself hold spaces and brackets.
	text := string(b)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("read start time of pid %d: stat has %d fields", pid, len(fields))
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return 0, fmt.Errorf("read start time of pid %d: %w", pid, os.ErrProcessDone)
	}
	var start uint64
	if _, err := fmt.Sscan(fields[19], &start); err != nil {
		return 0, fmt.Errorf("read start time of pid %d: %w", pid, err)
	}
	return start, nil
}
