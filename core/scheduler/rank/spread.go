package rank

import (
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/feasible"
)

// Spread divides a group's allocations over the values of attributes. Nodes
// that agree in all of them form a set; a set's nodes have the same score.
type Spread struct {
	blocks []block
	sets   [][]int32 // value of every block (-1: lacks it), by set
	number map[string]int32
	single []int32 // set by value+1, when there is one block; -1: not met yet
	lowest float64 // of all scores given so far

	scores  []float64 // by set, as far as known
	changed []int32   // sets of which the score is to be worked out again
	stale   bool      // that is true of all
}

type block struct {
	column *cluster.Column
	share  float64 // of all weights

	used    []int // by value
	desired []float64
	targets bool // else all values should have as many

	low, high int // of used, among values in use
}

// none marks a value that should have no allocation at all.
const none = -1

// NewSpread prepares the spread blocks of a job and its group; nil when there
// are none.
func NewSpread(v *cluster.View, job *model.Job, tg *model.TaskGroup) *Spread {
	all := append(append([]*model.Spread(nil), tg.Spreads...), job.Spreads...)
	if len(all) == 0 {
		return nil
	}
	s := &Spread{lowest: -1}
	weights := 0.0
	for _, b := range all {
		weights += float64(b.Weight)
	}
	for _, b := range all {
		c := v.Column(b.Attribute, feasible.Property(b.Attribute))
		k := block{column: c, used: make([]int, len(c.Values)), targets: len(b.SpreadTarget) > 0}
		if weights > 0 {
			k.share = float64(b.Weight) / weights
		}
		if k.targets {
			k.desired = desiredCounts(c.Values, b.SpreadTarget, tg.Count)
		}
		s.blocks = append(s.blocks, k)
	}
	if len(s.blocks) == 1 {
		s.single = make([]int32, len(s.blocks[0].column.Values)+1)
		for i := range s.single {
			s.single[i] = -1
		}
	} else {
		s.number = map[string]int32{}
	}
	return s
}

func desiredCounts(values []string, targets []*model.SpreadTarget, count int) []float64 {
	percents := 0
	share := map[string]float64{}
	for _, t := range targets {
		percents += int(t.Percent)
		share[t.Value] = float64(t.Percent) / 100 * float64(count)
	}
	rest := float64(none)
	if percents < 100 {
		rest = float64(100-percents) / 100 * float64(count)
	}
	desired := make([]float64, len(values))
	for i, v := range values {
		if d, ok := share[v]; ok {
			desired[i] = d
		} else {
			desired[i] = rest
		}
	}
	return desired
}

// setOf returns the set that the node belongs to.
func (s *Spread) setOf(ordinal int32) int32 {
	if s.single != nil {
		v := s.blocks[0].column.Of[ordinal]
		if s.single[v+1] < 0 {
			s.single[v+1] = int32(len(s.sets))
			s.sets = append(s.sets, []int32{v})
		}
		return s.single[v+1]
	}
	key := make([]byte, 0, 4*len(s.blocks))
	values := make([]int32, len(s.blocks))
	for i := range s.blocks {
		v := s.blocks[i].column.Of[ordinal]
		values[i] = v
		key = append(key, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	n, ok := s.number[string(key)]
	if !ok {
		n = int32(len(s.sets))
		s.number[string(key)] = n
		s.sets = append(s.sets, values)
	}
	return n
}

// Count adds delta allocations of the group on the node.
func (s *Spread) Count(ordinal int32, delta int) {
	for i := range s.blocks {
		b := &s.blocks[i]
		if v := b.column.Of[ordinal]; v >= 0 {
			b.used[v] = max(b.used[v]+delta, 0)
		}
	}
	if s.single == nil || s.blocks[0].targets {
		s.stale = true // scores depend on each other
	} else if set := s.single[s.blocks[0].column.Of[ordinal]+1]; set >= 0 {
		s.changed = append(s.changed, set)
	}
}

// all returns the scores of all sets. The list is the spread's own.
func (s *Spread) all() []float64 {
	if s.prepare() || s.stale {
		s.scores, s.stale = s.scores[:0], false
	} else {
		for _, set := range s.changed {
			if int(set) < len(s.scores) {
				s.scores[set] = s.score(set)
			}
		}
	}
	s.changed = s.changed[:0]
	for set := len(s.scores); set < len(s.sets); set++ {
		s.scores = append(s.scores, s.score(int32(set)))
	}
	return s.scores
}

// prepare works out what the scores of all sets have in common, and reports
// whether that changed.
func (s *Spread) prepare() bool {
	changed := false
	for i := range s.blocks {
		b := &s.blocks[i]
		if b.targets {
			continue
		}
		low, high := 0, 0
		for _, u := range b.used {
			if u > 0 && (low == 0 || u < low) {
				low = u
			}
			high = max(high, u)
		}
		changed = changed || low != b.low || high != b.high
		b.low, b.high = low, high
	}
	return changed
}

// score is the spread part of the score of a set's nodes. 0 does not count as
// a part.
func (s *Spread) score(set int32) float64 {
	total := 0.0
	for i, v := range s.sets[set] {
		total += s.blocks[i].score(v, &s.lowest)
	}
	s.lowest = min(s.lowest, total)
	return total
}

func (b *block) score(value int32, lowest *float64) float64 {
	if value < 0 {
		return -1
	}
	used := b.used[value]
	if b.targets {
		switch d := b.desired[value]; {
		case d == none:
			return -1
		case d == 0:
			return *lowest
		default:
			return (d - float64(used+1)) / d * b.share
		}
	}
	switch {
	case b.high == 0:
		return 0
	case used != b.low:
		return float64(b.low-used) / float64(b.low)
	case b.low == b.high:
		return -1
	}
	return float64(b.high-b.low) / float64(b.low)
}
