// Package tasklog brings the output of tasks into rotated files.
//
// A driver writes a task's output into two FIFOs that the node made. One
// process per node, the collector, moves what is in them into files
// <task>.<stdout|stderr>.<n>. It is a process of its own so that output flows
// on while the agent is down; the agent holds every FIFO open too, so that
// nothing is lost while the collector is.
//
// Bytes go from pipe to file by splice(2): they leave the pipe in the same
// call that puts them into the file, so whenever the collector is killed, each
// byte is either still in the pipe or in the file once. A new collector goes on
// at the end of the newest file.
//
// The agent speaks to the collector over a unix socket, one JSON object per
// line each way; see request and response. The collector ends by itself when it
// has nothing to read and no agent is connected.
package tasklog
