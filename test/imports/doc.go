// Package imports holds the tests of what may import what.
//
// The map is docs/architecture.md's; a change of it is a decision, not an
// accident.
package imports
