// Package node is the machine's side of Serai: it tells the servers what the
// machine is and has, receives the allocations that they place on it, runs
// them, and reports what it observes.
//
// Nothing here runs a workload itself: tasks belong to driver plugins and
// outlive the agent. What a new agent needs to go on is in package localstate.
package node
