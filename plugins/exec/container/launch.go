package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"

	_ "github.com/opencontainers/cgroups/devices" // lets libcontainer limit devices
	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // enters namespaces before Go starts
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/process"
)

// LaunchName is argv[0] of the launch stage.
const LaunchName = "serai-exec-launch"

// Request says what the launch stage is to run.
type Request struct {
	// ID is the task's, for process listings.
	ID string `json:"id"`
	// Name is the container's name: letters, digits, "-", "_", ".".
	Name string `json:"name"`
	// Root is the folder for libcontainer's own state, in the task's state
	// directory.
	Root string `json:"root"`
	// Spec is the container. Its seccomp member must be nil: Filter is used.
	Spec *specs.Spec `json:"spec"`
	// Filter is the compiled seccomp filter.
	Filter []unix.SockFilter `json:"filter"`
	// Cgroup names the directories that Spec's cgroup path leads to.
	Cgroup *process.Cgroup `json:"cgroup"`
	// NoPivotRoot changes the root with chroot, for hosts that run from an
	// initial RAM disk.
	NoPivotRoot bool `json:"no_pivot_root"`
}

func init() {
	switch {
	// First, as init inherits its argv[0] from the launch stage.
	case len(os.Args) == 2 && os.Args[1] == "init" && os.Getenv("_LIBCONTAINER_INITPIPE") != "":
		runtime.GOMAXPROCS(1)
		runtime.LockOSThread()
		awaitFilter(os.Getenv("_LIBCONTAINER_INITTYPE") == "setns")
		libcontainer.Init()
	case os.Args[0] == LaunchName:
		// The launch stage lives for milliseconds, and two threads are plenty.
		runtime.GOMAXPROCS(2)
		process.LaunchFailed(launch())
	}
}

// launch makes and starts the container. On success it does not return: the
// process has become the supervisor of the container's first process.
func launch() error {
	b, err := process.LaunchRequest()
	if err != nil {
		return err
	}
	var r Request
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("decode launch request: %w", err)
	}
	config, err := specconv.CreateLibcontainerConfig(&specconv.CreateOpts{
		CgroupName: r.Name, Spec: r.Spec, NoPivotRoot: r.NoPivotRoot,
		// The filter denies keyctl, and what is not made cannot leak.
		NoNewKeyring: true,
	})
	if err != nil {
		return fmt.Errorf("build container: %w", err)
	}
	c, err := libcontainer.Create(r.Root, r.Name, config)
	if err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	if err := start(c, &r); err != nil {
		_ = c.Signal(unix.SIGKILL)
		return errors.Join(err, c.Destroy())
	}
	return nil
}

func start(c *libcontainer.Container, r *Request) error {
	agent, err := newFilterAgent()
	if err != nil {
		return err
	}
	defer agent.close()
	p := newProcess(r.Spec.Process)
	p.Init = true
	p.Stdin, p.Stdout, p.Stderr = os.Stdin, os.Stdout, os.Stderr
	p.ExtraFiles = []*os.File{agent.child}
	if err := c.Start(p); err != nil {
		return fmt.Errorf("start container: %w", err)
	}
	// The container's init now waits to be let go. Everything that it has to
	// do itself is done, so that the filter can be as strict as for the task.
	if err := agent.install(r.Filter); err != nil {
		return err
	}
	if err := c.Exec(); err != nil {
		return fmt.Errorf("execute task in container: %w", err)
	}
	pid, err := p.Pid()
	if err != nil {
		return err
	}
	return process.Supervise(r.ID, pid, r.Cgroup)
}

func newProcess(p *specs.Process) *libcontainer.Process {
	lp := &libcontainer.Process{
		Args: p.Args, Env: p.Env, Cwd: p.Cwd,
		UID: int(p.User.UID), GID: int(p.User.GID),
	}
	for _, g := range p.User.AdditionalGids {
		lp.AdditionalGroups = append(lp.AdditionalGroups, int(g))
	}
	return lp
}
