package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

// errAmbiguous and its kin end a command after the trouble was told.
type told struct{ code int }

func (t told) Error() string { return "already reported" }

// code turns the error of a resolving function into an exit code.
func (s *session) code(err error) int {
	if t, ok := err.(told); ok {
		return t.code
	}
	return s.fail("%v", err)
}

// tell prints an error and returns it as told.
func (s *session) tell(code int, format string, args ...any) error {
	s.fail(format, args...)
	return told{code}
}

// jobRef is a job found by its ID or a prefix of it.
type jobRef struct {
	id        model.JobID
	namespace string
	exact     bool // the whole ID was given
}

// query is a query in the job's namespace.
func (j jobRef) query() *apiclient.Query { return &apiclient.Query{Namespace: j.namespace} }

// resolveJob finds the job with the given ID, or else the only one whose ID it
// begins. filter, if not empty, narrows the candidates; kind names them.
func (s *session) resolveJob(ctx context.Context, given, filter, kind string) (jobRef, error) {
	jobs, _, err := s.api.Jobs(ctx, &apiclient.Query{Prefix: given, PerPage: 20, Filter: filter})
	if err != nil {
		return jobRef{}, s.tell(exitError, "Error querying job prefix %q: %v", given, err)
	}
	var exact []*model.JobListStub
	for _, j := range jobs {
		if string(j.ID) == given {
			exact = append(exact, j)
		}
	}
	switch {
	case len(exact) == 1:
		return jobRef{exact[0].ID, exact[0].Namespace, true}, nil
	case len(jobs) == 0:
		return jobRef{}, s.tell(exitError, "No %s(s) with prefix or ID %q found", kind, given)
	case len(jobs) > 1:
		return jobRef{}, s.tell(exitError, "Prefix %q matched multiple %ss\n\n%s", given, kind, s.jobTable(jobs, s.allNamespaces()))
	}
	return jobRef{jobs[0].ID, jobs[0].Namespace, false}, nil
}

func (s *session) job(ctx context.Context, given string) (jobRef, error) {
	return s.resolveJob(ctx, given, "", "job")
}

// evenPrefix is the longest prefix that the API takes: an even number of hex
// digits.
func evenPrefix(given string) string {
	digits := strings.ReplaceAll(given, "-", "")
	if len(digits)%2 == 1 {
		return strings.TrimSuffix(given[:len(given)-1], "-")
	}
	return strings.TrimSuffix(given, "-")
}

// byPrefix finds the only object whose UUID begins with given.
func byPrefix[T any](s *session, given string, list func(*apiclient.Query) ([]T, error), id func(T) string,
	what string, none string, several func([]T) string, severalCode int) (T, error) {
	var zero T
	if len(given) < 2 {
		return zero, s.tell(exitError, "Identifier must contain at least two characters.")
	}
	all, err := list(&apiclient.Query{Prefix: evenPrefix(given), Namespace: model.AllNamespaces})
	if err != nil {
		return zero, s.tell(exitError, "Error querying %s: %v", what, err)
	}
	var matches []T
	for _, o := range all {
		if id(o) == given {
			return o, nil
		}
		if strings.HasPrefix(id(o), given) {
			matches = append(matches, o)
		}
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return zero, s.tell(exitError, none, given)
	}
	fmt.Fprintln(s.deps.Stderr, several(matches))
	return zero, told{severalCode}
}

// alloc finds an allocation by a prefix of its ID.
func (s *session) alloc(ctx context.Context, given string, verbose bool, ambiguous int) (*model.AllocListStub, error) {
	if len(given) < 2 {
		return nil, s.tell(exitError, "Alloc ID must contain at least two characters.")
	}
	return byPrefix(s, given, func(q *apiclient.Query) ([]*model.AllocListStub, error) {
		all, _, err := s.api.Allocations(ctx, q)
		return all, err
	}, func(a *model.AllocListStub) string { return string(a.ID) },
		"allocation", "No allocation(s) with prefix or id %q found",
		func(all []*model.AllocListStub) string {
			return "Prefix matched multiple allocations\n\n" + s.allocTable(all, verbose)
		}, ambiguous)
}

