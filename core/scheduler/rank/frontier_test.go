package rank

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
	"github.com/seraiproject/serai/core/scheduler/feasible"
)

// naive scores every node for the next placement from nothing.
func naive(c *Config, spread *Spread, penalised map[int32]bool) (best float64, found bool) {
	best = math.Inf(-1)
	if spread != nil {
		spread.prepare()
	}
	for _, o := range c.Candidates.Ordinals {
		n := c.Draft.At(o)
		if c.Group.Reason(o, n) != "" || c.Ask.Fits(n) != "" {
			continue
		}
		sum, count := c.Ask.Packing(n, c.SpreadAlgorithm), 1.0
		if k := c.Same[o]; k > 0 {
			sum -= float64(k+1) / float64(c.Count)
			count++
		}
		if penalised[o] {
			sum--
			count++
		}
		if c.Group.HasAffinities() {
			sum += c.Group.Affinity(o, n)
			count++
		}
		if spread != nil {
			if s := spread.score(spread.setOf(o)); s != 0 {
				sum += s
				count++
			}
		}
		best, found = max(best, sum/count), true
	}
	return best, found
}

// TestBestEqualsNaive places on random clusters and compares every choice with
// one that scores all nodes anew.
func TestBestEqualsNaive(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			ed := cluster.New().Edit()
			for i := range 60 {
				ed.PutNode(&model.Node{
					ID: model.NodeID(fmt.Sprint(i)), Datacenter: "dc1", Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
					Meta: map[string]string{"rack": fmt.Sprint(rnd.IntN(5)), "disk": fmt.Sprint(rnd.IntN(2))},
					NodeResources: &model.NodeResources{
						Cpu: model.NodeCPU{CpuShares: int64(500 + rnd.IntN(3)*500)}, Memory: model.NodeMemory{MemoryMB: int64(500 + rnd.IntN(3)*500)},
					},
				})
			}
			v := ed.View()
			j := &model.Job{}
			tg := &model.TaskGroup{Name: "g", Count: 100}
			switch seed % 4 {
			case 1:
				j.Spreads = []*model.Spread{{Attribute: "${meta.rack}", Weight: 50}}
			case 2:
				tg.Spreads = []*model.Spread{
					{Attribute: "${meta.rack}", Weight: 50, SpreadTarget: []*model.SpreadTarget{{Value: "1", Percent: 50}, {Value: "2", Percent: 20}}},
					{Attribute: "${meta.none}", Weight: 20},
				}
			}
			if seed%3 == 0 {
				j.Affinities = []*model.Affinity{{LTarget: "${meta.disk}", RTarget: "1", Operand: "=", Weight: 70}}
				tg.Constraints = []*model.Constraint{{LTarget: "${meta.rack}", RTarget: "4", Operand: "!="}}
			}
			d := cluster.NewDraft(v)
			c := Config{
				Draft: d, Candidates: v.Ready("default", nil), Group: feasible.New(j, tg, v.Kinds()),
				Ask:  &Ask{Usage: model.Usage{CPU: 110, MemoryMB: 90}},
				Same: make([]int32, v.Len()), Count: tg.Count, Step: v.Len(), SpreadAlgorithm: seed%5 == 0, Random: rnd,
			}
			mine, theirs := NewSpread(v, j, tg), NewSpread(v, j, tg)
			c.Spread = mine
			f := NewFrontier(c)
			placed := 0
			for i := 0; ; i++ {
				var penalised []int32
				marked := map[int32]bool{}
				if i%7 == 3 {
					for range 3 {
						o := int32(rnd.IntN(v.Len()))
						penalised = append(penalised, o)
						marked[o] = true
					}
				}
				want, there := naive(&c, theirs, marked)
				pick, ok := f.Best(penalised, nil)
				if ok != there {
					t.Fatalf("placement %d: found %v, want %v", i, ok, there)
				}
				if !ok {
					break
				}
				if math.Abs(pick.Score-want) > 1e-9 || pick.Score != pick.Meta[0].Score {
					t.Fatalf("placement %d: score %v, want %v", i, pick.Score, want)
				}
				for k := 1; k < len(pick.Meta); k++ {
					if pick.Meta[k].Score > pick.Meta[k-1].Score {
						t.Fatalf("placement %d: %v is not sorted", i, pick.Meta)
					}
				}
				n := d.Own(pick.Ordinal)
				n.Take(&model.Allocation{}, c.Ask.Usage, cluster.Offer{})
				c.Same[pick.Ordinal]++
				if mine != nil {
					mine.Count(pick.Ordinal, 1)
					theirs.Count(pick.Ordinal, 1)
				}
				f.Touch(pick.Ordinal)
				placed++
			}
			if placed < 100 {
				t.Errorf("placed only %d", placed)
			}
			if m := f.Explain(); m.NodesEvaluated != 60 || m.NodesExhausted+m.NodesFiltered != 60 {
				t.Errorf("explained %+v", m)
			}
		})
	}
}

func TestEvenSpreadScores(t *testing.T) {
	ed := cluster.New().Edit()
	for i := range 2 {
		ed.PutNode(&model.Node{ID: model.NodeID(fmt.Sprint(i)), Datacenter: fmt.Sprint("dc", i)})
	}
	v := ed.View()
	s := NewSpread(v, &model.Job{Spreads: []*model.Spread{{Attribute: "${node.datacenter}", Weight: 50}}}, &model.TaskGroup{Count: 3})
	var got [][2]float64
	for _, o := range []int32{0, 1, 0} {
		s.prepare()
		got = append(got, [2]float64{s.score(s.setOf(0)), s.score(s.setOf(1))})
		s.Count(o, 1)
	}
	if diff := cmp.Diff([][2]float64{{0, 0}, {-1, 1}, {-1, -1}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTargetSpreadScores(t *testing.T) {
	ed := cluster.New().Edit()
	for i := range 3 {
		ed.PutNode(&model.Node{ID: model.NodeID(fmt.Sprint(i)), Datacenter: fmt.Sprint("dc", i)})
	}
	v := ed.View()
	for _, c := range []struct {
		name    string
		targets []*model.SpreadTarget
		want    []float64
	}{
		{"all listed", []*model.SpreadTarget{{Value: "dc0", Percent: 60}, {Value: "dc1", Percent: 40}}, []float64{5.0 / 6, 3.0 / 4, -1}},
		{"the rest is shared", []*model.SpreadTarget{{Value: "dc0", Percent: 60}}, []float64{5.0 / 6, 3.0 / 4, 3.0 / 4}},
		{"none wanted there", []*model.SpreadTarget{{Value: "dc0", Percent: 100}, {Value: "dc1", Percent: 0}}, []float64{9.0 / 10, -1, -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSpread(v, &model.Job{Spreads: []*model.Spread{{Attribute: "${node.datacenter}", Weight: 50, SpreadTarget: c.targets}}}, &model.TaskGroup{Count: 10})
			for o, want := range c.want {
				if got := s.score(s.setOf(int32(o))); math.Abs(got-want) > 1e-9 {
					t.Errorf("dc%d: %v, want %v", o, got, want)
				}
			}
		})
	}
}
