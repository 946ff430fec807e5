package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func nodeDrain() *leaf {
	return &leaf{
		words: "node drain", aliases: []string{"node-drain"}, synopsis: "Move work off a node",
		args: "[options] <node>", maxArgs: 1, wants: "one argument: <node>, or -self",
		prose: `Moves a node's allocations to other nodes, as many at a time as their groups' migrate blocks allow, and keeps new work off it. The node stays so until it is disabled with -disable. The command watches until the node is empty; Ctrl-C only ends the watching.

With ACLs, the 'node:write' capability is needed.`,
		complete: predictNodes,
		setup: func(f *flags) func(*session) int {
			d := drainFlags{
				enable:  f.flagBool("enable", "Start draining the node.", false),
				disable: f.flagBool("disable", "Stop draining the node, and let it take new work.", false),
				keep:    f.flagBool("keep-ineligible", "With -disable, go on keeping new work off the node.", false),
				monitor: f.flagBool("monitor", "Watch a drain that is under way.", false),
			}
			deadline := f.flagDuration("deadline", "duration", time.Hour, "After this time, what is left is stopped. Default: 1h.")
			force := f.flagBool("force", "Stop everything at once.", false)
			none := f.flagBool("no-deadline", "Let work take as long as it needs.", false)
			system := f.flagBool("ignore-system", "Leave system jobs running.", false)
			message := f.flagString("m", "text", "", "A note about the drain.")
			meta := f.flagStrings("meta", "key=value", "More notes. May be given several times.")
			self := f.flagBool("self", "Drain the node of the agent that answers.", false)
			detach := f.flagBool("detach", "Do not watch.", false)
			yes := f.flagBool("yes", "Do not ask.", false)
			return func(s *session) int {
				switch {
				case *d.enable && *d.disable, !*d.enable && !*d.disable && !*d.monitor:
					return s.misuse(s.leaf, exitError, "Either the '-enable' or '-disable' flag must be set, unless using '-monitor'")
				case *force && (*none || f.given("deadline")), *none && f.given("deadline"):
					return s.misuse(s.leaf, exitError, "Only one of -deadline, -force and -no-deadline can be given")
				case *self == (len(s.args) == 1):
					return s.misuse(s.leaf, exitError, "Either a node or '-self' must be given")
				}
				notes := map[string]string{}
				if *message != "" {
					notes["message"] = *message
				}
				for _, kv := range *meta {
					key, value, ok := strings.Cut(kv, "=")
					if !ok {
						return s.fail("Drain metadata %q is not of the form key=value", kv)
					}
					notes[key] = value
				}
				spec := &apiclient.DrainSpec{Deadline: *deadline, IgnoreSystemJobs: *system}
				switch {
				case *force:
					spec.Deadline = -1
				case *none:
					spec.Deadline = 0
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				var id model.NodeID
				var err error
				exact := *self
				if *self {
					id, err = s.selfNode(ctx)
				} else {
					var stub *model.NodeListStub
					if stub, err = s.node(ctx, s.args[0]); err == nil {
						id, exact = stub.ID, string(stub.ID) == s.args[0]
					}
				}
				if err != nil {
					return s.code(err)
				}
				if !exact && !*yes && !*d.monitor {
					verb := "enable"
					if *d.disable {
						verb = "disable"
					}
					ok, err := s.confirm(fmt.Sprintf("Are you sure you want to %s drain mode for node %q?", verb, id))
					if err != nil {
						return s.fail("Failed to parse answer: %v", err)
					}
					if !ok {
						s.println("Canceling drain toggle")
						return exitOK
					}
				}
				return s.drain(ctx, id, spec, d, notes, *detach)
			}
		},
	}
}

type drainFlags struct{ enable, disable, keep, monitor *bool }

func (s *session) drain(ctx context.Context, id model.NodeID, spec *apiclient.DrainSpec, d drainFlags, notes map[string]string, detach bool) int {
	if *d.monitor && !*d.enable && !*d.disable {
		node, _, err := s.api.Node(ctx, id, nil)
		if err != nil {
			return s.fail("Error querying node info: %v", err)
		}
		if node.DrainStrategy == nil {
			s.println("No drain strategy set")
			return exitOK
		}
		return s.watchDrain(ctx, id)
	}
	if *d.disable {
		spec = nil
	}
	if err := s.api.DrainNode(ctx, id, spec, *d.disable && !*d.keep, notes, nil); err != nil {
		return s.fail("Error updating drain specification: %v", err)
	}
	if *d.disable {
		s.printf("Node %q drain strategy unset\n", id)
		return exitOK
	}
	if detach {
		s.printf("Node %q drain strategy set\n", id)
		return exitOK
	}
	s.stamp("Ctrl-C to stop monitoring: will not cancel the node drain")
	s.stamp("Node %q drain strategy set", id)
	return s.watchDrain(ctx, id)
}

// stamp prints a line with the time in front.
func (s *session) stamp(format string, args ...any) {
	s.printf("%s: %s\n", s.clock(s.now()), fmt.Sprintf(format, args...))
}

// drainState is what was last seen of an allocation.
type drainState struct {
	status   string
	migrate  bool
	stopping bool
}

// watchDrain prints what happens on a node until it has been emptied.
func (s *session) watchDrain(ctx context.Context, id model.NodeID) int {
	seen := map[model.AllocID]drainState{}
	ignoreSystem, complete := false, false
	index := uint64(0)
	for first := true; ; first = false {
		// The node first: what its allocations did before the drain was over is
		// then told before that.
		node, _, err := s.api.Node(ctx, id, nil)
		if err != nil {
			return s.interrupted(ctx, "Error monitoring drain: %v", err)
		}
		allocs, meta, err := s.api.NodeAllocations(ctx, id, &apiclient.Query{Index: index, Wait: pollInterval})
		if err != nil {
			return s.interrupted(ctx, "Error monitoring drain: %v", err)
		}
		index = meta.Index
		if node.DrainStrategy != nil {
			ignoreSystem = node.DrainStrategy.IgnoreSystemJobs
		}
		left := 0
		for _, a := range allocs {
			if ignoreSystem && a.Job != nil && (a.Job.Type == model.JobTypeSystem || a.Job.Type == model.JobTypeSysBatch) {
				continue
			}
			if !a.ClientTerminal() {
				left++
			}
			s.drainStep(a, seen, first)
		}
		if node.DrainStrategy == nil && !complete {
			complete = true
			s.stamp("Drain complete for node %s", id)
		}
		if complete && left == 0 {
			s.stamp("All allocations on node %q have stopped", id)
			return exitOK
		}
		if meta.Index == 0 {
			select {
			case <-ctx.Done():
				return exitError
			case <-time.After(pollInterval):
			}
		}
	}
}

// drainStep tells what changed of an allocation. What had ended before the watch
// began is left out.
func (s *session) drainStep(a *model.Allocation, seen map[model.AllocID]drainState, first bool) {
	next := drainState{status: a.ClientStatus, migrate: a.DesiredTransition.ShouldMigrate(), stopping: a.ServerTerminal()}
	before, known := seen[a.ID]
	seen[a.ID] = next
	if a.ClientTerminal() && (first || !known) {
		return
	}
	if next.migrate && !before.migrate {
		s.stamp("Alloc %q marked for migration", a.ID)
	}
	if next.stopping && !before.stopping && !a.ClientTerminal() {
		s.stamp("Alloc %q draining", a.ID)
	}
	if known && next.status != before.status {
		s.stamp("Alloc %q status %s -> %s", a.ID, before.status, next.status)
	}
}
