package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

// monitor prints what happens to an evaluation until it is over.
type monitor struct {
	*session
	length  int                // of IDs
	watched model.DeploymentID // the deployment followed last
}

// headline prints a line that begins a new act.
func (m *monitor) headline(format string, args ...any) {
	m.printf("%s\n", m.paint(bold, fmt.Sprintf("==> %s: %s", m.clock(m.now()), fmt.Sprintf(format, args...))))
}

// detail prints a line within an act.
func (m *monitor) detail(format string, args ...any) {
	m.printf("    %s: %s\n", m.clock(m.now()), fmt.Sprintf(format, args...))
}

// pollInterval bounds how late a change of an allocation is seen; a change of
// the evaluation is seen at once.
const pollInterval = time.Second

// watch follows an evaluation to its end, and the deployment it belongs to. It
// returns the exit code.
func (m *monitor) watch(ctx context.Context, id model.EvalID) int {
	m.headline("Monitoring evaluation %q", short(id, m.length))
	status := model.EvalStatusPending
	deployment := model.DeploymentID("")
	allocs := map[model.AllocID]string{} // client status
	index := uint64(0)
	for first := true; ; first = false {
		eval, meta, err := m.api.Evaluation(ctx, id, true, &apiclient.Query{Index: index, Wait: pollInterval})
		if err != nil {
			return m.interrupted(ctx, "Error reading evaluation: %v", err)
		}
		list, _, err := m.api.EvaluationAllocations(ctx, id, nil)
		if err != nil {
			return m.interrupted(ctx, "Error reading allocations: %v", err)
		}
		index = meta.Index
		if first {
			if eval.NodeID != "" {
				m.detail("Evaluation triggered by node %q", short(eval.NodeID, m.length))
			} else {
				m.detail("Evaluation triggered by job %q", eval.JobID)
			}
		}
		m.newAllocs(eval, list, allocs)
		if deployment == "" && eval.DeploymentID != "" {
			deployment = eval.DeploymentID
			m.detail("Evaluation within deployment: %q", short(deployment, m.length))
		}
		m.changedAllocs(list, allocs)
		if eval.Status != status {
			m.detail("Evaluation status changed: %q -> %q", status, eval.Status)
			status = eval.Status
		}
		if eval.Terminal() {
			return m.finished(ctx, eval)
		}
		if meta.Index == 0 { // the answer cannot be waited for
			select {
			case <-ctx.Done():
				return exitError
			case <-time.After(pollInterval):
			}
		}
	}
}

// interrupted reports an error, unless it only says that the user has had
// enough.
func (s *session) interrupted(ctx context.Context, format string, args ...any) int {
	if ctx.Err() != nil {
		return exitError
	}
	return s.fail(format, args...)
}

// newAllocs tells of allocations not seen before.
func (m *monitor) newAllocs(eval *model.Evaluation, list []*model.AllocListStub, seen map[model.AllocID]string) {
	for _, a := range list {
		if _, known := seen[a.ID]; known {
			continue
		}
		seen[a.ID] = a.ClientStatus
		if a.DesiredStatus != model.AllocDesiredRun {
			continue
		}
		verb := "created"
		if a.CreateIndex < eval.CreateIndex {
			verb = "modified"
		}
		m.detail("Allocation %q %s: node %q, group %q", short(a.ID, m.length), verb, short(a.NodeID, m.length), a.TaskGroup)
	}
}

// changedAllocs tells of allocations whose status changed.
func (m *monitor) changedAllocs(list []*model.AllocListStub, seen map[model.AllocID]string) {
	for _, a := range list {
		before := seen[a.ID]
		if before == a.ClientStatus {
			continue
		}
		seen[a.ID] = a.ClientStatus
		why := ""
		if a.ClientDescription != "" {
			why = " (" + a.ClientDescription + ")"
		}
		m.detail("Allocation %q status changed: %q -> %q%s", short(a.ID, m.length), before, a.ClientStatus, why)
	}
}

// finished prints the outcome of an evaluation and goes on to what follows it.
func (m *monitor) finished(ctx context.Context, eval *model.Evaluation) int {
	code := exitOK
	if len(eval.FailedTGAllocs) == 0 {
		m.headline("Evaluation %q finished with status %q", short(eval.ID, m.length), eval.Status)
	} else {
		code = exitUnplaced
		m.headline("Evaluation %q finished with status %q but failed to place all allocations:", short(eval.ID, m.length), eval.Status)
		for _, group := range sortedKeys(eval.FailedTGAllocs) {
			metric := eval.FailedTGAllocs[group]
			m.detail("%s", groupFailure(group, metric))
			if reasons := placementReasons(metric); len(reasons) > 0 {
				m.println(indent(strings.Join(reasons, "\n"), 6))
			}
		}
		if eval.BlockedEval != "" {
			m.detail("Evaluation %q waiting for additional capacity to place remainder", short(eval.BlockedEval, m.length))
		}
	}
	if eval.NextEval != "" {
		m.detail("Monitoring next evaluation %q", short(eval.NextEval, m.length))
		return m.watch(ctx, eval.NextEval)
	}
	if eval.Status != model.EvalStatusComplete {
		return exitError
	}
	if eval.DeploymentID != "" {
		return m.watchDeployment(ctx, eval.DeploymentID, true)
	}
	return code
}
