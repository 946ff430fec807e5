package rank

import (
	"math/rand/v2"

	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/feasible"
)

// Config is what a Frontier works on. All of it must stay while it is used.
type Config struct {
	Draft      *cluster.Draft
	Candidates *cluster.Candidates
	Group      *feasible.Group
	Ask        *Ask
	Spread     *Spread // nil: the group spreads nothing

	// Same counts the group's live allocations by ordinal. The caller keeps
	// it and calls Touch for the nodes where it changed.
	Same []int32
	// Count is how many allocations the group should have.
	Count int
	// Step is how many more nodes each placement looks at.
	Step int
	// SpreadAlgorithm prefers empty nodes to full ones.
	SpreadAlgorithm bool
	// Veto returns why the job's other allocations forbid the node, or
	// nothing. It is asked again before a node is taken. May be nil.
	Veto func(ordinal int32, n *cluster.Node) string
	// Shortage returns the dimension that a node lacks although Ask fits:
	// what only a placement finds out. May be nil.
	Shortage func(n *cluster.Node) string
	// DeviceScore returns the part for device affinities. May be nil.
	DeviceScore func(n *cluster.Node) float64

	Random *rand.Rand
}

// A Frontier is the nodes of a cluster that were looked at for one group,
// ready to give the best. It is not safe for concurrent use.
type Frontier struct {
	Config
	Tally Tally

	order   int // of the next node to look at
	start   int // nodes are visited from here
	stride  int // in steps of this, which shares no factor with their number
	entries []entry
	entryOf []int32 // by ordinal; -1: not looked at, or filtered
	heaps   []heap  // by set*maxParts + number of parts
	used    []int32 // heaps that were ever used

	scores []float64 // spread score by set, as of this pick
	queue  []spot
	worst  int // in queue; -1: not known
	best   []*entry
}

// entry is one node of the frontier.
type entry struct {
	ordinal int32
	order   int32 // position in the order of visits, which settles ties
	set     int32
	heap    int32 // -1: not in any, it cannot take the group now
	at      int32 // position in the heap
	sum     float64
	parts   parts
}

type heap struct{ nodes []int32 } // indexes of entries

// spot is a position in a heap that the search has reached.
type spot struct {
	heap, at int32
	score    float64
	order    int32
}

