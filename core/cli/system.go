package cli

import (
	"strings"

	"github.com/seraiproject/serai/core/apiclient"
)

// staleQuery is a query that any server may answer.
func staleQuery(stale bool) *apiclient.Query { return &apiclient.Query{Stale: stale} }

func systemGC() *leaf {
	return &leaf{
		words: "system gc", synopsis: "Collect everything that is over",
		args: "[options]",
		prose: `Makes the servers collect everything that is over: jobs, evaluations, allocations, deployments and nodes.

With ACLs, a management token is needed.`,
		setup: func(*flags) func(*session) int {
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				if err := s.api.SystemGC(ctx, nil); err != nil {
					return s.fail("Error running system garbage-collection: %v", err)
				}
				return exitOK
			}
		},
	}
}

func versionCommand() *leaf {
	return &leaf{
		words: "version", synopsis: "Print the version", args: "", offline: true,
		prose: "Prints the version of this program.",
		setup: func(*flags) func(*session) int {
			return func(s *session) int {
				s.println(versionLine(s.deps.Version))
				return exitOK
			}
		},
	}
}

func agentInfo() *leaf {
	return &leaf{
		words: "agent-info", synopsis: "Print the figures of an agent",
		args: "[options]",
		prose: `Prints the figures of the agent that answers.

With ACLs, the 'agent:read' capability is needed.`,
		setup: func(f *flags) func(*session) int {
			out := f.output()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				self, err := s.api.AgentSelf(ctx)
				if err != nil {
					return s.fail("Error querying agent info: %v", err)
				}
				if out.wanted() {
					return s.render(out, self)
				}
				for _, section := range sortedKeys(self.Stats) {
					var b strings.Builder
					for _, key := range sortedKeys(self.Stats[section]) {
						b.WriteString("\n  " + key + " = " + self.Stats[section][key])
					}
					s.println(section + b.String())
				}
				return exitOK
			}
		},
	}
}
