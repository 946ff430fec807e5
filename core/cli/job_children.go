package cli

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func jobDispatch() *leaf {
	return &leaf{
		words: "job dispatch", synopsis: "Start a child of a parameterized job",
		args: "[options] <job> [input source]", minArgs: 1, maxArgs: 2, wants: "one or two arguments: <job> [input source]",
		prose: `Starts a child of a parameterized job, with the file given, or standard input for "-", as its payload.

With ACLs, the 'dispatch-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			meta := f.flagStrings("meta", "key=value", "Metadata of the child. May be given several times.")
			prefix := f.flagString("id-prefix-template", "text", "", "A part of the child's ID.")
			token := f.flagString("idempotency-token", "text", "", "Start no second child with the same token.")
			priority := f.Int("priority", 0, "")
			wait := f.flagBool("wait", "Wait until every allocation of the child has ended.", false)
			detach, verbose := f.watching()
			ui := f.uiFlag()
			return func(s *session) int {
				s.noUI(*ui)
				req := &apiclient.DispatchRequest{IdPrefixTemplate: *prefix, IdempotencyToken: *token, Priority: *priority, Meta: map[string]string{}}
				for _, kv := range *meta {
					key, value, ok := strings.Cut(kv, "=")
					if !ok {
						return s.fail("Error parsing meta value: %s", kv)
					}
					req.Meta[key] = value
				}
				if len(s.args) == 2 {
					var err error
					if s.args[1] == "-" {
						req.Payload, err = io.ReadAll(s.deps.Stdin)
					} else {
						req.Payload, err = os.ReadFile(s.args[1])
					}
					if err != nil {
						return s.fail("Error reading input data: %v", err)
					}
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.resolveJob(ctx, s.args[0], `ParentID == "" and ParameterizedJob is not nil`, "parameterized job")
				if err != nil {
					return s.code(err)
				}
				resp, _, err := s.api.DispatchJob(ctx, ref.id, req, ref.query())
				if err != nil {
					return s.fail("Failed to dispatch job: %v", err)
				}
				rows := []string{"Dispatched Job ID", string(resp.DispatchedJobID)}
				if resp.EvalID == "" {
					s.println(pairs(rows...))
					return exitOK
				}
				s.println(pairs(append(rows, "Evaluation ID", short(resp.EvalID, idLength(*verbose)))...))
				if *detach {
					return exitOK
				}
				s.println("")
				if code := s.watchEval(ctx, resp.EvalID, false, *verbose, ""); code != exitOK || !*wait {
					return code
				}
				return s.waitForJob(ctx, resp.DispatchedJobID, ref.namespace)
			}
		},
	}
}

// waitForJob waits until every allocation of a job has ended; code 2 says that
// one failed.
func (s *session) waitForJob(ctx context.Context, id model.JobID, namespace string) int {
	q := &apiclient.Query{Namespace: namespace, Wait: deploymentQuiet}
	for {
		allocs, meta, err := s.api.JobAllocations(ctx, id, false, q)
		if err != nil {
			return s.interrupted(ctx, "Error querying job allocations: %v", err)
		}
		ended, failed := 0, 0
		for _, a := range allocs {
			switch a.ClientStatus {
			case model.AllocClientFailed, model.AllocClientLost:
				if a.NextAllocation == "" && a.FollowupEvalID == "" {
					failed++
				}
				ended++
			case model.AllocClientComplete:
				ended++
			}
		}
		if len(allocs) > 0 && ended == len(allocs) {
			if failed > 0 {
				s.fail("%d of %d allocations failed", failed, len(allocs))
				return exitUnplaced
			}
			return exitOK
		}
		if q.Index = meta.Index; q.Index == 0 {
			select {
			case <-ctx.Done():
				return exitError
			case <-time.After(pollInterval):
			}
		}
	}
}

func jobPeriodicForce() *leaf {
	return &leaf{
		words: "job periodic force", synopsis: "Start a child of a periodic job now",
		args: "[options] <job>", minArgs: 1, maxArgs: 1, wants: "one argument: <job>",
		prose: `Starts a child of a periodic job without waiting for its time.

With ACLs, the 'submit-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			detach, verbose := f.watching()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.resolveJob(ctx, s.args[0], "Periodic is not nil", "periodic job")
				if err != nil {
					return s.code(err)
				}
				id, err := s.api.ForcePeriodicJob(ctx, ref.id, ref.query())
				if err != nil {
					return s.fail("Error forcing periodic job %q: %v", ref.id, err)
				}
				return s.watchEval(ctx, id, *detach, *verbose, "Force periodic successful\nEvaluation ID: %s\n")
			}
		},
	}
}

func jobScale() *leaf {
	return &leaf{
		words: "job scale", synopsis: "Change the count of a group",
		args: "[options] <job> [<group>] <count>", minArgs: 2, maxArgs: 3, wants: "two or three arguments: <job> [<group>] <count>",
		prose: `Changes how many allocations a group of a job has. The group may be left out if there is only one.

With ACLs, the 'read-job-scaling' capability and 'scale-job' or 'submit-job' are needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			check := f.flagInt("check-index", "index", 0, "Scale only if the job's modify index is this one.")
			detach, verbose := f.watching()
			return func(s *session) int {
				last := s.args[len(s.args)-1]
				count, err := strconv.Atoi(last)
				if err != nil {
					return s.fail("Failed to convert count string to int: %s", err)
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				job, _, err := s.api.Job(ctx, ref.id, ref.query())
				if err != nil {
					return s.fail("Error querying job: %v", err)
				}
				if *check > 0 && job.JobModifyIndex != uint64(*check) {
					return s.fail("Error submitting scaling request: the job's modify index is %d, not %d", job.JobModifyIndex, *check)
				}
				group := ""
				switch {
				case len(s.args) == 3:
					group = s.args[1]
				case len(job.TaskGroups) == 1:
					group = job.TaskGroups[0].Name
				default:
					var names []string
					for _, g := range job.TaskGroups {
						names = append(names, g.Name)
					}
					return s.fail("Group name required; the job has the groups %s", strings.Join(names, ", "))
				}
				resp, _, err := s.api.ScaleJob(ctx, ref.id, group, count, "submitted using the Nomad CLI", ref.query())
				if err != nil {
					return s.fail("Error submitting scaling request: %v", err)
				}
				s.warnings(resp.Warnings)
				return s.watchEval(ctx, resp.EvalID, *detach, *verbose, "Job scale successful\nEvaluation ID: %s\n")
			}
		},
	}
}

// periodicGroup holds what only periodic jobs know.
var periodicGroup = group{"job periodic", "Periodic jobs", "This command groups what can be done with periodic jobs.",
	[]string{"Start a child of a periodic job now", "serai job periodic force <job>"}}
