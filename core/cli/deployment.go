package cli

import (
	"context"
	"time"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func predictDeployments(s *session) complete.Predictor {
	return s.predict(func(ctx context.Context, prefix string) []string {
		all, _, err := s.api.Deployments(ctx, &apiclient.Query{Prefix: evenPrefix(prefix)})
		if err != nil {
			return nil
		}
		var out []string
		for _, d := range all {
			out = append(out, string(d.ID))
		}
		return out
	})
}

func deploymentList() *leaf {
	return &leaf{
		words: "deployment list", synopsis: "List deployments",
		args: "[options]",
		prose: `Lists the deployments, newest first.

With ACLs, the 'read-job' capability is needed.`,
		setup: func(f *flags) func(*session) int {
			filter := f.flagString("filter", "expression", "", "Show only what matches, as in 'Status == \"running\"'.")
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			out := f.output()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				q := &apiclient.Query{Filter: *filter}
				if out.wanted() {
					return s.renderPath(ctx, out, "/v1/deployments", q, &[]*model.Deployment{})
				}
				return s.allDeployments(ctx, q, *verbose)
			}
		},
	}
}

func (s *session) allDeployments(ctx context.Context, q *apiclient.Query, verbose bool) int {
	list, _, err := s.api.Deployments(ctx, q)
	if err != nil {
		return s.fail("Error retrieving deployments: %v", err)
	}
	return s.deploymentSection(list, verbose)
}

func deploymentStatus() *leaf {
	return &leaf{
		words: "deployment status", synopsis: "Show a deployment",
		args: "[options] <deployment>", maxArgs: 1, wants: "either no arguments or one: <deployment>",
		prose: `Lists the deployments, or shows one with the state of its groups.

With ACLs, the 'read-job' capability is needed.`,
		complete: predictDeployments,
		setup: func(f *flags) func(*session) int {
			watch := f.flagBool("monitor", "Watch the deployment until it is over.", false)
			f.flagDuration("wait", "duration", 2*time.Second, "With -monitor, accepted for compatibility: changes show at once.")
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
				if len(s.args) == 0 {
					return s.allDeployments(ctx, nil, *verbose)
				}
				d, err := s.deployment(ctx, s.args[0], *verbose)
				if err != nil {
					return s.code(err)
				}
				if out.wanted() {
					return s.renderPath(ctx, out, "/v1/deployment/"+apiclient.Segment(d.ID), nil, &model.Deployment{})
				}
				m := &monitor{session: s, length: idLength(*verbose)}
				if *watch {
					s.printf("%s: Monitoring deployment %q\n", s.clock(s.now()), short(d.ID, m.length))
					return m.watchDeployment(ctx, d.ID, false)
				}
				s.println(s.deploymentBlock(d, m.length))
				return exitOK
			}
		},
	}
}

// deploymentAction is a command that changes a deployment.
func deploymentAction(words, synopsis, prose string, setup func(f *flags) func(ctx context.Context, s *session, d *model.Deployment) (*apiclient.DeploymentResponse, error),
	done func(s *session, d *model.Deployment, r *apiclient.DeploymentResponse), follow bool) *leaf {
	return &leaf{
		words: words, synopsis: synopsis, args: "[options] <deployment>", minArgs: 1, maxArgs: 1, wants: "one argument: <deployment>",
		prose:    prose + "\n\nWith ACLs, the 'submit-job' capability is needed.",
		complete: predictDeployments,
		setup: func(f *flags) func(*session) int {
			act := setup(f)
			detach, verbose := f.watching()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				d, err := s.deployment(ctx, s.args[0], *verbose)
				if err != nil {
					return s.code(err)
				}
				resp, err := act(ctx, s, d)
				if err != nil {
					return s.fail("Error changing deployment: %v", err)
				}
				done(s, d, resp)
				if resp.EvalID == "" || !follow && !*detach {
					return exitOK
				}
				if !*detach {
					s.println("")
				}
				return s.watchEval(ctx, resp.EvalID, *detach, *verbose, "Evaluation ID: %s\n")
			}
		},
	}
}

func deploymentPromote() *leaf {
	return deploymentAction("deployment promote", "Promote the canaries of a deployment",
		"Promotes the canaries of a deployment: the rest of the allocations is then updated.",
		func(f *flags) func(context.Context, *session, *model.Deployment) (*apiclient.DeploymentResponse, error) {
			groups := f.flagStrings("group", "name", "Promote this group only. May be given several times.")
			return func(ctx context.Context, s *session, d *model.Deployment) (*apiclient.DeploymentResponse, error) {
				r, _, err := s.api.PromoteDeployment(ctx, d.ID, *groups, nil)
				return r, err
			}
		}, func(*session, *model.Deployment, *apiclient.DeploymentResponse) {}, true)
}

func deploymentFail() *leaf {
	return deploymentAction("deployment fail", "Declare a deployment failed",
		"Marks a deployment as failed; with auto_revert the last stable version comes back.",
		func(*flags) func(context.Context, *session, *model.Deployment) (*apiclient.DeploymentResponse, error) {
			return func(ctx context.Context, s *session, d *model.Deployment) (*apiclient.DeploymentResponse, error) {
				r, _, err := s.api.FailDeployment(ctx, d.ID, nil)
				return r, err
			}
		}, func(s *session, d *model.Deployment, r *apiclient.DeploymentResponse) {
			if r.RevertedJobVersion != nil {
				s.printf("Deployment %q failed. Auto-reverted to job version %d.\n", d.ID, *r.RevertedJobVersion)
				return
			}
			s.printf("Deployment %q failed\n", d.ID)
		}, true)
}

func deploymentPause() *leaf { return pausing("pause", "Pause a deployment", "paused", true) }
func deploymentResume() *leaf {
	return pausing("resume", "Go on with a paused deployment", "resumed", false)
}

func pausing(word, synopsis, done string, pause bool) *leaf {
	prose := "Pauses a deployment: nothing more is placed for it until it is resumed."
	if !pause {
		prose = "Goes on with a paused deployment."
	}
	return deploymentAction("deployment "+word, synopsis, prose,
		func(*flags) func(context.Context, *session, *model.Deployment) (*apiclient.DeploymentResponse, error) {
			return func(ctx context.Context, s *session, d *model.Deployment) (*apiclient.DeploymentResponse, error) {
				r, _, err := s.api.PauseDeployment(ctx, d.ID, pause, nil)
				return r, err
			}
		}, func(s *session, d *model.Deployment, _ *apiclient.DeploymentResponse) {
			s.printf("Deployment %q %s\n", d.ID, done)
		}, !pause)
}
