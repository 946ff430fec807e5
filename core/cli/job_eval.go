package cli

import (
	"encoding/json"

	"github.com/seraiproject/serai/core/apiclient"
)

func jobEval() *leaf {
	return &leaf{
		words: "job eval", synopsis: "Make the scheduler look at a job again",
		args: "[options] <job>", minArgs: 1, maxArgs: 1, wants: "one argument: <job>",
		prose: `Makes the scheduler look at a job again.

With ACLs, the 'submit-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			force := f.flagBool("force-reschedule", "Place failed allocations anew whatever their reschedule policy says.", false)
			detach, verbose := f.watching()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				resp, _, err := s.api.EvaluateJob(ctx, ref.id, *force, ref.query())
				if err != nil {
					return s.fail("Error evaluating job: %v", err)
				}
				return s.watchEval(ctx, resp.EvalID, *detach, *verbose, "Created eval ID: \"%.8s\" \n")
			}
		},
	}
}

func jobStart() *leaf {
	return &leaf{
		words: "job start", aliases: []string{"start"}, synopsis: "Start a stopped job again",
		args: "[options] <job>", minArgs: 1, maxArgs: 1, wants: "one argument: <job>",
		prose: `Registers the newest version of a stopped job again, so that it runs.

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
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				raw, err := s.rawJob(ctx, ref, nil)
				if err != nil {
					return s.fail("Error retrieving job: %v", err)
				}
				var head struct {
					Stop    bool
					Version uint64
				}
				if err := json.Unmarshal(raw, &head); err != nil {
					return s.fail("Error retrieving job: %v", err)
				}
				if !head.Stop {
					return s.fail("Job %q has not been stopped", ref.id)
				}
				var job map[string]json.RawMessage
				if err := json.Unmarshal(raw, &job); err != nil {
					return s.fail("Error retrieving job: %v", err)
				}
				job["Stop"] = json.RawMessage("false")
				body, err := json.Marshal(job)
				if err != nil {
					return s.fail("Error converting job: %v", err)
				}
				req := &apiclient.RegisterRequest{Job: body}
				// The text of the job is kept if the servers still have it.
				if sub, _, err := s.api.JobSubmission(ctx, ref.id, head.Version, ref.query()); err == nil {
					req.Submission = sub
				}
				resp, _, err := s.api.RegisterJob(ctx, req, ref.query())
				if err != nil {
					return s.fail("Error starting job: %v", err)
				}
				return s.watchEval(ctx, resp.EvalID, *detach, *verbose, "Job registration successful\nEvaluation ID: %s\n")
			}
		},
	}
}

func jobPromote() *leaf {
	return &leaf{
		words: "job promote", synopsis: "Promote the canaries of a job",
		args: "[options] <job>", minArgs: 1, maxArgs: 1, wants: "one argument: <job>",
		prose: `Promotes the canaries of a job's newest deployment: the rest of the allocations is then updated.

With ACLs, the 'submit-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			groups := f.flagStrings("group", "name", "Promote this group only. May be given several times.")
			detach, verbose := f.watching()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				d, _, err := s.api.LatestDeployment(ctx, ref.id, ref.query())
				switch {
				case err != nil:
					return s.fail("Error retrieving job deployments: %v", err)
				case d == nil:
					return s.fail("Job %q has no deployment to promote", ref.id)
				}
				resp, _, err := s.api.PromoteDeployment(ctx, d.ID, *groups, nil)
				if err != nil {
					return s.fail("Error promoting deployment %q: %v", d.ID, err)
				}
				return s.watchEval(ctx, resp.EvalID, *detach, *verbose, "Evaluation ID: %s\n")
			}
		},
	}
}
