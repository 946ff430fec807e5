//go:build linux && cgo

// Importing C links the constructor of supervisor.c into the binary.

package process

import "C"

// joinFile moves a single thread: enough for the supervisor's child, which has
// only one, and cheaper for the machine than moving a process.
const joinFile = "tasks"
