package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func predictEvals(s *session) complete.Predictor {
	return s.predict(func(ctx context.Context, prefix string) []string {
		all, _, err := s.api.Evaluations(ctx, &apiclient.Query{Prefix: evenPrefix(prefix)})
		if err != nil {
			return nil
		}
		var out []string
		for _, e := range all {
			out = append(out, string(e.ID))
		}
		return out
	})
}

func evalList() *leaf {
	return &leaf{
		words: "eval list", synopsis: "List evaluations",
		args: "[options]",
		prose: `Lists the evaluations, newest first; pages of the list are oldest first.

With ACLs, the 'read-job' capability is needed.`,
		setup: func(f *flags) func(*session) int {
			job := f.flagString("job", "id", "", "Show only this job's.")
			state := f.flagString("status", "status", "", "Show only those with this status.")
			page := f.paging()
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			ui := f.uiFlag()
			out := f.output()
			return func(s *session) int {
				s.noUI(*ui)
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				q := page.query()
				q.Params = map[string][]string{}
				if *job != "" {
					q.Params.Set("job", *job)
				}
				if *state != "" {
					q.Params.Set("status", *state)
				}
				if out.wanted() {
					return s.renderPath(ctx, out, "/v1/evaluations", q, &[]*model.Evaluation{})
				}
				evals, meta, err := s.api.Evaluations(ctx, q)
				if err != nil {
					return s.fail("Error querying evaluations: %v", err)
				}
				if len(evals) == 0 {
					s.println("No evals found")
					return exitOK
				}
				if *page.perPage == 0 {
					slices.SortStableFunc(evals, func(a, b *model.Evaluation) int { return cmp.Compare(b.CreateIndex, a.CreateIndex) })
				}
				s.println(s.evalTable(evals, *verbose))
				s.more(meta)
				return exitOK
			}
		},
	}
}

func evalStatus() *leaf {
	return &leaf{
		words: "eval status", aliases: []string{"eval-status"}, synopsis: "Show an evaluation and what it could not place",
		args: "[options] <evaluation>", minArgs: 1, maxArgs: 1, wants: "one argument: <evaluation>",
		prose: `Shows an evaluation: what made it, what the scheduler decided, and what could not be placed.

With ACLs, the 'read-job' capability is needed.`,
		complete: predictEvals,
		setup: func(f *flags) func(*session) int {
			watch := f.flagBool("monitor", "Watch the evaluation until it is over.", false)
			verbose := f.flagBool("verbose", "Show whole IDs and more.", false)
			ui := f.uiFlag()
			out := f.output()
			return func(s *session) int {
				s.noUI(*ui)
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				found, err := s.eval(ctx, s.args[0], *verbose)
				if err != nil {
					return s.code(err)
				}
				if *watch {
					return (&monitor{session: s, length: idLength(*verbose)}).watch(ctx, found.ID)
				}
				if out.wanted() {
					return s.renderPath(ctx, out, "/v1/evaluation/"+apiclient.Segment(found.ID),
						&apiclient.Query{Params: map[string][]string{"related": {"true"}}}, &model.Evaluation{})
				}
				eval, _, err := s.api.Evaluation(ctx, found.ID, true, nil)
				if err != nil {
					return s.fail("Error reading evaluation: %v", err)
				}
				placed, _, err := s.api.EvaluationAllocations(ctx, eval.ID, nil)
				if err != nil {
					return s.fail("Error reading evaluation allocations: %v", err)
				}
				s.evalDetail(eval, placed, *verbose)
				return exitOK
			}
		},
	}
}

