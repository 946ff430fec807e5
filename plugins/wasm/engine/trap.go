package engine

import "strings"

const (
	trapPrefix  = "wasm error: "
	panicSuffix = " (recovered by wazero)"
	stackHeader = "wasm stack trace:"
)

// parseTrap reads the engine's report of a trap, or returns nil if err is none. The report is the cause, a line that
// opens the stack, and one line per frame, innermost first. A frame is module.function; name stands in for a module that
// does not name itself.
func parseTrap(err error, name string) *TrapError {
	head, stack, found := strings.Cut(err.Error(), stackHeader)
	cause := strings.TrimSpace(head)
	if !found && !strings.HasPrefix(cause, trapPrefix) {
		return nil
	}
	trap := &TrapError{Cause: strings.TrimSuffix(strings.TrimPrefix(cause, trapPrefix), panicSuffix)}
	for line := range strings.Lines(stack) {
		if line = strings.TrimPrefix(strings.TrimRight(line, " \n"), "\t"); line != "" {
			if strings.HasPrefix(line, ".") {
				line = name + line
			}
			trap.Stack = append(trap.Stack, line)
		}
	}
	return trap
}
