// Serai is the agent and the command line in one binary.
package main

import (
	"os"

	"github.com/seraiproject/serai/core/agent"
	"github.com/seraiproject/serai/core/cli"
	"github.com/seraiproject/serai/core/node/tasklog"
	"github.com/seraiproject/serai/core/version"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], cli.Deps{
		Version:  version.Version,
		RunAgent: agent.Run,
		Hidden:   map[string]func([]string) int{"log-collector": tasklog.CollectorMain},
	}))
}