func (s *session) evalDetail(e *model.Evaluation, placed []*model.AllocListStub, verbose bool) {
	n := idLength(verbose)
	description := e.StatusDescription
	if description == "" {
		description = e.Status
	}
	rows := []string{
		"ID", short(e.ID, n),
		"Create Time", s.when(e.CreateTime, verbose),
		"Modify Time", s.when(e.ModifyTime, verbose),
		"Status", e.Status,
		"Status Description", description,
		"Type", e.Type,
		"TriggeredBy", e.TriggeredBy,
	}
	if e.NodeID != "" {
		rows = append(rows, "Node ID", short(e.NodeID, n))
	}
	rows = append(rows,
		"Job ID", string(e.JobID),
		"Namespace", e.Namespace,
		"Priority", fmt.Sprint(e.Priority),
		"Placement Failures", placementFailed(e),
		"Previous Eval", short(e.PreviousEval, n),
		"Next Eval", short(e.NextEval, n),
		"Blocked Eval", short(e.BlockedEval, n))
	if !e.WaitUntil.IsZero() {
		rows = append(rows, "Wait Until", s.clock(e.WaitUntil))
	}
	s.println(pairs(rows...))
	if len(e.RelatedEvals) > 0 {
		related := [][]string{{"ID", "Priority", "Triggered By", "Node ID", "Status", "Description"}}
		for _, r := range e.RelatedEvals {
			related = append(related, []string{short(r.ID, n), fmt.Sprint(r.Priority), r.TriggeredBy, orNone(short(r.NodeID, n)), r.Status, orNone(r.StatusDescription)})
		}
		s.title("Related Evaluations")
		s.println(table(related...))
	}
	if a := e.PlanAnnotations; a != nil {
		s.annotations(a, verbose)
		if len(a.PreemptedAllocs) > 0 {
			s.title("Preempted Allocations")
			s.println(s.allocTable(a.PreemptedAllocs, verbose))
		}
	}
	if len(placed) > 0 {
		s.title("Placed Allocations")
		s.println(s.allocTable(placed, verbose))
	}
	if len(e.FailedTGAllocs) == 0 {
		return
	}
	s.title("Failed Placements")
	for _, g := range sortedKeys(e.FailedTGAllocs) {
		m := e.FailedTGAllocs[g]
		s.printf("%s\n%s\n", groupFailure(g, m), indent(strings.Join(placementReasons(m), "\n"), 2))
	}
	if e.BlockedEval != "" {
		s.printf("\nEvaluation %q waiting for additional capacity to place remainder\n", short(e.BlockedEval, n))
	}
}

// annotations counts what the scheduler did per group. Less common columns show
// when they count something.
func (s *session) annotations(a *model.PlanAnnotations, verbose bool) {
	if len(a.DesiredTGUpdates) == 0 {
		return
	}
	columns := []struct {
		name   string
		always bool
		count  func(*model.DesiredUpdates) uint64
	}{
		{"Ignore", true, func(u *model.DesiredUpdates) uint64 { return u.Ignore }},
		{"Place", true, func(u *model.DesiredUpdates) uint64 { return u.Place }},
		{"Stop", true, func(u *model.DesiredUpdates) uint64 { return u.Stop }},
		{"InPlace", true, func(u *model.DesiredUpdates) uint64 { return u.InPlaceUpdate }},
		{"Destructive", true, func(u *model.DesiredUpdates) uint64 { return u.DestructiveUpdate }},
		{"Migrate", false, func(u *model.DesiredUpdates) uint64 { return u.Migrate }},
		{"Canary", false, func(u *model.DesiredUpdates) uint64 { return u.Canary }},
		{"Preemptions", false, func(u *model.DesiredUpdates) uint64 { return u.Preemptions }},
		{"Reschedule Now", false, func(u *model.DesiredUpdates) uint64 { return u.RescheduleNow }},
		{"Reschedule Later", false, func(u *model.DesiredUpdates) uint64 { return u.RescheduleLater }},
		{"Disconnect", false, func(u *model.DesiredUpdates) uint64 { return u.Disconnect }},
		{"Reconnect", false, func(u *model.DesiredUpdates) uint64 { return u.Reconnect }},
	}
	groups := sortedKeys(a.DesiredTGUpdates)
	rows := make([][]string, len(groups)+1)
	rows[0] = []string{"Task Group"}
	for i, g := range groups {
		rows[i+1] = []string{g}
	}
	for _, c := range columns {
		shown := c.always || verbose
		for _, u := range a.DesiredTGUpdates {
			shown = shown || c.count(u) > 0
		}
		if !shown {
			continue
		}
		rows[0] = append(rows[0], c.name)
		for i, g := range groups {
			rows[i+1] = append(rows[i+1], fmt.Sprint(c.count(a.DesiredTGUpdates[g])))
		}
	}
	s.title("Plan Annotations")
	s.println(table(rows...))
}
