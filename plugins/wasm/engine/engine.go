// Package engine runs WebAssembly modules for the wasm driver.
//
// A [Runtime] compiles a module once (the machine code is kept in a directory that any number of processes share) and
// a [Module] is run once, in a process of its own, with exactly what its [Config] grants: arguments, environment,
// directories, standard streams and sockets that already listen. The system interface is WASI preview 1. Everything
// else of the host stays out of reach.
//
// The package knows nothing of drivers, tasks or plugins, and no type of the engine below (wazero) shows in its
// surface, so that another engine can take its place by implementing the two interfaces.
package engine

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// PageSize is the size in bytes of a page of linear memory.
const PageSize = 64 << 10

// DefaultEntrypoint is the export that a WASI command starts with.
const DefaultEntrypoint = "_start"

// Runtime compiles modules. It is safe for use by many goroutines.
type Runtime interface {
	// Compile checks and compiles a module, or fetches its machine code from the cache directory. Errors are of type
	// *RefusedError if the module itself is the reason.
	Compile(ctx context.Context, binary []byte) (Module, error)

	// Close frees what the runtime and its modules hold.
	Close(ctx context.Context) error
}

// Module is a compiled module.
type Module interface {
	// Describe tells what the module exports and needs.
	Describe() Description

	// Check tells if the module can be run by the given entrypoint (empty: DefaultEntrypoint): the export exists and
	// has a signature that can be called, and every import can be satisfied. The error is a *RefusedError.
	Check(entrypoint string) error

	// Run instantiates the module and calls its entrypoint, once. It returns when the guest returns, exits or traps.
	// The exit code is the one given to proc_exit, or returned by an entrypoint with an i32 result, or 0. A trap is a
	// *TrapError. Run takes over the listeners and mounts of config and closes them.
	Run(ctx context.Context, config Config) (exitCode uint32, err error)
}

// Options configure a runtime.
type Options struct {
	// CacheDir is where machine code is kept, shared by any number of processes, as files and in memory. It must hold
	// that of one module only. Empty: none is kept.
	CacheDir string

	// MemoryLimit is the most linear memory, in bytes, that a module may have; it is rounded down to whole pages.
	// Zero: 4 GiB, what 32-bit addresses allow.
	MemoryLimit uint64

	// Workers is the number of goroutines that compile. Zero: one.
	Workers int
}

// Config is all that a guest gets.
type Config struct {
	// Name is the module's name in stack traces.
	Name string

	// Entrypoint is the export to call. Empty: DefaultEntrypoint. A module that exports _initialize as well gets that
	// called first, unless the entrypoint is DefaultEntrypoint.
	Entrypoint string

	// Args are the arguments; the first is the program's name.
	Args []string

	// Env is the environment, as key=value.
	Env []string

	// Stdin may be nil, which is the end of input. Stdout and Stderr must not be nil.
	Stdin, Stdout, Stderr *os.File

	// Listeners become the descriptors 3, 4, ... in this order, and directories follow.
	Listeners []*Listener

	// Mounts are the directories that the guest may use.
	Mounts []Mount

	// Clock and Random choose between the real thing and a repeatable one.
	Clock  Clock
	Random Random
}

// Mount gives the guest a directory of the host. Nothing outside of it can be reached through it, be it by "..", by
// an absolute path or by a symbolic link.
type Mount struct {
	// Root is the host's directory. Run closes it.
	Root *os.Root

	// Path is where the guest sees it, such as "/data".
	Path string

	// ReadOnly refuses every change.
	ReadOnly bool
}

// Clock is the guest's notion of time. The zero value is the real time of day.
type Clock struct {
	// Fixed starts the clock at Start and advances it by one millisecond each time it is read and by the full time
	// each time the guest sleeps, which takes no real time.
	Fixed bool

	// Start is in nanoseconds since 1970-01-01 UTC.
	Start int64
}

// Random is the guest's source of random numbers. The zero value is the operating system's.
type Random struct {
	// Fixed makes the numbers follow from Seed alone.
	Fixed bool
	Seed  uint64
}

// Description is what a module says of itself.
type Description struct {
	// Exports are the names of the exported functions, sorted.
	Exports []string

	// Imports are the functions and memories the module wants, as "module.name", sorted.
	Imports []string

	// MinMemory is the linear memory in bytes that the module starts with.
	MinMemory uint64

	// CodeShared says that the machine code is mapped from the cache directory and shared with other processes.
	CodeShared bool
}

// RefusedError says that a module cannot be run, and what to do about it.
type RefusedError struct {
	// Reason is what is wrong with it.
	Reason string

	// Advice is what to do next; it may be empty.
	Advice string
}

func (e *RefusedError) Error() string {
	if e.Advice == "" {
		return e.Reason
	}
	return e.Reason + ": " + e.Advice
}

// TrapError says that the guest did what WebAssembly forbids, and where.
type TrapError struct {
	// Cause is such as "unreachable" or "out of bounds memory access".
	Cause string

	// Stack is the guest's call stack, innermost first, as function names with their signatures and, if the module
	// carries debugging information, source positions indented by a tab.
	Stack []string
}

func (e *TrapError) Error() string {
	if len(e.Stack) == 0 {
		return "trap: " + e.Cause
	}
	return fmt.Sprintf("trap: %s\nwasm stack:\n  %s", e.Cause, strings.Join(e.Stack, "\n  "))
}
