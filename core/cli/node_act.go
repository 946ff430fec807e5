package cli

import "github.com/seraiproject/serai/core/model"

func nodeEligibility() *leaf {
	return &leaf{
		words: "node eligibility", synopsis: "Let a node take new work, or not",
		args: "[options] <node>", maxArgs: 1, wants: "one argument: <node>, or -self",
		prose: `Lets a node take new work, or not. What runs on it stays.

With ACLs, the 'node:write' capability is needed.`,
		complete: predictNodes,
		setup: func(f *flags) func(*session) int {
			enable := f.flagBool("enable", "Let the node take new work.", false)
			disable := f.flagBool("disable", "Keep new work off the node.", false)
			self := f.flagBool("self", "Act on the node of the agent that answers.", false)
			return func(s *session) int {
				if *enable == *disable {
					return s.misuse(s.leaf, exitError, "Either the '-enable' or '-disable' flag must be set")
				}
				if *self == (len(s.args) == 1) {
					return s.misuse(s.leaf, exitError, "Either a node or '-self' must be given")
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				var id model.NodeID
				var err error
				if *self {
					id, err = s.selfNode(ctx)
				} else {
					var stub *model.NodeListStub
					if stub, err = s.node(ctx, s.args[0]); err == nil {
						id = stub.ID
					}
				}
				if err != nil {
					return s.code(err)
				}
				if err := s.api.SetNodeEligibility(ctx, id, *enable, nil); err != nil {
					return s.fail("Error updating scheduling eligibility: %v", err)
				}
				state := model.NodeIneligible
				if *enable {
					state = model.NodeEligible
				}
				s.printf("Node %q scheduling eligibility set: %s for scheduling\n", id, state)
				return exitOK
			}
		},
	}
}

func nodeConfig() *leaf {
	return &leaf{
		words: "node config", aliases: []string{"client-config"}, synopsis: "Show or replace the servers a node knows",
		args: "[options] <server>...", maxArgs: -1,
		prose: `Shows or replaces the list of servers that a node agent knows.

With ACLs, the 'agent:read' capability is needed, and 'agent:write' to replace the list.`,
		setup: func(f *flags) func(*session) int {
			show := f.flagBool("servers", "Show the known servers, one per line.", false)
			update := f.flagBool("update-servers", "Replace the list by the arguments.", false)
			return func(s *session) int {
				if *show == *update {
					return s.misuse(s.leaf, exitError, "Either the '-servers' or '-update-servers' flag must be set")
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				if *show {
					servers, err := s.api.AgentServers(ctx)
					if err != nil {
						return s.fail("Error querying server list: %v", err)
					}
					for _, addr := range servers {
						s.println(addr)
					}
					return exitOK
				}
				if len(s.args) == 0 {
					return s.misuse(s.leaf, exitError, "At least one server address is needed")
				}
				if err := s.api.SetAgentServers(ctx, s.args...); err != nil {
					return s.fail("Error updating server list: %v", err)
				}
				s.println("Updated server list")
				return exitOK
			}
		},
	}
}
