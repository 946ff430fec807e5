package driver

import "fmt"

// Serve makes the process a plugin that serves d, and returns when the host asks it to end. C, T and H follow
// from d's methods, so a call reads driver.Serve(info, &myDriver{}).
//
// A process that was not started by a host prints a line to stderr and exits with status 1.
func Serve[C, T any, H Task](info Info, d Driver[C, T, H]) {
	panic(fmt.Sprintf("serve %s: server lands with the next commit", info.Name))
}
