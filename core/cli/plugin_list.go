package cli

import (
	"fmt"

	"github.com/seraiproject/serai/core/model"
)

func pluginList() *leaf {
	return &leaf{
		words: "plugin list", synopsis: "List the plugins of a node",
		args: "[options]",
		prose: `Lists the driver and device plugins of the agent's node, or of another with -node: their versions, processes and health, how many tasks they run, and how often they were started again.

With ACLs, the 'node:read' capability is needed.`,
		setup: func(f *flags) func(*session) int {
			nodeID := f.flagString("node", "id", "", "Ask this node instead of the agent's own.")
			out := f.output()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				var id model.NodeID
				if *nodeID != "" {
					stub, err := s.node(ctx, *nodeID)
					if err != nil {
						return s.code(err)
					}
					id = stub.ID
				}
				plugins, err := s.api.Plugins(ctx, id)
				if err != nil {
					return s.fail("Error querying plugins: %v", err)
				}
				if out.wanted() {
					return s.render(out, plugins)
				}
				if len(plugins) == 0 {
					s.println("No plugins found")
					return exitOK
				}
				rows := [][]string{{"Name", "Type", "Version", "Protocol", "PID", "Health", "Tasks", "Restarts"}}
				for _, p := range plugins {
					pid := "-"
					if p.PID > 0 {
						pid = fmt.Sprint(p.PID)
					}
					rows = append(rows, []string{p.Name, p.Type, orNone(p.Version), orNone(p.Protocol), pid, p.Health, fmt.Sprint(p.Tasks), fmt.Sprint(p.Restarts)})
				}
				s.println(table(rows...))
				return exitOK
			}
		},
	}
}
