// Package allocrunner takes an allocation through its life on a node: it makes
// the directory, starts the tasks of the group in the order of their
// lifecycles, ends them in the reverse one, decides on the allocation's health
// and tells the servers.
//
// The rules (lifecycle.go, health.go) are pure functions of what was observed
// of the tasks; one goroutine per allocation applies them.
package allocrunner
