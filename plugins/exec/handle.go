package exec

import (
	"context"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/seraiproject/serai/plugins/exec/container"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process/supervised"
)

// Handle is one live task.
type Handle struct {
	*supervised.Task
	saved saved
}

// saved is what a later process of the plugin must know besides the process.
type saved struct {
	// Root and Name find libcontainer's state.
	Root string `json:"root"`
	Name string `json:"name"`
	// Process is the task's, for commands run beside it.
	Process      *specs.Process `json:"process"`
	Capabilities []string       `json:"capabilities"`
	Options      lookup         `json:"lookup"`
}

// State is what Recover needs.
func (h *Handle) State() any { return h.StateWith(h.saved) }

// Exec runs a command in the task's container, under the same user and bounds.
func (h *Handle) Exec(ctx context.Context, cmd driver.ExecCommand) (driver.ExitResult, error) {
	if !h.Process.Running() {
		return driver.ExitResult{}, supervised.ErrNotRunning
	}
	path, err := h.saved.Options.find(cmd.Args[0])
	if err != nil {
		return driver.ExitResult{}, err
	}
	filter, err := container.Filter(h.saved.Capabilities)
	if err != nil {
		return driver.ExitResult{}, err
	}
	p := *h.saved.Process
	p.Args = append([]string{path}, cmd.Args[1:]...)
	stream, done := supervised.ExecStream(ctx, cmd)
	defer done()
	exit, err := container.Exec(ctx, container.Command{Root: h.saved.Root, Name: h.saved.Name, Process: &p, Filter: filter}, stream)
	return supervised.Result(exit), err
}
