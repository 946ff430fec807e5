package cli

import (
	"fmt"
	"strings"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func jobPlan() *leaf {
	return &leaf{
		words: "job plan", aliases: []string{"plan"}, synopsis: "Show what running a job file would change",
		args: "[options] <path>", minArgs: 1, maxArgs: 1, wants: "one argument: <path>", misuse: exitPlanFailure,
		prose: `Asks the servers what registering the job in the file at <path>, "-" for standard input, or an http(s) URL would do: what differs from the registered job, what would be placed, stopped or updated, and what could not be placed. Nothing is changed.

The job modify index it prints makes 'job run -check-index' refuse to run if the job has changed meanwhile.

The command ends with code 0 when nothing would be created or destroyed, 1 when something would, and 255 on an error.

With ACLs, the 'submit-job' capability is needed.`,
		complete: predictJobFile,
		setup: func(f *flags) func(*session) int {
			job := f.job()
			diff := f.flagBool("diff", "Show what differs from the registered job. Default: true.", true)
			override := f.flagBool("policy-override", "Override soft mandatory policies.", false)
			out := &output{
				json:     f.flagBool("json-output", "Print the answer as JSON.", false),
				template: f.flagString("t", "template", "", "Print the answer through a Go template."),
			}
			verbose := f.flagBool("verbose", "Show added and removed groups and tasks in full.", false)
			return func(s *session) int {
				if *out.json && *out.template != "" {
					s.fail("Both -json-output and -t formatting are not allowed")
					return exitPlanFailure
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				j, err := s.readJob(ctx, s.args[0], job)
				if err != nil {
					s.fail("%v", err)
					return exitPlanFailure
				}
				c, ok := s.connect()
				if !ok {
					return exitPlanFailure
				}
				resp, _, err := c.PlanJob(ctx, j.ID, j.body, *diff, *override, j.query(s))
				if err != nil {
					s.fail("Error during plan: %v", err)
					return exitPlanFailure
				}
				code := planCode(resp)
				if out.wanted() {
					if s.render(out, resp) != exitOK {
						return exitPlanFailure
					}
					return code
				}
				if *diff && resp.Diff != nil {
					s.printf("%s\n\n", (&diffText{s, *verbose, true}).job(resp.Diff))
				}
				s.println(s.paint(bold, "Scheduler dry-run:"))
				s.println(s.dryRun(resp, j))
				if p := resp.Annotations; p != nil && len(p.PreemptedAllocs) > 0 {
					rows := [][]string{{"Alloc ID", "Job ID", "Task Group"}}
					for _, a := range p.PreemptedAllocs {
						rows = append(rows, []string{string(a.ID), string(a.JobID), a.TaskGroup})
					}
					s.printf("%s\n\n%s\n\n", s.paint(bold, "Preemptions:"), table(rows...))
				}
				s.warnings(joinWarnings(j.warnings, resp.Warnings))
				s.printf("%s\n", s.planFooter(resp, j, job))
				return code
			}
		},
	}
}

// planCode is 1 when something would be created or destroyed.
func planCode(r *apiclient.PlanResponse) int {
	if len(r.FailedTGAllocs) > 0 {
		return exitError
	}
	if r.Annotations == nil {
		return exitOK
	}
	for _, u := range r.Annotations.DesiredTGUpdates {
		if u.Stop+u.Place+u.Migrate+u.DestructiveUpdate+u.Canary > 0 {
			return exitError
		}
	}
	return exitOK
}

// dryRun says what the scheduler would do.
func (s *session) dryRun(r *apiclient.PlanResponse, j *jobFile) string {
	var b strings.Builder
	if len(r.FailedTGAllocs) == 0 {
		fmt.Fprintf(&b, "%s\n", s.paint(green, "- All tasks successfully allocated."))
	} else {
		fmt.Fprintf(&b, "%s\n", s.paint(yellow, "- WARNING: Failed to place all allocations."))
		for _, g := range sortedKeys(r.FailedTGAllocs) {
			m := r.FailedTGAllocs[g]
			fmt.Fprintf(&b, "  %s\n%s\n", s.paint(yellow, groupFailure(g, m)), indent(strings.Join(placementReasons(m), "\n"), 4))
		}
	}
	for _, e := range r.CreatedEvals {
		if e.TriggeredBy == model.TriggerRollingUpdate {
			fmt.Fprintf(&b, "%s\n", s.paint(green, fmt.Sprintf("- Rolling update, next evaluation will be in %s.", e.Wait)))
		}
	}
	next := r.NextPeriodicLaunch
	if next.IsZero() && j.ParameterizedJob == nil {
		next = nextLaunch(j.Periodic, s.now())
	}
	if !next.IsZero() {
		fmt.Fprintf(&b, "%s\n", s.paint(green, fmt.Sprintf("- If submitted now, next periodic launch would be at %s (%s).", s.clock(next), s.ago(next))))
	}
	return b.String()
}

func (s *session) planFooter(r *apiclient.PlanResponse, j *jobFile, f *jobFlags) string {
	command := fmt.Sprintf("serai job run -check-index %d", r.JobModifyIndex)
	if *f.json {
		command += " -json"
	}
	for _, v := range *f.vars {
		command += fmt.Sprintf(" -var=%q", v)
	}
	for _, v := range *f.varFiles {
		command += fmt.Sprintf(" -var-file=%q", v)
	}
	return fmt.Sprintf(`%s
To submit the job with version verification run:

%s %s

When running the job with the check-index flag, the job will only be run if the
job modify index given matches the server-side version. If the index has
changed, another user has modified the job and the plan's results are
potentially invalid.`, s.paint(bold, fmt.Sprintf("Job Modify Index: %d", r.JobModifyIndex)), command, j.path)
}
