// Guest does what the tests of the wasm driver ask for in its first argument.
package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	switch args := os.Args[1:]; args[0] {
	case "exit":
		code, _ := strconv.Atoi(args[1])
		os.Exit(code)
	default:
		fmt.Fprintln(os.Stderr, "unknown:", args)
		os.Exit(99)
	}
}
