package cli

import (
	"fmt"

	"github.com/seraiproject/serai/core/agent/config"
)

func configValidate() *leaf {
	return &leaf{
		words: "config validate", synopsis: "Check configuration files",
		args: "[options] <path>...", minArgs: 1, maxArgs: -1, wants: "at least one argument: <path>", offline: true,
		prose: "Reads configuration files and folders as the agent would, later ones stronger, and checks the result.",
		setup: func(*flags) func(*session) int {
			return func(s *session) int {
				cfg, err := config.Load(config.Options{Paths: s.args})
				if err != nil {
					s.fail("%v", err)
					return s.fail("Configuration is invalid")
				}
				for _, w := range cfg.Warnings {
					fmt.Fprintf(s.deps.Stderr, "WARNING: %s\n", w)
				}
				s.println("Configuration is valid!")
				return exitOK
			}
		},
	}
}