// NewFrontier returns a frontier that has looked at nothing yet.
func NewFrontier(c Config) *Frontier {
	f := &Frontier{Config: c}
	f.entryOf = make([]int32, c.Draft.Len())
	for i := range f.entryOf {
		f.entryOf[i] = -1
	}
	if n := len(c.Candidates.Ordinals); n > 0 {
		f.start = c.Random.IntN(n)
		f.stride = 1 + c.Random.IntN(n)
		for gcd(f.stride, n) != 1 {
			f.stride++
		}
	}
	return f
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// widen looks at nodes until it has found want more that can take the group,
// or all were seen.
func (f *Frontier) widen(want int) {
	all := f.Candidates.Ordinals
	for want > 0 && f.order < len(all) {
		o := all[(f.start+f.order*f.stride)%len(all)]
		f.order++
		if f.entryOf[o] >= 0 {
			continue // tried on its own before
		}
		if e := f.look(o); e != nil && e.heap >= 0 {
			want--
		}
	}
}

// look takes one node into the frontier. It returns nil when the node can
// never run the group.
func (f *Frontier) look(o int32) *entry {
	n := f.Draft.At(o)
	f.Tally.Evaluated++
	f.Tally.changed = true
	if reason := f.Group.Reason(o, n); reason != "" {
		f.Tally.filter(n, reason)
		return nil
	}
	e := entry{ordinal: o, order: int32(len(f.entries)), heap: -1}
	if f.Spread != nil {
		e.set = f.Spread.setOf(o)
	}
	f.entryOf[o] = int32(len(f.entries))
	f.entries = append(f.entries, e)
	p := &f.entries[len(f.entries)-1]
	f.rescore(p)
	return p
}

// rescore puts the entry where it belongs: into the heap for its score, or
// out of all when it cannot take the group now.
func (f *Frontier) rescore(e *entry) {
	n := f.Draft.At(e.ordinal)
	if f.Veto != nil {
		if reason := f.Veto(e.ordinal, n); reason != "" {
			f.Tally.filter(n, reason)
			f.remove(e)
			return
		}
	}
	if dimension := f.Ask.Fits(n); dimension != "" {
		f.Tally.exhaust(n, dimension)
		f.remove(e)
		return
	}
	e.parts.packing = f.Ask.Packing(n, f.SpreadAlgorithm)
	e.parts.affinity = f.Group.Affinity(e.ordinal, n)
	e.parts.anti = 0
	if k := f.Same[e.ordinal]; k > 0 && f.Count > 0 {
		e.parts.anti = -float64(k+1) / float64(f.Count)
	}
	if f.DeviceScore != nil {
		e.parts.devices = f.DeviceScore(n)
	}
	f.place(e)
}

// place moves the entry into the heap for the parts it has.
func (f *Frontier) place(e *entry) {
	sum, count := e.parts.sum(f.Group.HasAffinities(), f.DeviceScore != nil)
	at := e.set*maxParts + int32(count)
	if e.heap != at {
		f.remove(e)
	}
	e.sum = sum
	f.insert(e, at)
}

// Touch scores a node again after its use, or Same, changed.
func (f *Frontier) Touch(ordinal int32) {
	if i := f.entryOf[ordinal]; i >= 0 {
		f.rescore(&f.entries[i])
	}
}

// Refresh scores all nodes again that could not take the group so far.
func (f *Frontier) Refresh() {
	for i := range f.entries {
		if f.entries[i].heap < 0 {
			f.rescore(&f.entries[i])
		}
	}
}

// Exhaust sets a node aside that turned out to lack something.
func (f *Frontier) Exhaust(ordinal int32, dimension string) {
	if i := f.entryOf[ordinal]; i >= 0 {
		f.Tally.exhaust(f.Draft.At(ordinal), dimension)
		f.remove(&f.entries[i])
	}
}

// Try reports whether a certain node could take the group now. It is tried
// whether or not its turn had come, and must be one of the candidates.
func (f *Frontier) Try(ordinal int32) bool {
	i := f.entryOf[ordinal]
	if i < 0 {
		e := f.look(ordinal)
		return e != nil && e.heap >= 0
	}
	return f.entries[i].heap >= 0
}

// A Pick is a node that was chosen.
type Pick struct {
	Ordinal int32
	Score   float64
	Meta    []Ranked // the best nodes, the chosen one first
}

// Best returns the best node that accept (which may be nil) agrees to. Nodes
// in penalised are worse this time, because the allocation failed there; the
// first of them, where it failed last, also loses every tie. ok is false when
// no node can take the group.
func (f *Frontier) Best(penalised []int32, accept func(int32) bool) (pick Pick, ok bool) {
	f.widen(f.Step)
	f.penalise(penalised)
	found := f.search(accept)
	for !found && f.order < len(f.Candidates.Ordinals) {
		f.widen(f.Step)
		f.penalise(penalised)
		found = f.search(accept)
	}
	if found {
		pick = f.pick()
	}
	f.forgive(penalised)
	return pick, found
}

// lastPlace is added to the order of a node that is to lose every tie.
const lastPlace = 1 << 30

func (f *Frontier) penalise(penalised []int32) {
	for i, o := range penalised {
		if e := f.entryOf[o]; e >= 0 && f.entries[e].parts.penalty == 0 {
			f.entries[e].parts.penalty = -1
			if i == 0 {
				f.entries[e].order += lastPlace
			}
			f.settle(&f.entries[e])
		}
	}
}

func (f *Frontier) forgive(penalised []int32) {
	for _, o := range penalised {
		if e := f.entryOf[o]; e >= 0 && f.entries[e].parts.penalty != 0 {
			f.entries[e].parts.penalty = 0
			f.entries[e].order &= lastPlace - 1
			f.settle(&f.entries[e])
		}
	}
}

// settle moves an entry whose parts changed, if it can take the group at all.
func (f *Frontier) settle(e *entry) {
	if e.heap >= 0 {
		f.place(e)
	}
}

// search fills f.best with the best entries, the chosen one first. It walks
// the heaps from their tops, always on to the best spot not yet visited.
func (f *Frontier) search(accept func(int32) bool) bool {
again:
	f.best, f.queue, f.worst = f.best[:0], f.queue[:0], -1
	if f.Spread != nil {
		f.scores = f.Spread.all()
	}
	// Where nothing can be refused, the best nodes are all in the heaps with
	// the best tops: the others need not be searched.
	all := accept != nil || f.Veto != nil
	for _, h := range f.used {
		if len(f.heaps[h].nodes) == 0 {
			continue
		}
		if all || len(f.queue) < MetaLen {
			f.reach(h, 0)
		} else {
			f.reachBetter(h)
		}
	}
	chosen := false
	for len(f.queue) > 0 {
		top := 0
		for i := 1; i < len(f.queue); i++ {
			if f.queue[i].better(&f.queue[top]) {
				top = i
			}
		}
		s := f.queue[top]
		last := len(f.queue) - 1
		f.queue[top] = f.queue[last]
		f.queue = f.queue[:last]
		e := &f.entries[f.heaps[s.heap].nodes[s.at]]
		if !chosen {
			if f.Veto != nil {
				n := f.Draft.At(e.ordinal)
				if reason := f.Veto(e.ordinal, n); reason != "" {
					f.Tally.filter(n, reason)
					f.remove(e)
					goto again // the heap has changed under the search
				}
			}
			if accept == nil || accept(e.ordinal) {
				chosen = true
				f.best = append(f.best[:0], e)
			}
		} else {
			f.best = append(f.best, e)
		}
		if chosen && len(f.best) == MetaLen {
			break
		}
		for child := 2*s.at + 1; child <= 2*s.at+2 && int(child) < len(f.heaps[s.heap].nodes); child++ {
			f.reach(s.heap, child)
		}
	}
	return chosen
}

func (f *Frontier) reach(h, at int32) {
	e := &f.entries[f.heaps[h].nodes[at]]
	f.queue = append(f.queue, spot{h, at, f.score(e), e.order})
}

// reachBetter takes the top of a heap in place of the worst one in the queue,
// if it is better.
func (f *Frontier) reachBetter(h int32) {
	e := &f.entries[f.heaps[h].nodes[0]]
	s := spot{h, 0, f.score(e), e.order}
	if f.worst < 0 {
		f.worst = 0
		for i := range f.queue {
			if f.queue[f.worst].better(&f.queue[i]) {
				f.worst = i
			}
		}
	}
	if s.better(&f.queue[f.worst]) {
		f.queue[f.worst] = s
		f.worst = -1
	}
}

func (s *spot) better(than *spot) bool {
	return s.score > than.score || s.score == than.score && s.order < than.order
}

// score is the final score of an entry: the mean of the parts that apply.
func (f *Frontier) score(e *entry) float64 {
	count := float64(e.heap % maxParts)
	if f.Spread != nil {
		if s := f.scores[e.set]; s != 0 {
			return (e.sum + s) / (count + 1)
		}
	}
	return e.sum / count
}

// before orders entries of one heap.
func (f *Frontier) before(a, b int32) bool {
	x, y := &f.entries[a], &f.entries[b]
	if x.sum != y.sum {
		return x.sum > y.sum
	}
	return x.order < y.order
}

func (f *Frontier) insert(e *entry, h int32) {
	if e.heap != h {
		for int(h) >= len(f.heaps) {
			f.heaps = append(f.heaps, heap{})
		}
		if f.heaps[h].nodes == nil {
			f.heaps[h].nodes = make([]int32, 0, 8)
			f.used = append(f.used, h)
		}
		e.heap = h
		e.at = int32(len(f.heaps[h].nodes))
		f.heaps[h].nodes = append(f.heaps[h].nodes, f.entryOf[e.ordinal])
	}
	f.up(h, e.at)
	f.down(h, e.at)
}

func (f *Frontier) remove(e *entry) {
	if e.heap < 0 {
		return
	}
	h, at := e.heap, e.at
	nodes := f.heaps[h].nodes
	last := int32(len(nodes) - 1)
	e.heap = -1
	nodes[at] = nodes[last]
	f.heaps[h].nodes = nodes[:last]
	if at < last {
		f.entries[nodes[at]].at = at
		f.up(h, at)
		f.down(h, at)
	}
}

func (f *Frontier) up(h, at int32) {
	nodes := f.heaps[h].nodes
	for at > 0 {
		parent := (at - 1) / 2
		if !f.before(nodes[at], nodes[parent]) {
			return
		}
		f.swap(nodes, at, parent)
		at = parent
	}
}

func (f *Frontier) down(h, at int32) {
	nodes := f.heaps[h].nodes
	for {
		child := 2*at + 1
		if int(child) >= len(nodes) {
			return
		}
		if int(child)+1 < len(nodes) && f.before(nodes[child+1], nodes[child]) {
			child++
		}
		if !f.before(nodes[child], nodes[at]) {
			return
		}
		f.swap(nodes, at, child)
		at = child
	}
}

func (f *Frontier) swap(nodes []int32, a, b int32) {
	nodes[a], nodes[b] = nodes[b], nodes[a]
	f.entries[nodes[a]].at, f.entries[nodes[b]].at = a, b
}
