package node

import (
	"context"
	"errors"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocrunner"
)

var _ httpapi.NodeBackend = (*Node)(nil)

// find returns the runner of an allocation, or an error of class not found.
func (n *Node) find(id model.AllocID) (*allocrunner.Runner, error) {
	if r := n.runner(id); r != nil {
		return r, nil
	}
	return nil, errGone(id)
}

// AllocStats implements httpapi.NodeBackend.
func (n *Node) AllocStats(ctx context.Context, id model.AllocID, task string) (*model.AllocResourceUsage, error) {
	r, err := n.find(id)
	if err != nil {
		return nil, err
	}
	return r.Usage(ctx, task)
}

// RestartAlloc implements httpapi.NodeBackend.
func (n *Node) RestartAlloc(_ context.Context, id model.AllocID, task string, all bool) error {
	r, err := n.find(id)
	if err != nil {
		return err
	}
	return r.Restart(task, all)
}

// SignalAlloc implements httpapi.NodeBackend.
func (n *Node) SignalAlloc(ctx context.Context, id model.AllocID, task, signal string) error {
	r, err := n.find(id)
	if err != nil {
		return err
	}
	return r.Signal(ctx, task, signal)
}

// GCAlloc implements httpapi.NodeBackend.
func (n *Node) GCAlloc(_ context.Context, id model.AllocID) error {
	r := n.runner(id)
	if r == nil || !r.Ended() {
		return model.Errorf(model.ErrInvalid, "No such allocation on client, or allocation not eligible for GC")
	}
	return n.remove(r)
}

// GCAllocs implements httpapi.NodeBackend.
func (n *Node) GCAllocs(context.Context) error {
	var errs []error
	for _, r := range n.all() {
		if r.Ended() {
			errs = append(errs, n.remove(r))
		}
	}
	return errors.Join(errs...)
}

// Exec implements httpapi.NodeBackend.
func (n *Node) Exec(ctx context.Context, id model.AllocID, task string, cmd []string, tty bool, io httpapi.ExecStreams) (int, error) {
	if n.config.DisableRemoteExec {
		return 0, model.Errorf(model.ErrDenied, "exec is disabled on this node")
	}
	r, err := n.find(id)
	if err != nil {
		return 0, err
	}
	t := r.Task(task)
	if t == nil {
		return 0, model.Errorf(model.ErrNotFound, "task not found")
	}
	return t.Exec(ctx, cmd, tty, io)
}

// Plugins implements httpapi.NodeBackend.
func (n *Node) Plugins(context.Context) ([]*model.PluginInfo, error) { return n.plugins.Plugins(), nil }

// ReloadPlugin replaces the process of a plugin by a new one from its file.
// Tasks keep running.
func (n *Node) ReloadPlugin(name string) error { return n.plugins.Reload(name) }
