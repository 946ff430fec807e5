package cli

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/seraiproject/serai/core/apiclient"
)

func serverMembers() *leaf {
	return &leaf{
		words: "server members", aliases: []string{"server-members"}, synopsis: "List servers",
		args: "[options]",
		prose: `Lists the servers that the agent's server knows, of all regions.

With ACLs, the 'node:read' capability is needed.`,
		setup: func(f *flags) func(*session) int {
			verbose := f.flagBool("verbose", "Show more.", false)
			detailed := f.hiddenBool("detailed")
			ui := f.uiFlag()
			out := f.output()
			return func(s *session) int {
				s.noUI(*ui)
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				members, err := s.api.Members(ctx)
				if err != nil {
					return s.fail("Error querying servers: %v", err)
				}
				slices.SortStableFunc(members.Members, func(a, b *apiclient.AgentMember) int { return cmp.Compare(a.Name, b.Name) })
				if out.wanted() {
					return s.render(out, members.Members)
				}
				leaders, trouble := s.leaders(ctx, members.Members)
				s.println(memberTable(members.Members, leaders, *verbose || *detailed))
				for _, err := range trouble {
					s.fail("\nError determining leaders: %v", err)
				}
				if len(trouble) > 0 {
					return exitError
				}
				return exitOK
			}
		},
	}
}

// leaders asks for the leader of each region.
func (s *session) leaders(ctx context.Context, members []*apiclient.AgentMember) (map[string]string, []error) {
	leaders := map[string]string{}
	var trouble []error
	for _, m := range members {
		region := m.Tags["region"]
		if _, asked := leaders[region]; asked {
			continue
		}
		addr, err := s.api.Leader(ctx, region)
		if err != nil {
			trouble = append(trouble, fmt.Errorf("Region %q: %w", region, err)) //nolint:staticcheck // shown as it is
		}
		leaders[region] = addr
	}
	return leaders, trouble
}

func memberTable(members []*apiclient.AgentMember, leaders map[string]string, verbose bool) string {
	header := []string{"Name", "Address", "Port", "Status", "Leader"}
	if verbose {
		header = append(header, "Protocol")
	}
	header = append(header, "Raft Version", "Build", "Datacenter", "Region")
	if verbose {
		header = append(header, "Tags")
	}
	rows := [][]string{header}
	for _, m := range members {
		host := m.Tags["rpc_addr"]
		if host == "" {
			host = m.Addr
		}
		leader := leaders[m.Tags["region"]] == net.JoinHostPort(host, m.Tags["port"])
		row := []string{m.Name, m.Addr, fmt.Sprint(m.Port), m.Status, fmt.Sprint(leader)}
		if verbose {
			row = append(row, fmt.Sprint(m.ProtocolCur))
		}
		row = append(row, m.Tags["raft_vsn"], m.Tags["build"], m.Tags["dc"], m.Tags["region"])
		if verbose {
			var tags []string
			for _, k := range sortedKeys(m.Tags) {
				tags = append(tags, k+"="+m.Tags[k])
			}
			row = append(row, strings.Join(tags, ","))
		}
		rows = append(rows, row)
	}
	return table(rows...)
}

func serverJoin() *leaf {
	return &leaf{
		words: "server join", aliases: []string{"server-join"}, synopsis: "Join other servers",
		args: "[options] <address>...", minArgs: 1, maxArgs: -1, wants: "at least one argument: <address>",
		prose: `Makes the agent's server join the servers at the given gossip addresses; one that answers is enough to join all of its cluster.`,
		setup: func(f *flags) func(*session) int {
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				n, err := s.api.Join(ctx, s.args...)
				if err != nil {
					return s.fail("Error joining: %v", err)
				}
				s.printf("Joined %d servers successfully\n", n)
				return exitOK
			}
		},
	}
}

func serverForceLeave() *leaf {
	return &leaf{
		words: "server force-leave", aliases: []string{"server-force-leave"}, synopsis: "Declare a server gone",
		args: "[options] <server>", minArgs: 1, maxArgs: 1, wants: "one argument: <server>",
		prose: `Declares a failed server gone, so that nobody waits for it to come back.

With ACLs, the 'agent:write' capability is needed.`,
		setup: func(f *flags) func(*session) int {
			prune := f.flagBool("prune", "Also forget the server.", false)
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				if err := s.api.ForceLeave(ctx, s.args[0], *prune); err != nil {
					return s.fail("Error force-leaving server %s: %v", s.args[0], err)
				}
				return exitOK
			}
		},
	}
}
