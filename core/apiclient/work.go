package apiclient

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Evaluations lists evaluations.
func (c *Client) Evaluations(ctx context.Context, q *Query) ([]*model.Evaluation, *Meta, error) {
	return list[*model.Evaluation](ctx, c, "/v1/evaluations", q)
}

// Evaluation reads one evaluation; related adds the ones it is linked to.
func (c *Client) Evaluation(ctx context.Context, id model.EvalID, related bool, q *Query) (*model.Evaluation, *Meta, error) {
	if related {
		q = q.with("related", "true")
	}
	return one[model.Evaluation](ctx, c, "/v1/evaluation/"+Segment(id), q)
}

// EvaluationAllocations lists what an evaluation placed or stopped.
func (c *Client) EvaluationAllocations(ctx context.Context, id model.EvalID, q *Query) ([]*model.AllocListStub, *Meta, error) {
	return list[*model.AllocListStub](ctx, c, "/v1/evaluation/"+Segment(id)+"/allocations", q)
}

// Deployments lists deployments.
func (c *Client) Deployments(ctx context.Context, q *Query) ([]*model.Deployment, *Meta, error) {
	return list[*model.Deployment](ctx, c, "/v1/deployments", q)
}

// Deployment reads one deployment.
func (c *Client) Deployment(ctx context.Context, id model.DeploymentID, q *Query) (*model.Deployment, *Meta, error) {
	return one[model.Deployment](ctx, c, "/v1/deployment/"+Segment(id), q)
}

// DeploymentResponse answers a call that changes a deployment.
type DeploymentResponse struct {
	EvalID                model.EvalID
	EvalCreateIndex       uint64
	DeploymentModifyIndex uint64
	RevertedJobVersion    *uint64
}

// FailDeployment marks a deployment as failed.
func (c *Client) FailDeployment(ctx context.Context, id model.DeploymentID, q *Query) (*DeploymentResponse, *Meta, error) {
	return write[DeploymentResponse](ctx, c, "/v1/deployment/fail/"+Segment(id), q, struct{ DeploymentID model.DeploymentID }{id})
}

// PauseDeployment pauses a deployment, or goes on with it.
func (c *Client) PauseDeployment(ctx context.Context, id model.DeploymentID, pause bool, q *Query) (*DeploymentResponse, *Meta, error) {
	return write[DeploymentResponse](ctx, c, "/v1/deployment/pause/"+Segment(id), q, struct {
		DeploymentID model.DeploymentID
		Pause        bool
	}{id, pause})
}

// PromoteDeployment promotes the canaries of the groups, of all when none is
// given.
func (c *Client) PromoteDeployment(ctx context.Context, id model.DeploymentID, groups []string, q *Query) (*DeploymentResponse, *Meta, error) {
	return write[DeploymentResponse](ctx, c, "/v1/deployment/promote/"+Segment(id), q, struct {
		DeploymentID model.DeploymentID
		All          bool
		Groups       []string
	}{id, len(groups) == 0, groups})
}

// Allocations lists allocations.
func (c *Client) Allocations(ctx context.Context, q *Query) ([]*model.AllocListStub, *Meta, error) {
	return list[*model.AllocListStub](ctx, c, "/v1/allocations", q)
}

// Allocation reads one allocation with its job.
func (c *Client) Allocation(ctx context.Context, id model.AllocID, q *Query) (*model.Allocation, *Meta, error) {
	return one[model.Allocation](ctx, c, "/v1/allocation/"+Segment(id), q)
}

// StopAllocation stops an allocation, which its job may then replace.
func (c *Client) StopAllocation(ctx context.Context, id model.AllocID, noShutdownDelay bool, q *Query) (model.EvalID, error) {
	out, _, err := write[struct{ EvalID model.EvalID }](ctx, c, "/v1/allocation/"+Segment(id)+"/stop",
		q.with("no_shutdown_delay", strconv.FormatBool(noShutdownDelay)), nil)
	if err != nil {
		return "", err
	}
	return out.EvalID, nil
}

