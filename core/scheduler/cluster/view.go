package cluster

import (
	"maps"

	"github.com/seraiproject/serai/core/model"
)

const (
	pageBits = 6
	pageSize = 1 << pageBits
	pageMask = pageSize - 1

	shards = 256
)

type page [pageSize]*Node

// shard maps the IDs of some nodes to their ordinals. Shards are replaced, not
// changed, so that a new node costs a small copy.
type shard map[model.NodeID]int32

// A View is the cluster at one index of the state. The zero View is not
// usable; start with New. A View never changes and may be read concurrently.
type View struct {
	inventory *inventory
	pages     []*page
	index     [shards]shard
	free      []int32 // ordinals of nodes that were deleted
	length    int32   // one more than the highest ordinal in use

	// orphans are live allocations of nodes that are not registered.
	orphans map[model.NodeID][]*model.Allocation
}

// New returns a view of no nodes.
func New() *View { return &View{inventory: newInventory()} }

// Len bounds ordinals: every node's ordinal is below it.
func (v *View) Len() int { return int(v.length) }

// At returns the node with that ordinal, or nil when there is none.
func (v *View) At(ordinal int32) *Node {
	return v.pages[ordinal>>pageBits][ordinal&pageMask]
}

// Ordinal returns the ordinal of a node. Ordinals are only meaningful within
// one view.
func (v *View) Ordinal(id model.NodeID) (int32, bool) {
	o, ok := v.index[shardOf(id)][id]
	return o, ok
}

// Node returns a node with its use, or nil.
func (v *View) Node(id model.NodeID) *Node {
	o, ok := v.Ordinal(id)
	if !ok {
		return nil
	}
	return v.At(o)
}

// All calls f for every node, by ordinal.
func (v *View) All(f func(ordinal int32, n *Node)) {
	for o := range v.length {
		if n := v.At(o); n != nil {
			f(o, n)
		}
	}
}

