package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

// tasksOf lists the names of an allocation's tasks.
func tasksOf(a *model.Allocation) []string {
	if g := a.Group(); g != nil {
		var names []string
		for _, t := range g.Tasks {
			names = append(names, t.Name)
		}
		return names
	}
	return sortedKeys(a.TaskStates)
}

// validTask checks the name of a task.
func validTask(a *model.Allocation, task string) error {
	names := tasksOf(a)
	if slices.Contains(names, task) {
		return nil
	}
	return fmt.Errorf("Could not find task named: %s, found:\n%s", task, strings.Join(sortedCopy(names), "\n")) //nolint:staticcheck // the text is a contract
}

// onlyTask is the given task, or the only one there is.
func onlyTask(a *model.Allocation, given string) (string, error) {
	if given != "" {
		return given, validTask(a, given)
	}
	names := tasksOf(a)
	if len(names) == 1 {
		return names[0], nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Allocation %q is running the following tasks:\n", short(a.ID, 8))
	for _, n := range sortedCopy(names) {
		fmt.Fprintf(&b, "  * %s\n", n)
	}
	b.WriteString("\nPlease specify the task.")
	return "", fmt.Errorf("%s", b.String())
}

// withAlloc runs do with the allocation of the first argument, and with the
// task of the flag or of the second argument.
func (s *session) withAlloc(taskFlag string, verbose bool, do func(ctx context.Context, a *model.Allocation, task string) int) int {
	if _, ok := s.connect(); !ok {
		return exitError
	}
	ctx, cancel := s.deps.interruptible()
	defer cancel()
	a, err := s.fullAlloc(ctx, s.args[0], verbose, exitError)
	if err != nil {
		return s.code(err)
	}
	task := taskFlag
	if len(s.args) > 1 {
		if task != "" {
			return s.fail("-task and a task as the second argument cannot be used together")
		}
		task = s.args[1]
	}
	if task != "" {
		if err := validTask(a, task); err != nil {
			return s.fail("%v", err)
		}
	}
	return do(ctx, a, task)
}

func allocStop() *leaf {
	return &leaf{
		words: "alloc stop", synopsis: "Stop an allocation, to be placed anew",
		args: "[options] <allocation>", minArgs: 1, maxArgs: 1, wants: "one argument: <allocation>",
		prose: `Stops an allocation; its job then places another in its stead.

With ACLs, the 'alloc-lifecycle' capability is needed.`,
		complete: predictAllocs,
		setup: func(f *flags) func(*session) int {
			noDelay := f.flagBool("no-shutdown-delay", "Do not wait for the shutdown delay of groups and tasks.", false)
			detach, verbose := f.watching()
			return func(s *session) int {
				return s.withAlloc("", *verbose, func(ctx context.Context, a *model.Allocation, _ string) int {
					id, err := s.api.StopAllocation(ctx, a.ID, *noDelay, nil)
					if err != nil {
						return s.fail("Error stopping allocation: %v", err)
					}
					return s.watchEval(ctx, id, *detach, *verbose, "%s\n")
				})
			}
		},
	}
}

func allocRestart() *leaf {
	return &leaf{
		words: "alloc restart", synopsis: "Restart tasks in place",
		args: "[options] <allocation> <task>", minArgs: 1, maxArgs: 2, wants: "one or two arguments: <allocation> [task]",
		prose: `Restarts one task of an allocation, or all that run, in place.

With ACLs, the 'alloc-lifecycle' capability is needed.`,
		complete: predictAllocs,
		setup: func(f *flags) func(*session) int {
			all := f.flagBool("all-tasks", "Also restart tasks that ended.", false)
			task := f.flagString("task", "name", "", "The task to restart.")
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			return func(s *session) int {
				return s.withAlloc(*task, *verbose, func(ctx context.Context, a *model.Allocation, task string) int {
					if *all && task != "" {
						return s.fail("The -all-tasks option is not allowed when restarting a specific task.")
					}
					if err := s.api.RestartAllocation(ctx, a.ID, task, *all, nil); err != nil {
						return s.fail("Failed to restart allocation:\n\n%v", err)
					}
					return exitOK
				})
			}
		},
	}
}

func allocSignal() *leaf {
	return &leaf{
		words: "alloc signal", synopsis: "Send a signal to tasks",
		args: "[options] <allocation> <task>", minArgs: 1, maxArgs: 2, wants: "one or two arguments: <allocation> [task]",
		prose: `Sends a signal to one task of an allocation, or to all.

With ACLs, the 'alloc-lifecycle' capability is needed.`,
		complete: predictAllocs,
		setup: func(f *flags) func(*session) int {
			signal := f.flagString("s", "signal", "SIGKILL", "The signal to send. Default: SIGKILL.")
			task := f.flagString("task", "name", "", "The task to signal.")
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			return func(s *session) int {
				return s.withAlloc(*task, *verbose, func(ctx context.Context, a *model.Allocation, task string) int {
					if err := s.api.SignalAllocation(ctx, a.ID, task, *signal, nil); err != nil {
						return s.fail("Error signalling allocation: %v", err)
					}
					return exitOK
				})
			}
		},
	}
}

func allocChecks() *leaf {
	return &leaf{
		words: "alloc checks", synopsis: "Show the service checks of an allocation",
		args: "[options] <allocation>", minArgs: 1, maxArgs: 1, wants: "one argument: <allocation>",
		prose: `Shows the state of the service checks that an allocation's node runs.

With ACLs, the 'read-job' capability is needed.`,
		complete: predictAllocs,
		setup: func(f *flags) func(*session) int {
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			out := f.output()
			return func(s *session) int {
				return s.withAlloc("", *verbose, func(ctx context.Context, a *model.Allocation, _ string) int {
					if out.wanted() {
						return s.renderPath(ctx, out, "/v1/client/allocation/"+apiclient.Segment(a.ID)+"/checks", nil, &map[string]*apiclient.CheckStatus{})
					}
					checks, err := s.api.AllocationChecks(ctx, a.ID, nil)
					if err != nil {
						return s.fail("Error querying allocation checks: %v", err)
					}
					s.printf("Status of %d Nomad Service Checks\n", len(checks))
					for _, id := range sortedKeys(checks) {
						c := checks[id]
						task := "(group)"
						if c.Task != "" {
							task = c.Task
						}
						rows := []string{"ID", short(c.ID, idLength(*verbose)), "Name", c.Check, "Group", c.Group, "Task", task,
							"Service", c.Service, "Status", c.Status, "Mode", c.Mode}
						if c.StatusCode > 0 {
							rows = append(rows, "StatusCode", fmt.Sprint(c.StatusCode))
						}
						rows = append(rows, "Timestamp", s.clockNano(c.Timestamp*1e9), "Output", c.Output)
						s.printf("\n%s\n", strings.ReplaceAll(pairs(rows...), " = ", " =  "))
					}
					return exitOK
				})
			}
		},
	}
}
