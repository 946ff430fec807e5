package rawexec

import (
	"context"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
	"github.com/seraiproject/serai/pluginsdk/process/supervised"
)

// Handle is one live task.
type Handle struct {
	*supervised.Task
	saved saved
}

// saved is what a later process of the plugin must know besides the process.
type saved struct {
	Env              []string            `json:"env"`
	Dir              string              `json:"dir"`
	TaskDir          string              `json:"task_dir"`
	Credential       *process.Credential `json:"credential,omitempty"`
	NetworkNamespace string              `json:"network_namespace,omitempty"`
}

func newHandle(t *supervised.Task, s saved) *Handle { return &Handle{Task: t, saved: s} }

// State is what Recover needs.
func (h *Handle) State() any { return h.StateWith(h.saved) }

// Exec runs a command beside the task: same user, environment, working
// directory, network namespace and cgroup.
func (h *Handle) Exec(ctx context.Context, cmd driver.ExecCommand) (driver.ExitResult, error) {
	if !h.Process.Running() {
		return driver.ExitResult{}, supervised.ErrNotRunning
	}
	path, err := findCommand(cmd.Args[0], driver.TaskDirs{Task: h.saved.TaskDir, Local: h.saved.TaskDir + "/local"})
	if err != nil {
		return driver.ExitResult{}, err
	}
	r := h.Process.Record()
	stream, done := supervised.ExecStream(ctx, cmd)
	defer done()
	exit, err := process.Exec(ctx, process.Spec{
		ID: r.ID, Path: path, Args: cmd.Args, Env: h.saved.Env, Dir: h.saved.Dir,
		Credential: h.saved.Credential, NetworkNamespace: h.saved.NetworkNamespace, Cgroup: r.Cgroup,
	}, stream)
	return supervised.Result(exit), err
}
