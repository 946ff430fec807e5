package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func jobStatus() *leaf {
	return &leaf{
		words: "job status", synopsis: "List jobs, or show one",
		args: "[options] <job>", maxArgs: 1, wants: "either no arguments or one: <job>",
		prose: `Lists the jobs, or shows one: its state, its groups, its latest deployment and its allocations. The beginning of an ID is enough if it is unique.

With ACLs, the 'list-jobs' capability is needed for the list, and 'read-job' for one job.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			o := jobStatusOptions{
				allAllocs: f.flagBool("all-allocs", "Also show allocations of an earlier job of the same ID.", false),
				evals:     f.flagBool("evals", "Also show the evaluations.", false),
				short:     f.flagBool("short", "Show only the first block.", false),
				verbose:   f.flagBool("verbose", "Show whole IDs and more.", false),
			}
			ui := f.uiFlag()
			out := f.output()
			return func(s *session) int {
				s.noUI(*ui)
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				if len(s.args) == 0 {
					if out.wanted() {
						return s.jobStatusData(ctx, out, nil)
					}
					return s.jobList(ctx)
				}
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				if out.wanted() {
					return s.jobStatusData(ctx, out, &ref)
				}
				return s.jobDetail(ctx, ref, o)
			}
		},
	}
}

type jobStatusOptions struct {
	allAllocs, evals, short, verbose *bool
}

func predictJobs(s *session) complete.Predictor {
	return s.predict(func(ctx context.Context, prefix string) []string {
		jobs, _, err := s.api.Jobs(ctx, &apiclient.Query{Prefix: prefix})
		if err != nil {
			return nil
		}
		var out []string
		for _, j := range jobs {
			out = append(out, string(j.ID))
		}
		return out
	})
}

func (s *session) jobList(ctx context.Context) int {
	jobs, _, err := s.api.Jobs(ctx, nil)
	if err != nil {
		return s.fail("Error querying jobs: %v", err)
	}
	if len(jobs) == 0 {
		s.println("No running jobs")
		return exitOK
	}
	slices.SortStableFunc(jobs, func(a, b *model.JobListStub) int { return cmp.Compare(a.ID, b.ID) })
	s.println(s.jobTable(jobs, s.allNamespaces()))
	return exitOK
}

// jobStatusRecord is what -json and -t show of a job.
type jobStatusRecord struct {
	Summary          *model.JobSummary
	Allocations      []*model.AllocListStub
	LatestDeployment *model.Deployment
	Evaluations      []*model.Evaluation
}

// jobStatusData renders one job, or all of them, for -json and -t.
func (s *session) jobStatusData(ctx context.Context, o *output, one *jobRef) int {
	refs := []jobRef{}
	if one != nil {
		refs = append(refs, *one)
	} else {
		jobs, _, err := s.api.Jobs(ctx, nil)
		if err != nil {
			return s.fail("Error querying jobs: %v", err)
		}
		for _, j := range jobs {
			refs = append(refs, jobRef{j.ID, j.Namespace, true})
		}
	}
	records := []jobStatusRecord{}
	raws := []json.RawMessage{}
	for _, ref := range refs {
		parts := map[string]json.RawMessage{}
		for key, tail := range map[string]string{
			"Summary": "/summary", "Allocations": "/allocations", "LatestDeployment": "/deployment", "Evaluations": "/evaluations",
		} {
			raw, err := fetch(ctx, s.api, apiclient.JobPath(ref.id, tail), ref.query())
			if err != nil {
				return s.fail("Error querying job %s: %v", strings.TrimPrefix(tail, "/"), err)
			}
			parts[key] = raw
		}
		raw, err := json.Marshal(parts)
		if err != nil {
			return s.fail("Error formatting the data: %v", err)
		}
		var r jobStatusRecord
		if err := json.Unmarshal(raw, &r); err != nil {
			return s.fail("Error formatting the data: %v", err)
		}
		records, raws = append(records, r), append(raws, raw)
	}
	if *o.json && *o.template == "" {
		raw, err := json.Marshal(raws)
		if err != nil {
			return s.fail("Error formatting the data: %v", err)
		}
		return s.render(o, json.RawMessage(raw))
	}
	return s.render(o, records)
}

// jobDetail shows one job.
func (s *session) jobDetail(ctx context.Context, ref jobRef, o jobStatusOptions) int {
	job, _, err := s.api.Job(ctx, ref.id, ref.query())
	if err != nil {
		return s.fail("Error querying job: %v", err)
	}
	periodic := job.Periodic != nil
	parameterized := job.ParameterizedJob != nil
	rows := []string{
		"ID", string(job.ID),
		"Name", job.Name,
		"Submit Date", s.clockNano(job.SubmitTime),
		"Type", job.Type,
		"Priority", fmt.Sprint(job.Priority),
		"Datacenters", strings.Join(job.Datacenters, ","),
		"Namespace", job.Namespace,
		"Node Pool", job.NodePool,
		"Status", jobStatusText(job.Status, job.Stop),
		"Periodic", fmt.Sprint(periodic),
		"Parameterized", fmt.Sprint(parameterized),
	}
	if t := job.VersionTag; t != nil {
		rows = append(rows, "Version Tag", t.Name)
	}
	if periodic && !parameterized {
		launch := "none (job stopped)"
		if next := nextLaunch(job.Periodic, s.now()); !job.Stop && !next.IsZero() {
			launch = fmt.Sprintf("%s (%s)", s.clock(next), s.ago(next))
		}
		rows = append(rows, "Next Periodic Launch", launch)
	}
	if job.UI != nil && job.UI.Description != "" {
		rows = append(rows, "UI Description", job.UI.Description)
	}
	s.println(pairs(rows...))
	switch {
	case *o.short:
		return exitOK
	case periodic && !parameterized:
		return s.children(ctx, job, "Previously Launched Jobs", "No instances of periodic job found")
	case parameterized:
		p := job.ParameterizedJob
		s.title("Parameterized Job")
		s.println(pairs("Payload", p.Payload, "Required Metadata", strings.Join(p.MetaRequired, ", "), "Optional Metadata", strings.Join(p.MetaOptional, ", ")))
		return s.children(ctx, job, "Dispatched Jobs", "No dispatched instances of parameterized job found")
	}
	return s.jobWork(ctx, ref, job, o)
}

// children shows what a periodic or parameterized job started.
func (s *session) children(ctx context.Context, job *model.Job, title, none string) int {
	q := &apiclient.Query{Namespace: job.Namespace}
	summary, _, err := s.api.JobSummary(ctx, job.ID, q)
	if err != nil {
		return s.fail("Error querying job summary: %v", err)
	}
	if c := summary.Children; c != nil {
		heading := "Children Job Summary"
		if job.ParameterizedJob != nil {
			heading = "Parameterized Job Summary"
		}
		s.title(heading)
		s.println(table([]string{"Pending", "Running", "Dead"}, []string{fmt.Sprint(c.Pending), fmt.Sprint(c.Running), fmt.Sprint(c.Dead)}))
	}
	prefix := "/periodic-"
	if job.ParameterizedJob != nil {
		prefix = "/dispatch-"
	}
	jobs, _, err := s.api.Jobs(ctx, &apiclient.Query{Namespace: job.Namespace, Prefix: string(job.ID) + prefix})
	if err != nil {
		return s.fail("Error querying jobs: %v", err)
	}
	rows := [][]string{{"ID", "Status"}}
	for _, j := range jobs {
		if j.ParentID == job.ID {
			rows = append(rows, []string{string(j.ID), jobStatusText(j.Status, j.Stop)})
		}
	}
	if len(rows) == 1 {
		s.printf("\n%s\n", none)
		return exitOK
	}
	s.title(title)
	s.println(table(rows...))
	return exitOK
}

// jobWork shows a job's groups, evaluations, deployment and allocations.
func (s *session) jobWork(ctx context.Context, ref jobRef, job *model.Job, o jobStatusOptions) int {
	q := ref.query()
	summary, _, err := s.api.JobSummary(ctx, ref.id, q)
	if err != nil && !apiclient.IsNotFound(err) {
		return s.fail("Error querying job summary: %v", err)
	}
	allocs, _, err := s.api.JobAllocations(ctx, ref.id, *o.allAllocs, q)
	if err != nil {
		return s.fail("Error querying job allocations: %v", err)
	}
	evals, _, err := s.api.JobEvaluations(ctx, ref.id, q)
	if err != nil {
		return s.fail("Error querying job evaluations: %v", err)
	}
	deployment, _, err := s.api.LatestDeployment(ctx, ref.id, q)
	if err != nil {
		return s.fail("Error querying latest job deployment: %v", err)
	}
	if summary != nil {
		rows := [][]string{{"Task Group", "Queued", "Starting", "Running", "Failed", "Complete", "Lost", "Unknown"}}
		for _, g := range sortedKeys(summary.Summary) {
			n := summary.Summary[g]
			row := []string{g}
			for _, v := range []int{n.Queued, n.Starting, n.Running, n.Failed, n.Complete, n.Lost, n.Unknown} {
				row = append(row, fmt.Sprint(v))
			}
			rows = append(rows, row)
		}
		s.title("Summary")
		s.println(table(rows...))
	}
	slices.SortStableFunc(evals, func(a, b *model.Evaluation) int { return cmp.Compare(b.CreateIndex, a.CreateIndex) })
	s.jobEvals(evals, allocs, o)
	if deployment != nil {
		s.title("Latest Deployment")
		s.println(pairs("ID", short(deployment.ID, idLength(*o.verbose)), "Status", deployment.Status, "Description", deployment.StatusDescription))
		if len(deployment.TaskGroups) > 0 {
			s.title("Deployed")
			s.println(s.deployedTable(deployment))
		}
	}
	s.jobActions(job)
	slices.SortStableFunc(allocs, func(a, b *model.AllocListStub) int { return cmp.Compare(b.CreateIndex, a.CreateIndex) })
	s.title("Allocations")
	s.println(s.allocSection(allocs, *o.verbose))
	return exitOK
}

// jobEvals shows a job's evaluations, newest first: all of them if asked for,
// and what blocks or waits in any case.
func (s *session) jobEvals(evals []*model.Evaluation, allocs []*model.AllocListStub, o jobStatusOptions) {
	n := idLength(*o.verbose)
	if *o.evals || *o.verbose {
		rows := [][]string{{"ID", "Priority", "Triggered By", "Status", "Placement Failures"}}
		for _, e := range evals {
			rows = append(rows, []string{short(e.ID, n), fmt.Sprint(e.Priority), e.TriggeredBy, e.Status, placementFailed(e)})
		}
		s.title("Evaluations")
		s.println(table(rows...))
	}
	waiting := [][]string{{"Task Group", "Eval ID", "Eval Time"}}
	for _, e := range evals {
		if e.Status == model.EvalStatusPending && !e.WaitUntil.IsZero() && e.WaitUntil.After(s.now()) {
			waiting = append(waiting, []string{groupsOf(e, allocs), short(e.ID, n), s.ago(e.WaitUntil)})
		}
	}
	for _, e := range evals {
		if e.Status != model.EvalStatusBlocked {
			continue
		}
		failed := blockedReasons(e, evals)
		if len(failed) == 0 {
			continue
		}
		s.title("Placement Failure")
		for _, g := range sortedKeys(failed) {
			s.printf("Task Group %q:\n%s\n", g, indent(strings.Join(placementReasons(failed[g]), "\n"), 2))
		}
		break
	}
	if len(waiting) > 1 {
		s.title("Future Rescheduling Attempts")
		s.println(table(waiting...))
	}
}

// blockedReasons says why an evaluation is blocked; if it does not know itself,
// the one that made it does.
func blockedReasons(blocked *model.Evaluation, all []*model.Evaluation) map[string]*model.AllocMetric {
	if len(blocked.FailedTGAllocs) > 0 {
		return blocked.FailedTGAllocs
	}
	for _, e := range all {
		if e.ID == blocked.PreviousEval {
			return e.FailedTGAllocs
		}
	}
	return nil
}

// groupsOf names the groups whose allocations wait for an evaluation.
func groupsOf(e *model.Evaluation, allocs []*model.AllocListStub) string {
	groups := map[string]bool{}
	for _, a := range allocs {
		if a.FollowupEvalID == e.ID {
			groups[a.TaskGroup] = true
		}
	}
	if len(groups) == 0 {
		return "N/A"
	}
	return strings.Join(sortedKeys(groups), ",")
}

func (s *session) jobActions(job *model.Job) {
	rows := [][]string{{"Action Name", "Task Group", "Task"}}
	for _, g := range job.TaskGroups {
		for _, t := range g.Tasks {
			for _, a := range t.Actions {
				rows = append(rows, []string{a.Name, g.Name, t.Name})
			}
		}
	}
	if len(rows) > 1 {
		s.title("Actions")
		s.println(table(rows...))
	}
}
