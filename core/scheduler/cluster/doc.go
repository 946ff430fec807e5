// Package cluster keeps what the scheduler needs to know of all nodes: what
// each has, what is used of it, and which nodes are alike.
//
// A View is immutable and cheap to derive from: a change copies the page of
// nodes it touches and shares everything else. The state store keeps one View
// beside its tables and edits it in the transaction that changes a node or an
// allocation:
//
//	ed := view.Edit()
//	ed.PutNode(node)             // registered or changed
//	ed.ChangeAlloc(nil, alloc)   // new
//	ed.ChangeAlloc(alloc, newer) // moved on
//	view = ed.View()
//
// Schedulers read it, the plan applier checks plans against it (CheckPlan) and
// derives the predicted result of a plan that is still being replicated.
//
// An allocation uses its node until it is terminal on either side: once the
// servers want it stopped its place may be given away, and the node orders the
// new one behind the old one's end.
package cluster
