// Package agent is the process: it turns a configuration into a server, a node
// or both, puts the HTTP API in front, and ends them in order. It is the only
// package that knows all three.
package agent