// fullAlloc finds an allocation and reads it whole.
func (s *session) fullAlloc(ctx context.Context, given string, verbose bool, ambiguous int) (*model.Allocation, error) {
	stub, err := s.alloc(ctx, given, verbose, ambiguous)
	if err != nil {
		return nil, err
	}
	a, _, err := s.api.Allocation(ctx, stub.ID, nil)
	if err != nil {
		return nil, s.tell(exitError, "Error querying allocation: %v", err)
	}
	return a, nil
}

// jobAlloc picks an allocation of a job at random, running ones first.
func (s *session) jobAlloc(ctx context.Context, job, group string) (*model.Allocation, error) {
	ref, err := s.job(ctx, job)
	if err != nil {
		return nil, err
	}
	all, _, err := s.api.JobAllocations(ctx, ref.id, false, ref.query())
	if err != nil {
		return nil, s.tell(exitError, "Error fetching allocations: %v", err)
	}
	var running, others []*model.AllocListStub
	for _, a := range all {
		switch {
		case group != "" && a.TaskGroup != group:
		case a.ClientStatus == model.AllocClientRunning:
			running = append(running, a)
		default:
			others = append(others, a)
		}
	}
	if len(running) == 0 {
		running = others
	}
	if len(running) == 0 {
		where := fmt.Sprintf("job %q", job)
		if group != "" {
			where += fmt.Sprintf(" with task group %q", group)
		}
		return nil, s.tell(exitError, "No allocations found for %s", where)
	}
	a, _, err := s.api.Allocation(ctx, running[rand.IntN(len(running))].ID, nil)
	if err != nil {
		return nil, s.tell(exitError, "Error querying allocation: %v", err)
	}
	return a, nil
}

// node finds a node by a prefix of its ID.
func (s *session) node(ctx context.Context, given string) (*model.NodeListStub, error) {
	return byPrefix(s, given, func(q *apiclient.Query) ([]*model.NodeListStub, error) {
		all, _, err := s.api.Nodes(ctx, q)
		return all, err
	}, func(n *model.NodeListStub) string { return string(n.ID) },
		"node info", "No node(s) with prefix %q found",
		func(all []*model.NodeListStub) string {
			return "Prefix matched multiple nodes\n\n" + s.nodeTable(all, nodeColumns{})
		}, exitError)
}

// selfNode is the ID of the node in the agent that answers.
func (s *session) selfNode(ctx context.Context) (model.NodeID, error) {
	self, err := s.api.AgentSelf(ctx)
	if err != nil {
		return "", s.tell(exitError, "Error querying agent info: %v", err)
	}
	id := self.Stats["client"]["node_id"]
	if id == "" {
		return "", s.tell(exitError, "Error querying local node ID: the agent is not running in client mode")
	}
	return model.NodeID(id), nil
}

// eval finds an evaluation by a prefix of its ID.
func (s *session) eval(ctx context.Context, given string, verbose bool) (*model.Evaluation, error) {
	return byPrefix(s, given, func(q *apiclient.Query) ([]*model.Evaluation, error) {
		all, _, err := s.api.Evaluations(ctx, q)
		return all, err
	}, func(e *model.Evaluation) string { return string(e.ID) },
		"evaluation", "No evaluation(s) with prefix or id %q found",
		func(all []*model.Evaluation) string {
			return "Prefix matched multiple evaluations\n\n" + s.evalTable(all, verbose)
		}, exitError)
}

// deployment finds a deployment by a prefix of its ID.
func (s *session) deployment(ctx context.Context, given string, verbose bool) (*model.Deployment, error) {
	return byPrefix(s, given, func(q *apiclient.Query) ([]*model.Deployment, error) {
		all, _, err := s.api.Deployments(ctx, q)
		return all, err
	}, func(d *model.Deployment) string { return string(d.ID) },
		"deployment", "No deployment(s) with prefix or id %q found",
		func(all []*model.Deployment) string {
			return "Prefix matched multiple deployments\n\n" + s.deploymentTable(all, verbose)
		}, exitError)
}
