package cli

import (
	"fmt"
	"strconv"
)

func raftListPeers() *leaf {
	return &leaf{
		words: "operator raft list-peers", synopsis: "List the members of the Raft group",
		args:  "[options]",
		prose: "Lists the servers that take part in Raft.\n\nWith ACLs, a management token is needed.",
		setup: func(f *flags) func(*session) int {
			stale := f.flagBool("stale", "Let any server answer.", false)
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				peers, err := s.api.RaftConfiguration(ctx, staleQuery(*stale))
				if err != nil {
					return s.fail("Failed to retrieve raft configuration: %v", err)
				}
				rows := [][]string{{"Node", "ID", "Address", "State", "Voter", "RaftProtocol"}}
				for _, p := range peers {
					state := "follower"
					if p.Leader {
						state = "leader"
					}
					rows = append(rows, []string{p.Node, p.ID, p.Address, state, strconv.FormatBool(p.Voter), p.RaftProtocol})
				}
				s.println(table(rows...))
				return exitOK
			}
		},
	}
}

func raftRemovePeer() *leaf {
	return &leaf{
		words: "operator raft remove-peer", synopsis: "Take a server out of the Raft group",
		args:  "[options]",
		prose: "Takes a server that will not come back out of Raft.\n\nWith ACLs, a management token is needed.",
		setup: func(f *flags) func(*session) int {
			id := f.flagString("peer-id", "id", "", "The server's Raft ID, as 'operator raft list-peers' shows it.")
			return func(s *session) int {
				if *id == "" {
					return s.misuse(s.leaf, exitError, "The flag -peer-id is needed")
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				if err := s.api.RemoveRaftPeer(ctx, *id); err != nil {
					return s.fail("Error removing peer: %v", err)
				}
				s.printf("Removed peer with id %q\n", *id)
				return exitOK
			}
		},
	}
}

func schedulerGet() *leaf {
	return &leaf{
		words: "operator scheduler get-config", synopsis: "Show the scheduler configuration",
		args:  "[options]",
		prose: "Shows the operator's choices for scheduling.\n\nWith ACLs, the 'operator:read' capability is needed.",
		setup: func(f *flags) func(*session) int {
			out := f.output()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				c, err := s.api.SchedulerConfiguration(ctx)
				if err != nil {
					return s.fail("Error querying scheduler configuration: %v", err)
				}
				if out.wanted() {
					return s.render(out, c)
				}
				p := c.PreemptionConfig
				s.println(pairs(
					"Scheduler Algorithm", c.SchedulerAlgorithm,
					"Memory Oversubscription", fmt.Sprint(c.MemoryOversubscriptionEnabled),
					"Reject Job Registration", fmt.Sprint(c.RejectJobRegistration),
					"Pause Eval Broker", fmt.Sprint(c.PauseEvalBroker),
					"Preemption System Scheduler", fmt.Sprint(p.SystemSchedulerEnabled),
					"Preemption Service Scheduler", fmt.Sprint(p.ServiceSchedulerEnabled),
					"Preemption Batch Scheduler", fmt.Sprint(p.BatchSchedulerEnabled),
					"Preemption SysBatch Scheduler", fmt.Sprint(p.SysBatchSchedulerEnabled),
					"Node Limit For Feasibility Checks", fmt.Sprint(c.NodeLimitForFeasibilityChecks),
					"Modify Index", fmt.Sprint(c.ModifyIndex)))
				return exitOK
			}
		},
	}
}

func schedulerSet() *leaf {
	return &leaf{
		words: "operator scheduler set-config", synopsis: "Change the scheduler configuration",
		args:  "[options]",
		prose: "Changes the given choices for scheduling and leaves the others as they are.\n\nWith ACLs, the 'operator:write' capability is needed.",
		setup: func(f *flags) func(*session) int {
			check := f.flagString("check-index", "index", "", "Change only what was last changed at this index.")
			algorithm := f.flagString("scheduler-algorithm", "binpack|spread", "", "How nodes are ranked.")
			limit := f.flagInt("node-limit-for-feasibility-checks", "number", 0, "How many nodes to look at for one placement.")
			bools := map[string]*bool{}
			for name, text := range map[string]string{
				"memory-oversubscription": "Let tasks use memory_max.", "reject-job-registration": "Refuse jobs from all but operators.",
				"pause-eval-broker":         "Hand out no evaluations.",
				"preempt-batch-scheduler":   "Let batch jobs push others out.",
				"preempt-service-scheduler": "Let service jobs push others out.", "preempt-sysbatch-scheduler": "Let sysbatch jobs push others out.",
				"preempt-system-scheduler": "Let system jobs push others out.",
			} {
				bools[name] = f.flagBool(name, text, false)
			}
			f.sortOrder()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				c, err := s.api.SchedulerConfiguration(ctx)
				if err != nil {
					return s.fail("Error querying scheduler configuration: %v", err)
				}
				if *check != "" {
					if c.ModifyIndex, err = strconv.ParseUint(*check, 10, 64); err != nil {
						return s.fail("Error parsing check-index value %q: %v", *check, err)
					}
				}
				if *algorithm != "" {
					c.SchedulerAlgorithm = *algorithm
				}
				if s.flags.given("node-limit-for-feasibility-checks") {
					c.NodeLimitForFeasibilityChecks = uint64(max(*limit, 0))
				}
				for name, field := range map[string]*bool{
					"memory-oversubscription":    &c.MemoryOversubscriptionEnabled,
					"reject-job-registration":    &c.RejectJobRegistration,
					"pause-eval-broker":          &c.PauseEvalBroker,
					"preempt-batch-scheduler":    &c.PreemptionConfig.BatchSchedulerEnabled,
					"preempt-service-scheduler":  &c.PreemptionConfig.ServiceSchedulerEnabled,
					"preempt-sysbatch-scheduler": &c.PreemptionConfig.SysBatchSchedulerEnabled,
					"preempt-system-scheduler":   &c.PreemptionConfig.SystemSchedulerEnabled,
				} {
					if s.flags.given(name) {
						*field = *bools[name]
					}
				}
				updated, err := s.api.SetSchedulerConfiguration(ctx, c)
				if err != nil {
					return s.fail("Error setting scheduler configuration: %v", err)
				}
				if !updated {
					return s.fail("Scheduler configuration could not be atomically updated, please try again")
				}
				s.println("Scheduler configuration updated!")
				return exitOK
			}
		},
	}
}
