// Package runner is the process that a wasm task runs in.
//
// The driver's binary serves as runner too: started under one of the names below it does not become a plugin but runs
// one module, or compiles one into the cache, and exits. A driver and its runners talk through a directory (see
// [Dir]): what to run lies there when the runner starts; the runner says on a pipe when the guest is about to start, or
// why it cannot; and it leaves there how the guest ended when an exit status is too narrow for that.
//
// A runner opens everything that its guest was granted while it still has the plugin's rights. Then it confines itself:
// to an empty root directory and to the task's user. Only then does the guest start.
package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/plugins/wasm/engine"
)

// Names under which the driver's binary is started as something else (argv[0]).
const (
	// RunName runs the module of the directory given as the only argument.
	RunName = "serai-wasm-task"
	// CompileName compiles the module described by a CompileRequest on standard input, and answers with a
	// CompileResult on standard output.
	CompileName = "serai-wasm-compile"
)

// TrapExitCode is the exit status of a runner whose guest has trapped: that of a process that aborts.
const TrapExitCode = 128 + 6

// Spec is everything that a runner needs to know.
type Spec struct {
	// Name is the module's name in stack traces and the guest's first argument.
	Name string `json:"name"`
	// Module is the file to run. Nobody may change it while the guest runs: it is mapped, not read.
	Module Path `json:"module"`
	// CacheDir is where the module's machine code is looked up and kept.
	CacheDir string `json:"cache_dir,omitempty"`
	// MemoryLimit is the most linear memory in bytes.
	MemoryLimit uint64 `json:"memory_limit,omitempty"`

	// Entrypoint, Args (without the name) and Env are the guest's.
	Entrypoint string   `json:"entrypoint,omitempty"`
	Args       []string `json:"args,omitempty"`
	Env        []string `json:"env,omitempty"`
	// Stdin is a file, or nil for none.
	Stdin  *Path   `json:"stdin,omitempty"`
	Mounts []Mount `json:"mounts,omitempty"`

	// Listen are the sockets to hand over, NetworkNamespace the file of the namespace they are to be opened in
	// (empty: the runner's own).
	Listen           []Port `json:"listen,omitempty"`
	NetworkNamespace string `json:"network_namespace,omitempty"`

	// Clock and Random may be fixed.
	Clock  engine.Clock  `json:"clock"`
	Random engine.Random `json:"random"`

	// User is who the guest runs as; nil changes nothing and confines nothing (the plugin is not root).
	User *User `json:"user,omitempty"`
}

// Path is a file below a directory that it must not leave, neither by ".." nor by a symbolic link.
type Path struct {
	// Base is an absolute path that the task has no influence on.
	Base string `json:"base"`
	// Rel is relative to it; "." is the directory itself.
	Rel string `json:"rel"`
}

// String is the path for messages.
func (p Path) String() string { return filepath.Join(p.Base, p.Rel) }

// Open opens the file for reading.
func (p Path) Open() (*os.File, error) {
	base, err := os.OpenRoot(p.Base)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	return base.Open(p.Rel)
}

// OpenRoot opens a directory.
func (p Path) OpenRoot() (*os.Root, error) {
	base, err := os.OpenRoot(p.Base)
	if err != nil || p.Rel == "." {
		return base, err
	}
	defer base.Close()
	return base.OpenRoot(p.Rel)
}

// Mount is a directory for the guest.
type Mount struct {
	Source   Path   `json:"source"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"read_only,omitempty"`
	// Optional passes over a directory that does not exist.
	Optional bool `json:"optional,omitempty"`
}

// Port is a socket to listen on.
type Port struct {
	Label   string `json:"label"`
	Address string `json:"address"` // host:port
}

// User is a user by numbers, without supplementary groups.
type User struct {
	UID int `json:"uid"`
	GID int `json:"gid"`
}

// Status is what a runner says before its guest starts.
type Status struct {
	// Error is empty if the guest starts now.
	Error string `json:"error,omitempty"`
	// Retryable says that the same may succeed later (a port that is still taken).
	Retryable bool `json:"retryable,omitempty"`
}

// Result is how a guest ended, beyond what an exit status tells.
type Result struct {
	// ExitCode is what the guest gave to proc_exit; an exit status has room for its lowest 8 bits only.
	ExitCode uint32 `json:"exit_code,omitempty"`
	// Trap says why and where the guest was stopped by the engine.
	Trap *engine.TrapError `json:"trap,omitempty"`
	// Error is any other reason for which the engine gave up.
	Error string `json:"error,omitempty"`
}

// Dir is the directory that a driver and one runner share. It is the driver's to create and to remove, and out of the
// guest's reach.
type Dir string

func (d Dir) file(name string) string { return filepath.Join(string(d), name) }

const (
	specFile   = "spec.json"
	statusFile = "status"
	resultFile = "result.json"
	rootDir    = "root"
)

// Create makes the directory with all that a runner expects in it. One that exists belongs to another task, and is left
// alone.
func (d Dir) Create(spec *Spec) error {
	content, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode runner's task: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(string(d)), 0o700); err != nil {
		return fmt.Errorf("create runner's directory: %w", err)
	}
	if err := os.Mkdir(string(d), 0o700); err != nil {
		return fmt.Errorf("create runner's directory: %w", err)
	}
	err = errors.Join(
		os.WriteFile(d.file(specFile), content, 0o600),
		os.WriteFile(d.file(resultFile), nil, 0o600),
		os.Mkdir(d.file(rootDir), 0o755),
	)
	if err == nil {
		err = unix.Mkfifo(d.file(statusFile), 0o600)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("create runner's directory: %w", err), d.Remove())
	}
	return nil
}

// OpenStatus opens the driver's end of the pipe on which the runner reports, before the runner is started. It never ends by
// itself: the caller has to watch the process, or set a deadline. A runner that finds it closed does not run its guest.
func (d Dir) OpenStatus() (*os.File, error) {
	return os.OpenFile(d.file(statusFile), os.O_RDWR|unix.O_NONBLOCK, 0)
}

// Result reads what the runner left. A runner that was killed leaves nothing, which is the zero Result.
func (d Dir) Result() (Result, error) {
	var result Result
	content, err := os.ReadFile(d.file(resultFile))
	if err != nil {
		return result, fmt.Errorf("read runner's result: %w", err)
	}
	if len(content) == 0 {
		return result, nil
	}
	if err := json.Unmarshal(content, &result); err != nil {
		return result, fmt.Errorf("decode runner's result: %w", err)
	}
	return result, nil
}

// Remove removes the directory.
func (d Dir) Remove() error { return os.RemoveAll(string(d)) }
