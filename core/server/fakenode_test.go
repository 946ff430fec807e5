package server

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// fakeNode is a node as servers see it: it registers, beats, is streamed what
// to run and reports what tests want it to have observed.
type fakeNode struct {
	t      testing.TB
	caller rpc.Caller
	node   *model.Node
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	change *sync.Cond
	allocs map[model.AllocID]*model.Allocation
	jobs   map[model.JobID]*model.Job
	broken error
}

func newFakeNode(t testing.TB, c rpc.Caller, name string) *fakeNode {
	n := &fakeNode{
		t: t, caller: c, allocs: map[model.AllocID]*model.Allocation{}, jobs: map[model.JobID]*model.Job{},
		node: &model.Node{
			ID: model.NodeID(model.NewUUID()), SecretID: model.NewUUID(), Name: name, Datacenter: "dc1",
			Attributes: map[string]string{"kernel.name": "linux", "driver.mock": "1", "unique.network.ip-address": "127.0.0.1"},
			Drivers:    map[string]*model.DriverInfo{"mock": {Detected: true, Healthy: true}},
			NodeResources: &model.NodeResources{
				Cpu: model.NodeCPU{CpuShares: 1_000_000, TotalCpuCores: 8}, Memory: model.NodeMemory{MemoryMB: 1_000_000},
				Disk: model.NodeDisk{DiskMB: 10_000_000}, MinDynamicPort: 20000, MaxDynamicPort: 32000,
			},
			ReservedResources: &model.NodeReservedResources{},
		},
	}
	n.change = sync.NewCond(&n.mu)
	return n
}

// start registers the node, has it ready and follows its stream until the test
// ends.
func (n *fakeNode) start() {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.done = cancel, make(chan struct{})
	if _, err := rpc.NodeRegister.Call(ctx, n.caller, &rpc.NodeRegisterRequest{Node: n.node}); err != nil {
		n.t.Fatal(err)
	}
	n.beat(model.NodeStatusReady)
	go n.follow(ctx)
	n.t.Cleanup(n.stop)
}

func (n *fakeNode) stop() {
	n.cancel()
	<-n.done
}

func (n *fakeNode) beat(status string) *rpc.NodeUpdateResponse {
	n.t.Helper()
	resp, err := rpc.NodeHeartbeat.Call(context.Background(), n.caller,
		&rpc.NodeHeartbeatRequest{NodeID: n.node.ID, SecretID: n.node.SecretID, Status: status})
	if err != nil {
		n.t.Fatal(err)
	}
	return resp
}

// follow keeps a stream open; a server that goes away is replaced by another.
func (n *fakeNode) follow(ctx context.Context) {
	defer close(n.done)
	for ctx.Err() == nil {
		err := n.stream(ctx)
		if ctx.Err() == nil && err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, model.ErrUnavailable) && !errors.Is(err, model.ErrNoLeader) {
			n.mu.Lock()
			n.broken = err
			n.change.Broadcast()
			n.mu.Unlock()
			return
		}
	}
}

func (n *fakeNode) stream(ctx context.Context) error {
	req := &rpc.NodeWatchRequest{NodeID: n.node.ID, SecretID: n.node.SecretID}
	req.AllowStale = true
	s, err := rpc.NodeWatch.Call(ctx, n.caller, req)
	if err != nil {
		return err
	}
	for {
		u, err := s.Recv()
		if err != nil {
			return err
		}
		n.mu.Lock()
		if u.Complete {
			clear(n.allocs)
		}
		for _, j := range u.Jobs {
			n.jobs[j.ID] = j
		}
		for _, a := range u.Allocs {
			n.allocs[a.ID] = a
		}
		for _, id := range u.Removed {
			delete(n.allocs, id)
		}
		n.change.Broadcast()
		n.mu.Unlock()
	}
}

// wait waits until the allocations are as wanted; ok runs with them locked.
func (n *fakeNode) wait(what string, ok func() bool) {
	n.t.Helper()
	late := time.AfterFunc(20*time.Second, func() {
		n.mu.Lock()
		n.broken = errors.New("waited too long")
		n.change.Broadcast()
		n.mu.Unlock()
	})
	defer late.Stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	for !ok() {
		if n.broken != nil {
			n.t.Fatalf("wait for %s: %v; the node has %d allocations", what, n.broken, len(n.allocs))
		}
		n.change.Wait()
	}
}

// live lists the allocations that are to run.
func (n *fakeNode) live() []*model.Allocation {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []*model.Allocation
	for _, a := range n.allocs {
		if a.DesiredStatus == model.AllocDesiredRun {
			out = append(out, a)
		}
	}
	return out
}

// report says that the allocations that match (all when nil) have that status.
func (n *fakeNode) report(status string, match func(*model.Allocation) bool) {
	n.t.Helper()
	n.reportHealth(status, nil, match)
}

func (n *fakeNode) reportHealth(status string, healthy *bool, match func(*model.Allocation) bool) {
	n.t.Helper()
	n.mu.Lock()
	req := &rpc.AllocUpdateRequest{NodeID: n.node.ID, SecretID: n.node.SecretID}
	for _, a := range n.allocs {
		if match != nil && !match(a) {
			continue
		}
		u := &model.Allocation{
			ID: a.ID, NodeID: n.node.ID, Namespace: a.Namespace, JobID: a.JobID, TaskGroup: a.TaskGroup, ClientStatus: status,
			TaskStates: map[string]*model.TaskState{"t": taskState(status)},
		}
		if healthy != nil {
			u.DeploymentStatus = &model.AllocDeploymentStatus{Healthy: healthy, Timestamp: time.Now()}
		}
		req.Allocs = append(req.Allocs, u)
	}
	n.mu.Unlock()
	if _, err := rpc.AllocUpdateStatus.Call(context.Background(), n.caller, req); err != nil {
		n.t.Fatal(err)
	}
}

func taskState(status string) *model.TaskState {
	s := &model.TaskState{State: model.TaskStateRunning, StartedAt: time.Now()}
	switch status {
	case model.AllocClientComplete:
		s.State, s.FinishedAt = model.TaskStateDead, time.Now()
	case model.AllocClientFailed:
		s.State, s.Failed, s.FinishedAt = model.TaskStateDead, true, time.Now()
	}
	return s
}
