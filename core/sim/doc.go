// Package sim runs a whole cluster in one process, one goroutine and no real
// time: the servers' state machine above a log in memory, the real scheduler,
// plan check, rollout and drain rules, and nodes that only pretend to run
// tasks.
//
// A Cluster has a clock that moves only in Advance, and takes all chance from
// one seed: the same seed and the same calls give the same log, entry by entry
// (History). What holds for every cluster at rest is checked by Check; Scripts
// drive a cluster by text.
//
// What is real and what is a model is listed in ADR 10.
package sim
