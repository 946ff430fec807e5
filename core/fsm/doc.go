// Package fsm is the replicated state machine: it turns Raft log entries into
// changes of core/state, and takes and restores snapshots.
//
// # Format of a log entry
//
// One byte says which command it is (Kind), one byte the version of its
// encoding (0), and the rest is the command in the generated MessagePack of its
// struct. Commands only ever gain members. Kinds are never used again for
// something else. One encoded command of each kind is kept in testdata/compat
// and applied by a test.
//
// # Format of a snapshot
//
// A snapshot is a stream of records: one byte says what it is (record), an
// unsigned varint how many bytes follow, and these are MessagePack. The first
// record is the header, the last the trailer with the count of records. Every
// distinct job is written once; allocations refer to it by its number.
//
// # Determinism
//
// Applying a command uses nothing but the command and the state: no clock, no
// randomness. Identifiers and times are part of the command. A command that is
// refused answers with an error on every server alike, and changes nothing.
package fsm
