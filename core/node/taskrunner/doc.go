// Package taskrunner takes one task of an allocation through its life.
//
// What happens is decided by a pure state machine, next(state, event), and done
// by a Runner, whose goroutine owns the state. Every new state is stored before
// its actions are carried out, and every action can be carried out again, so
// that a runner of the next agent goes on wherever this one was killed.
//
//	waiting → setting up → starting → running → (exit) → backoff → starting …
//	                                     │                  └────→ dead
//	                                     └ kill: delaying → stopping → dead
package taskrunner
