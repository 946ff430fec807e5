package cluster

import (
	"hash/fnv"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/seraiproject/serai/core/model"
)

// inventory caches what follows from the nodes alone. Views that differ only
// in allocations share it, so it is worked out once per change of a node and
// then only when asked for.
type inventory struct {
	mu      sync.Mutex
	kinds   *Kinds
	ready   map[string]*Candidates
	columns map[string]*Column
}

// maxCached bounds each cache. Jobs rarely name more different datacenters or
// attributes than that; if they do, the caches start anew.
const maxCached = 64

func newInventory() *inventory { return &inventory{} }

// Kinds numbers the kinds of node: two nodes of one kind differ only in their
// unique attributes and in what is used.
type Kinds struct {
	Of  []int32 // by ordinal
	Len int
}

// Candidates are the nodes that a job may be placed on as far as pool,
// datacenter and readiness go.
type Candidates struct {
	Ordinals  []int32
	Available map[string]int // by datacenter; shared, not to be changed
}

// A Column is one property of all nodes, as small numbers.
type Column struct {
	Of     []int32  // by ordinal; -1 when the node lacks the property
	Values []string // by number
}

// Kinds returns the kinds of the view's nodes.
func (v *View) Kinds() *Kinds {
	inv := v.inventory
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.kinds == nil {
		k := &Kinds{Of: make([]int32, v.length)}
		number := map[string]int32{}
		v.All(func(o int32, n *Node) {
			i, ok := number[n.kind]
			if !ok {
				i = int32(len(number))
				number[n.kind] = i
			}
			k.Of[o] = i
		})
		k.Len = len(number)
		inv.kinds = k
	}
	return inv.kinds
}

// Ready returns the nodes of a pool, in any datacenter that matches one of the
// globs, that new allocations may be placed on.
func (v *View) Ready(pool string, datacenters []string) *Candidates {
	key := pool + "\x00" + strings.Join(datacenters, "\x00")
	inv := v.inventory
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if c := inv.ready[key]; c != nil {
		return c
	}
	c := &Candidates{Available: map[string]int{}}
	matches := map[string]bool{}
	v.All(func(o int32, n *Node) {
		if !n.Node.Ready() || !InPool(n.Node, pool) {
			return
		}
		ok, known := matches[n.Node.Datacenter]
		if !known {
			ok = InDatacenters(n.Node, datacenters)
			matches[n.Node.Datacenter] = ok
		}
		if ok {
			c.Ordinals = append(c.Ordinals, o)
			c.Available[n.Node.Datacenter]++
		}
	})
	if inv.ready == nil || len(inv.ready) >= maxCached {
		inv.ready = map[string]*Candidates{}
	}
	inv.ready[key] = c
	return c
}

// Column returns a property of all nodes: value must depend on nothing but the
// node, and on name.
func (v *View) Column(name string, value func(*model.Node) (string, bool)) *Column {
	inv := v.inventory
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if c := inv.columns[name]; c != nil {
		return c
	}
	c := &Column{Of: make([]int32, v.length)}
	number := map[string]int32{}
	v.All(func(o int32, n *Node) {
		text, ok := value(n.Node)
		if !ok {
			c.Of[o] = -1
			return
		}
		i, known := number[text]
		if !known {
			i = int32(len(number))
			number[text] = i
			c.Values = append(c.Values, text)
		}
		c.Of[o] = i
	})
	if inv.columns == nil || len(inv.columns) >= maxCached {
		inv.columns = map[string]*Column{}
	}
	inv.columns[name] = c
	return c
}

// InPool reports whether a job of that pool may use the node.
func InPool(n *model.Node, pool string) bool {
	switch pool {
	case model.AllNodePool:
		return true
	case "":
		pool = model.DefaultNodePool
	}
	have := n.NodePool
	if have == "" {
		have = model.DefaultNodePool
	}
	return have == pool
}

// InDatacenters reports whether the node's datacenter matches one of the
// globs. No globs match everything.
func InDatacenters(n *model.Node, globs []string) bool {
	if len(globs) == 0 {
		return true
	}
	for _, g := range globs {
		if matchGlob(g, n.Datacenter) {
			return true
		}
	}
	return false
}

// matchGlob matches text against a pattern in which * stands for any text.
func matchGlob(pattern, text string) bool {
	first, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		part, more, starred := strings.Cut(rest, "*")
		if !starred {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], more
	}
}

// ComputeClass returns the computed class of a node: equal for nodes that are
// alike but for attributes and meta whose name starts with "unique.".
func ComputeClass(n *model.Node) string {
	h := fnv.New64a()
	put := func(parts ...string) {
		for _, p := range parts {
			h.Write([]byte(p))
			h.Write([]byte{0})
		}
	}
	put(n.Datacenter, n.NodeClass, n.NodePool)
	putMap := func(what string, m map[string]string) {
		keys := make([]string, 0, len(m))
		for k := range m {
			if !IsUnique(k) {
				keys = append(keys, k)
			}
		}
		sort.Strings(keys)
		for _, k := range keys {
			put(what, k, m[k])
		}
	}
	putMap("attr", n.Attributes)
	putMap("meta", n.Meta)
	if r := n.NodeResources; r != nil {
		for _, d := range r.Devices {
			put("device", d.Vendor, d.Type, d.Name)
			attrs := make(map[string]string, len(d.Attributes))
			for k, a := range d.Attributes {
				attrs[k] = attributeText(a)
			}
			putMap("device attr", attrs)
		}
	}
	return "v1:" + strconv.FormatUint(h.Sum64(), 10)
}

// IsUnique reports whether an attribute or meta key is one that tells nodes of
// the same class apart.
func IsUnique(key string) bool { return strings.HasPrefix(key, "unique.") }

func attributeText(a *model.DeviceAttribute) string {
	switch {
	case a == nil:
		return ""
	case a.String != nil:
		return *a.String
	case a.Int != nil:
		return strconv.FormatInt(*a.Int, 10) + a.Unit
	case a.Float != nil:
		return strconv.FormatFloat(*a.Float, 'g', -1, 64) + a.Unit
	case a.Bool != nil:
		return strconv.FormatBool(*a.Bool)
	}
	return ""
}
