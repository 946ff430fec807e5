// Serai is the agent and the command line in one binary.
package main

import (
	"os"

	"github.com/seraiproject/serai/core/cli"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], cli.Deps{}))
}
