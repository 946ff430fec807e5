package cli

import (
	"context"
	"fmt"
	"sync"

	"github.com/seraiproject/serai/core/apiclient"
)

func jobStop() *leaf {
	return &leaf{
		words: "job stop", aliases: []string{"stop"}, synopsis: "Stop jobs",
		args: "[options] <job>...", minArgs: 1, maxArgs: -1, wants: "at least one argument: <job>",
		prose: `Stops the jobs: their allocations are stopped, and no new ones are placed. The beginning of an ID is enough if it is unique, but then the command asks before it acts. A stopped job is remembered until it is collected, and can be started again.

With ACLs, the 'submit-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			detach := f.flagBool("detach", "Do not watch; print the evaluation's ID and return.", false)
			priority := f.flagInt("eval-priority", "number", 0, "The priority of the evaluation, instead of the job's.")
			global := f.flagBool("global", "Stop a job of several regions in all of them.", false)
			noDelay := f.flagBool("no-shutdown-delay", "Do not wait for the shutdown delay of groups and tasks.", false)
			purge := f.flagBool("purge", "Also forget the job.", false)
			yes := f.flagBool("yes", "Do not ask.", false)
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				var refs []jobRef
				for _, given := range s.args {
					ref, err := s.job(ctx, given)
					if err != nil {
						return s.code(err)
					}
					if !ref.exact && !*yes {
						ok, err := s.confirm(fmt.Sprintf("Are you sure you want to stop job %q?", ref.id))
						if err != nil {
							return s.fail("Failed to parse answer: %v", err)
						}
						if !ok {
							s.println("Cancelling job stop")
							return exitOK
						}
					}
					refs = append(refs, ref)
				}
				codes := make([]int, len(refs))
				var all sync.WaitGroup
				for i, ref := range refs {
					all.Go(func() {
						codes[i] = s.stopJob(ctx, ref, apiclient.StopOptions{
							Purge: *purge, Global: *global, NoShutdownDelay: *noDelay, EvalPriority: *priority,
						}, *detach, *verbose)
					})
				}
				all.Wait()
				for _, code := range codes {
					if code != exitOK {
						return code
					}
				}
				return exitOK
			}
		},
	}
}

// stopJob stops one job and watches what comes of it.
func (s *session) stopJob(ctx context.Context, ref jobRef, o apiclient.StopOptions, detach, verbose bool) int {
	if _, _, err := s.api.Job(ctx, ref.id, ref.query()); err != nil {
		return s.fail("Error deregistering job: %v", err)
	}
	resp, _, err := s.api.StopJob(ctx, ref.id, o, ref.query())
	if err != nil {
		return s.fail("Error deregistering job: %v", err)
	}
	if resp.EvalID == "" { // periodic and parameterized jobs
		return exitOK
	}
	if detach {
		s.println(string(resp.EvalID))
		return exitOK
	}
	m := &monitor{session: s, length: idLength(verbose)}
	if code := m.watch(ctx, resp.EvalID); code != exitOK {
		return code
	}
	if o.Purge || m.watched != "" {
		return exitOK
	}
	d, _, err := s.api.LatestDeployment(ctx, ref.id, ref.query())
	if err != nil || d == nil {
		return exitOK // a job without a deployment, or forgotten already
	}
	return m.watchDeployment(ctx, d.ID, true)
}
