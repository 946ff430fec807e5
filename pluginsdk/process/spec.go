package process

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Spec describes a task to start. Start does not keep or change it.
type Spec struct {
	// ID names the task in process listings. It has no other meaning.
	ID string

	// StateDir is the task's own directory for its exit record. It is created
	// with mode 0700 if absent, and must be out of the task's reach. It
	// belongs to the task until Process.Destroy removes it.
	StateDir string

	// Anchor is a directory that exists as long as anybody may ask for the
	// task, its allocation directory for example. Sweep ends tasks whose
	// anchor is gone; empty means that Sweep leaves the task alone.
	Anchor string

	// Launch leaves it to another program stage to make the task's process.
	// Path, Args, Env, Dir, Credential and OOMScoreAdj are then not used, and
	// Cgroup names what that stage is going to make.
	Launch *Launch

	// Path is the file to execute: absolute, or relative to Dir. No search
	// path is consulted, see LookPath.
	Path string
	// Args is the argument vector, the command's own name included.
	Args []string
	// Env is the whole environment, as KEY=VALUE.
	Env []string
	// Dir is the working directory, absolute.
	Dir string

	// Stdin, Stdout and Stderr are paths of files or FIFOs; empty means
	// /dev/null. FIFOs are opened for reading and writing, so neither a
	// missing reader nor one that dies disturbs the task.
	Stdin, Stdout, Stderr string

	// Credential is the user to run as; nil keeps the plugin's own.
	Credential *Credential
	// OOMScoreAdj (-1000 to 1000) biases the kernel's choice of whom to kill
	// when memory runs out; nil keeps the plugin's own.
	OOMScoreAdj *int
	// NoNewPrivileges keeps set-user-id programs from gaining privileges.
	NoNewPrivileges bool

	// NetworkNamespace is the path of a network namespace to run in; empty
	// means the plugin's own.
	NetworkNamespace string

	// Cgroup is where the task runs; nil leaves it in the plugin's cgroup.
	// The supervisor is never inside.
	Cgroup *Cgroup
}

// Launch is a stage of the plugin's own binary that makes the task's process as
// its own child and then calls Supervise.
type Launch struct {
	// Name is argv[0] for the stage; the binary's main must look for it.
	Name string
	// Request is what LaunchRequest gives to the stage.
	Request []byte
}

// Credential is a user by numbers.
type Credential struct {
	UID, GID uint32
	// Groups are the supplementary group ids; none means none.
	Groups []uint32
}

func (s *Spec) validate() error {
	var errs []error
	if s.StateDir == "" || !filepath.IsAbs(s.StateDir) {
		errs = append(errs, fmt.Errorf("StateDir: %q is not an absolute path", s.StateDir))
	}
	if s.Launch == nil {
		errs = append(errs, s.validateCommand())
	}
	return errors.Join(errs...)
}

func (s *Spec) validateCommand() error {
	var errs []error
	if s.Path == "" {
		errs = append(errs, errors.New("Path: empty"))
	}
	if len(s.Args) == 0 {
		errs = append(errs, errors.New("Args: empty, needs at least the command's name"))
	}
	if !filepath.IsAbs(s.Dir) {
		errs = append(errs, fmt.Errorf("Dir: %q is not an absolute path", s.Dir))
	}
	if v := s.OOMScoreAdj; v != nil && (*v < -1000 || *v > 1000) {
		errs = append(errs, fmt.Errorf("OOMScoreAdj: %d is outside -1000..1000", *v))
	}
	return errors.Join(errs...)
}
