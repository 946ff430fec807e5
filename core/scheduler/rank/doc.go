// Package rank finds the best node for each allocation of a group.
//
// A Frontier holds the nodes that have been looked at so far, in heaps, best
// first. Every placement widens it by a few more nodes in random order, takes
// the best, and re-scores only the node it placed on. So the cost of an
// evaluation follows what is placed: nodes are looked at once, not once per
// allocation.
//
// A node's final score is the mean of the parts that apply to it. All parts
// but one depend on the node alone. The spread part depends on how many
// allocations have each value of the spread's attribute, which changes with
// every placement, but it is the same for all nodes of one value. Nodes are
// therefore kept in one heap per spread value and number of parts: within such
// a heap the order never changes when spread does, and the best node is the
// best of the heaps' tops.
package rank
