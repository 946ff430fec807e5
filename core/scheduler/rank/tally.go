package rank

import (
	"maps"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// MetaLen is how many of the best nodes are kept with an allocation.
const MetaLen = 5

// Tally counts why nodes were passed over.
type Tally struct {
	Evaluated, Filtered, Exhausted int

	classFiltered, constraintFiltered, classExhausted, dimensions map[string]int
	changed                                                       bool
	snapshot                                                      *model.AllocMetric
}

func bump(m *map[string]int, key string) {
	if *m == nil {
		*m = map[string]int{}
	}
	(*m)[key]++
}

func (t *Tally) filter(n *cluster.Node, reason string) {
	t.changed = true
	t.Filtered++
	if n.Node.NodeClass != "" {
		bump(&t.classFiltered, n.Node.NodeClass)
	}
	bump(&t.constraintFiltered, reason)
}

func (t *Tally) exhaust(n *cluster.Node, dimension string) {
	t.changed = true
	t.Exhausted++
	if n.Node.NodeClass != "" {
		bump(&t.classExhausted, n.Node.NodeClass)
	}
	bump(&t.dimensions, dimension)
}

// Metric returns the counts so far. Metrics share maps with one another, so
// that a thousand placements do not carry a thousand copies; they are not to
// be changed in place.
func (t *Tally) Metric() model.AllocMetric {
	if t.changed || t.snapshot == nil {
		t.changed = false
		t.snapshot = &model.AllocMetric{
			NodesEvaluated:     t.Evaluated,
			NodesFiltered:      t.Filtered,
			NodesExhausted:     t.Exhausted,
			ClassFiltered:      maps.Clone(t.classFiltered),
			ConstraintFiltered: maps.Clone(t.constraintFiltered),
			ClassExhausted:     maps.Clone(t.classExhausted),
			DimensionExhausted: maps.Clone(t.dimensions),
		}
	}
	return *t.snapshot
}

// Explain counts anew, for all candidates as they are now, why none of them
// can take the group.
func (f *Frontier) Explain() model.AllocMetric {
	var t Tally
	for _, o := range f.Candidates.Ordinals {
		n := f.Draft.At(o)
		t.Evaluated++
		if reason := f.Group.Reason(o, n); reason != "" {
			t.filter(n, reason)
			continue
		}
		if f.Veto != nil {
			if reason := f.Veto(o, n); reason != "" {
				t.filter(n, reason)
				continue
			}
		}
		if dimension := f.Ask.Fits(n); dimension != "" {
			t.exhaust(n, dimension)
			continue
		}
		if f.Shortage != nil {
			if dimension := f.Shortage(n); dimension != "" {
				t.exhaust(n, dimension)
			}
		}
	}
	return t.Metric()
}

// Ranked is how one node was scored.
type Ranked struct {
	Ordinal int32
	Score   float64
	parts   parts
	spread  float64
	evicts  float64 // the preemption part; 0 when nothing is evicted
}

// pick turns what the search found into a Pick.
func (f *Frontier) pick() Pick {
	p := Pick{Ordinal: f.best[0].ordinal, Score: f.score(f.best[0]), Meta: make([]Ranked, 0, len(f.best))}
	for _, e := range f.best {
		r := Ranked{Ordinal: e.ordinal, Score: f.score(e), parts: e.parts}
		if f.Spread != nil {
			r.spread = f.scores[e.set]
		}
		p.Meta = append(p.Meta, r)
	}
	return p
}

type scoreKey struct {
	parts          parts
	spread, evicts float64
}

// A Describer names the parts of scores for clients. Equal scores share one
// map, which is not to be changed.
type Describer struct {
	HasSpread, HasDevices bool
	known                 map[scoreKey]map[string]float64
}

// Meta describes ranked nodes.
func (d *Describer) Meta(v *cluster.View, ranked []Ranked) []*model.NodeScoreMeta {
	metas := make([]model.NodeScoreMeta, len(ranked))
	all := make([]*model.NodeScoreMeta, len(ranked))
	for i := range ranked {
		r := &ranked[i]
		metas[i] = model.NodeScoreMeta{NodeID: v.At(r.Ordinal).Node.ID, Scores: d.parts(r), NormScore: r.Score}
		all[i] = &metas[i]
	}
	return all
}

func (d *Describer) parts(r *Ranked) map[string]float64 {
	key := scoreKey{r.parts, r.spread, r.evicts}
	if m := d.known[key]; m != nil {
		return m
	}
	m := map[string]float64{
		PartBinpack: r.parts.packing, PartAnti: r.parts.anti,
		PartReschedule: r.parts.penalty, PartAffinity: r.parts.affinity,
	}
	if d.HasSpread {
		m[PartSpread] = r.spread
	}
	if d.HasDevices {
		m[PartDevices] = r.parts.devices
	}
	if r.evicts != 0 {
		m[PartPreemption] = r.evicts
	}
	if d.known == nil {
		d.known = map[scoreKey]map[string]float64{}
	}
	d.known[key] = m
	return m
}

// Evicting returns a node as the pick that has room only once others are
// evicted, which part is the score of.
func (f *Frontier) Evicting(ordinal int32, part float64) Pick {
	n := f.Draft.At(ordinal)
	r := Ranked{Ordinal: ordinal, evicts: part}
	r.parts.packing = f.Ask.Packing(n, f.SpreadAlgorithm)
	r.parts.affinity = f.Group.Affinity(ordinal, n)
	if k := f.Same[ordinal]; k > 0 && f.Count > 0 {
		r.parts.anti = -float64(k+1) / float64(f.Count)
	}
	sum, count := r.parts.sum(f.Group.HasAffinities(), false)
	r.Score = (sum + part) / float64(count+1)
	return Pick{Ordinal: ordinal, Score: r.Score, Meta: []Ranked{r}}
}

// Alone returns a node that Try agreed to as the pick, whatever others there
// are.
func (f *Frontier) Alone(ordinal int32) Pick {
	if f.Spread != nil {
		f.scores = f.Spread.all()
	}
	f.best = append(f.best[:0], &f.entries[f.entryOf[ordinal]])
	return f.pick()
}