// RestartAllocation restarts the named task of an allocation; with an empty
// name all running ones, with allTasks also those that ended.
func (c *Client) RestartAllocation(ctx context.Context, id model.AllocID, task string, allTasks bool, q *Query) error {
	_, err := c.put(ctx, "/v1/client/allocation/"+Segment(id)+"/restart", q, struct {
		TaskName string
		AllTasks bool
	}{task, allTasks}, nil)
	return err
}

// SignalAllocation sends a signal to the named task, to all when it is empty.
func (c *Client) SignalAllocation(ctx context.Context, id model.AllocID, task, signal string, q *Query) error {
	_, err := c.put(ctx, "/v1/client/allocation/"+Segment(id)+"/signal", q, struct{ Signal, Task string }{signal, task}, nil)
	return err
}

// AllocationStats reads what an allocation uses right now.
func (c *Client) AllocationStats(ctx context.Context, id model.AllocID, q *Query) (*model.AllocResourceUsage, error) {
	out, _, err := one[model.AllocResourceUsage](ctx, c, "/v1/client/allocation/"+Segment(id)+"/stats", q)
	return out, err
}

// CheckStatus is the state of one service check that the node runs.
type CheckStatus struct {
	ID         string
	Check      string
	Group      string
	Mode       string
	Output     string
	Service    string
	Task       string
	Status     string
	StatusCode int
	Timestamp  int64 // Unix seconds
}

// AllocationChecks reads the state of an allocation's service checks, by ID.
func (c *Client) AllocationChecks(ctx context.Context, id model.AllocID, q *Query) (map[string]*CheckStatus, error) {
	out, _, err := one[map[string]*CheckStatus](ctx, c, "/v1/client/allocation/"+Segment(id)+"/checks", q)
	if err != nil || out == nil {
		return nil, err
	}
	return *out, nil
}

// Nodes lists nodes.
func (c *Client) Nodes(ctx context.Context, q *Query) ([]*model.NodeListStub, *Meta, error) {
	return list[*model.NodeListStub](ctx, c, "/v1/nodes", q)
}

// Node reads one node.
func (c *Client) Node(ctx context.Context, id model.NodeID, q *Query) (*model.Node, *Meta, error) {
	return one[model.Node](ctx, c, "/v1/node/"+Segment(id), q)
}

// NodeAllocations lists a node's allocations, complete with their jobs.
func (c *Client) NodeAllocations(ctx context.Context, id model.NodeID, q *Query) ([]*model.Allocation, *Meta, error) {
	return list[*model.Allocation](ctx, c, "/v1/node/"+Segment(id)+"/allocations", q)
}

// NodeStats reads what a node uses right now.
func (c *Client) NodeStats(ctx context.Context, id model.NodeID, q *Query) (*model.HostStats, error) {
	if id != "" {
		q = q.with("node_id", string(id))
	}
	out, _, err := one[model.HostStats](ctx, c, "/v1/client/stats", q)
	return out, err
}

// SetNodeEligibility lets a node take new work, or not.
func (c *Client) SetNodeEligibility(ctx context.Context, id model.NodeID, eligible bool, q *Query) error {
	value := model.NodeIneligible
	if eligible {
		value = model.NodeEligible
	}
	_, err := c.put(ctx, "/v1/node/"+Segment(id)+"/eligibility", q, struct {
		NodeID      model.NodeID
		Eligibility string
	}{id, value}, nil)
	return err
}

// SystemGC makes the servers collect everything that is over.
func (c *Client) SystemGC(ctx context.Context, q *Query) error {
	_, err := c.Do(ctx, http.MethodPut, "/v1/system/gc", q, nil, nil)
	return err
}

// DrainSpec says how to empty a node. A Deadline of zero is none; a negative one
// moves everything at once.
type DrainSpec struct {
	Deadline         time.Duration
	IgnoreSystemJobs bool
}

// DrainNode empties a node, or with a nil spec stops doing so; eligible then
// lets it take new work again.
func (c *Client) DrainNode(ctx context.Context, id model.NodeID, spec *DrainSpec, eligible bool, meta map[string]string, q *Query) error {
	_, err := c.put(ctx, "/v1/node/"+Segment(id)+"/drain", q, struct {
		NodeID       model.NodeID
		DrainSpec    *DrainSpec
		MarkEligible bool
		Meta         map[string]string
	}{id, spec, eligible, meta}, nil)
	return err
}
