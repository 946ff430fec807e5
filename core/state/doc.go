// Package state holds what the servers know: jobs, allocations, evaluations,
// deployments, nodes and the settings of a region.
//
// The Store is an in-memory database with snapshots (go-memdb). It is written
// by one goroutine only, the Raft state machine of core/fsm, through a Txn:
// many commands may share one Txn, each between At and Flush, so that a batch
// of log entries costs one commit. Everyone else reads from a Snapshot, which
// never changes.
//
// # Shared values
//
// Objects that come out of the store are shared by all readers and are never
// changed in place; what goes in belongs to the store. Every write makes a
// shallow copy of the row and replaces what differs.
//
// # What is derived
//
// A job's Status and JobSummary follow from its allocations, evaluations and
// deployments. Each job has a tally of them, kept up to date by every write,
// so both are brought up to date in the same transaction without looking at
// all of the job's allocations. The scheduler's Cluster view is kept the same
// way and is part of every Snapshot.
//
// # Waiting
//
// Every table has an index: the Raft index of its last change. Reads that wait
// (Store.Block) register what they look at in a WatchSet and run again when
// any of it changes.
//
// The package has no clock and no randomness: times come with the commands.
package state
