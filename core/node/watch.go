package node

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
	"github.com/seraiproject/serai/core/node/allocrunner"
	"github.com/seraiproject/serai/core/rpc"
)

// Waits between attempts to open the stream.
const firstRewatch, longestRewatch = 100 * time.Millisecond, 5 * time.Second

// watch follows what the servers want of this node.
func (n *Node) watch(ctx context.Context) {
	wait := firstRewatch
	for ctx.Err() == nil {
		received, err := n.watchOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if received {
			wait = firstRewatch
		}
		if !errors.Is(err, io.EOF) {
			n.log.Warn("no word from the servers, asking again", "error", err, "wait", wait)
		}
		if !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, longestRewatch)
	}
}

func (n *Node) watchOnce(ctx context.Context) (received bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := rpc.NodeWatch.Call(ctx, n.caller, &rpc.NodeWatchRequest{
		QueryOptions: rpc.QueryOptions{Region: n.config.Region, AllowStale: true},
		NodeID:       n.identity.ID, SecretID: n.identity.Secret,
	})
	if err != nil {
		return false, err
	}
	for {
		u, err := stream.Recv()
		if err != nil {
			return received, err
		}
		received = true
		n.apply(u)
	}
}

type jobVersion struct {
	model.JobKey
	version uint64
}

// apply takes up what the servers want.
func (n *Node) apply(u *rpc.NodeWatchUpdate) {
	jobs := map[jobVersion]*model.Job{}
	for _, j := range u.Jobs {
		jobs[jobVersion{j.Key(), j.Version}] = j
	}
	wanted := map[model.AllocID]bool{}
	for _, a := range u.Allocs {
		wanted[a.ID] = true
		if a.Job == nil {
			withJob := *a
			withJob.Job = jobs[jobVersion{a.JobKey(), a.JobVersion}]
			a = &withJob
		}
		if err := n.place(a); err != nil {
			n.log.Error("allocation is not run", "alloc", a.ID, "job", a.JobID, "error", err)
		}
	}
	if u.Complete {
		for _, r := range n.all() {
			switch a := r.Alloc(); {
			case wanted[a.ID]:
				r.Contact()
			case a.AllocModifyIndex <= u.Index:
				n.forget(r)
			default:
				// The server is behind: it does not know the allocation yet.
				n.log.Warn("a server that lags does not know an allocation; it keeps running", "alloc", a.ID, "index", u.Index)
			}
		}
		n.removeStrays()
	}
	for _, id := range u.Removed {
		if r := n.runner(id); r != nil {
			n.forget(r)
		}
	}
}

// place runs, updates or ends one allocation.
func (n *Node) place(a *model.Allocation) error {
	r := n.runner(a.ID)
	switch {
	case r != nil:
		old := r.Alloc()
		if a.AllocModifyIndex <= old.AllocModifyIndex {
			return nil
		}
		if a.Job == nil {
			withJob := *a
			withJob.Job = old.Job
			a = &withJob
		}
		return r.Update(a)
	case a.ClientTerminal(), n.wasRemoved(a):
		return nil // it ended here before
	case a.ServerTerminal():
		// Never run here, or forgotten: the servers wait for its end.
		n.reports.final(&model.Allocation{
			ID: a.ID, Namespace: a.Namespace, NodeID: a.NodeID, JobID: a.JobID, TaskGroup: a.TaskGroup,
			ClientStatus: model.AllocClientComplete, ClientDescription: "All tasks have completed",
		})
		return nil
	case a.Job == nil:
		return errors.New("the servers sent it without its job")
	}
	err := n.start(a, nil, false)
	if err != nil {
		n.reports.final(&model.Allocation{
			ID: a.ID, Namespace: a.Namespace, NodeID: a.NodeID, JobID: a.JobID, TaskGroup: a.TaskGroup,
			ClientStatus: model.AllocClientFailed, ClientDescription: err.Error(),
		})
	}
	return err
}

// forget ends an allocation that the servers know no more, and removes it.
func (n *Node) forget(r *allocrunner.Runner) {
	r.Stop()
	n.runners.Go(func() {
		select {
		case <-r.Done():
			n.remove(r)
		case <-n.runCtx.Done():
		}
	})
}

// strayName is the name of an allocation's directory: a UUID.
var strayName = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// removeStrays removes directories of allocations that neither the servers nor
// the local state know: those of a machine that went down.
func (n *Node) removeStrays() {
	entries, err := os.ReadDir(n.config.AllocDir)
	if err != nil {
		n.log.Warn("directories of forgotten allocations are not looked for", "error", err)
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strayName.MatchString(e.Name()) || n.runner(model.AllocID(e.Name())) != nil {
			continue
		}
		n.log.Info("removing the directory of a forgotten allocation", "alloc", e.Name())
		dir := allocdir.Dir{Root: filepath.Join(n.config.AllocDir, e.Name())}
		if err := dir.Destroy(); err != nil {
			n.log.Warn("directory of a forgotten allocation is not removed", "alloc", e.Name(), "error", err)
		}
	}
}

// remove removes what is left of an allocation that ended.
func (n *Node) remove(r *allocrunner.Runner) error {
	id := r.Alloc().ID
	if err := r.Destroy(); err != nil {
		n.log.Warn("allocation is not removed", "alloc", id, "error", err)
		return err
	}
	n.mu.Lock()
	delete(n.allocs, id)
	if len(n.removed) >= maxRemoved {
		clear(n.removed)
	}
	n.removed[id] = r.Alloc().AllocModifyIndex
	n.mu.Unlock()
	return nil
}

// maxRemoved bounds how many removed allocations are remembered.
const maxRemoved = 10_000

// wasRemoved reports whether this version of an allocation ended here and was
// removed: a server that lags may not know of its end.
func (n *Node) wasRemoved(a *model.Allocation) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	index, ok := n.removed[a.ID]
	return ok && a.AllocModifyIndex <= index
}