func shardOf(id model.NodeID) uint8 {
	h := uint32(2166136261)
	for i := 0; i < len(id); i++ {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}

// token marks what an Editor has already copied and may change in place.
type token struct{ _ byte }

// An Editor derives a new View from an old one. It is not safe for concurrent
// use.
type Editor struct {
	v          View
	own        *token
	pageOwner  []*token
	shardOwner [shards]*token
	nodesDirty bool
	ownOrphans bool
	ownFree    bool
}

// Edit starts a change of the view, which itself stays as it is.
func (v *View) Edit() *Editor {
	e := &Editor{v: *v, own: new(token)}
	e.v.pages = append(make([]*page, 0, len(v.pages)+1), v.pages...)
	e.pageOwner = make([]*token, len(v.pages), len(v.pages)+1)
	return e
}

// View returns the changed view. The editor may be used on; what it returns
// later includes what it returned before.
func (e *Editor) View() *View {
	if e.nodesDirty {
		e.v.inventory = newInventory()
		e.nodesDirty = false
	}
	v := e.v
	v.pages = append([]*page(nil), e.v.pages...)
	e.own = new(token) // nothing copied so far may be changed any more
	e.ownOrphans, e.ownFree = false, false
	return &v
}

// PutNode adds a node or replaces it, keeping what is used on it.
func (e *Editor) PutNode(n *model.Node) {
	if o, ok := e.v.Ordinal(n.ID); ok {
		old := e.v.At(o)
		next := newNode(n, old.Allocs, e.own)
		e.set(o, next)
		e.nodesDirty = e.nodesDirty || !alike(old, next)
		return
	}
	e.nodesDirty = true
	var o int32
	if last := len(e.v.free) - 1; last >= 0 {
		o = e.v.free[last]
		e.v.free = e.v.free[:last:last]
	} else {
		o = e.v.length
		e.v.length++
		if int(o>>pageBits) == len(e.v.pages) {
			e.v.pages = append(e.v.pages, new(page))
			e.pageOwner = append(e.pageOwner, e.own)
		}
	}
	e.shard(n.ID)[n.ID] = o
	e.set(o, newNode(n, e.v.orphans[n.ID], e.own))
	if len(e.v.orphans[n.ID]) > 0 {
		delete(e.orphanMap(), n.ID)
	}
}

// alike reports whether a node changed in nothing that the inventory knows of,
// as when only an event was added to it.
func alike(old, next *Node) bool {
	a, b := old.Node, next.Node
	return old.kind == next.kind && a.Ready() == b.Ready() && a.Name == b.Name && a.Datacenter == b.Datacenter &&
		a.NodePool == b.NodePool && maps.Equal(a.Attributes, b.Attributes) && maps.Equal(a.Meta, b.Meta)
}

// DeleteNode removes a node. Its live allocations are remembered and counted
// again when the node comes back. An unknown node is ignored.
func (e *Editor) DeleteNode(id model.NodeID) {
	o, ok := e.v.Ordinal(id)
	if !ok {
		return
	}
	e.nodesDirty = true
	if allocs := e.v.At(o).Allocs; len(allocs) > 0 {
		e.orphanMap()[id] = append([]*model.Allocation(nil), allocs...)
	}
	delete(e.shard(id), id)
	e.set(o, nil)
	if !e.ownFree {
		e.v.free = append([]int32(nil), e.v.free...)
		e.ownFree = true
	}
	e.v.free = append(e.v.free, o)
}

// ChangeAlloc notes that an allocation is new (old nil), changed, or deleted
// (next nil). Terminal allocations use nothing.
func (e *Editor) ChangeAlloc(old, next *model.Allocation) {
	wasLive := old != nil && !old.Terminal()
	isLive := next != nil && !next.Terminal()
	if wasLive && isLive && old.NodeID == next.NodeID && old.AllocatedResources == next.AllocatedResources {
		if o, ok := e.v.Ordinal(next.NodeID); ok {
			e.slot(o).swap(next)
			return
		}
	}
	if wasLive {
		if o, ok := e.v.Ordinal(old.NodeID); ok {
			e.slot(o).Remove(old.ID)
		} else {
			e.removeOrphan(old)
		}
	}
	if isLive {
		if o, ok := e.v.Ordinal(next.NodeID); ok {
			e.slot(o).Add(next)
		} else {
			m := e.orphanMap()
			m[next.NodeID] = append(m[next.NodeID][:len(m[next.NodeID]):len(m[next.NodeID])], next)
		}
	}
}

func (e *Editor) removeOrphan(a *model.Allocation) {
	var kept []*model.Allocation
	for _, o := range e.v.orphans[a.NodeID] {
		if o.ID != a.ID {
			kept = append(kept, o)
		}
	}
	if len(kept) == 0 {
		delete(e.orphanMap(), a.NodeID)
		return
	}
	e.orphanMap()[a.NodeID] = kept
}

// slot returns the node as a copy that the editor may change.
func (e *Editor) slot(o int32) *Node {
	n := e.v.At(o)
	if n.owner != e.own {
		n = n.Clone()
		n.owner = e.own
		e.set(o, n)
	}
	return n
}

func (e *Editor) set(o int32, n *Node) {
	i := o >> pageBits
	if e.pageOwner[i] != e.own {
		c := *e.v.pages[i]
		e.v.pages[i], e.pageOwner[i] = &c, e.own
	}
	e.v.pages[i][o&pageMask] = n
}

func (e *Editor) shard(id model.NodeID) shard {
	i := shardOf(id)
	if e.shardOwner[i] != e.own {
		c := make(shard, len(e.v.index[i])+1)
		for k, v := range e.v.index[i] {
			c[k] = v
		}
		e.v.index[i], e.shardOwner[i] = c, e.own
	}
	return e.v.index[i]
}

func (e *Editor) orphanMap() map[model.NodeID][]*model.Allocation {
	if !e.ownOrphans {
		c := make(map[model.NodeID][]*model.Allocation, len(e.v.orphans)+1)
		for k, v := range e.v.orphans {
			c[k] = v
		}
		e.v.orphans, e.ownOrphans = c, true
	}
	return e.v.orphans
}
