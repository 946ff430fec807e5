package scheduler

import (
	"fmt"
	"testing"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// bigWorld is a cluster of many nodes in 25 racks, of which a job with a
// set_contains_any constraint can use every other one.
func bigWorld(nodes, count int, spread bool) (*world, *model.Evaluation) {
	w := newWorld()
	w.addNodes(nodes, func(i int, n *model.Node) {
		n.Meta["rack"] = fmt.Sprintf("r%d", i%25)
		n.Meta["features"] = "disk,net"
		if i/25%2 == 0 {
			n.Meta["features"] = "disk,ssd"
		}
		n.NodeResources.Cpu.CpuShares = 14000
		n.NodeResources.Memory.MemoryMB = 32000
	})
	j := testJob("big", count)
	j.Constraints = []*model.Constraint{{LTarget: "${meta.features}", RTarget: "ssd,gpu", Operand: model.OpSetContainsAny}}
	if spread {
		j.Spreads = []*model.Spread{{Attribute: "${meta.rack}", Weight: 50}}
	}
	j = w.register(j)
	return w, w.eval(j, model.TriggerJobRegister)
}

func BenchmarkSchedule(b *testing.B) {
	for _, c := range []struct {
		nodes, allocs int
		spread        bool
	}{
		{5000, 900, false}, {5000, 900, true}, {5000, 1, false}, {5000, 1, true}, {100, 100, false},
	} {
		b.Run(fmt.Sprintf("nodes=%d/allocs=%d/spread=%v", c.nodes, c.allocs, c.spread), func(b *testing.B) {
			w, e := bigWorld(c.nodes, c.allocs, c.spread)
			b.ReportAllocs()
			placed, seed := 0, uint64(0)
			for b.Loop() {
				seed++
				res, err := Process(w, e, Input{Now: start, Seed: seed})
				if err != nil {
					b.Fatal(err)
				}
				for _, list := range res.Plan.NodeAllocation {
					placed += len(list)
				}
			}
			if placed != b.N*c.allocs {
				b.Fatalf("placed %d of %d", placed, b.N*c.allocs)
			}
			b.ReportMetric(float64(placed)/b.Elapsed().Seconds(), "placements/s")
		})
	}
}

// BenchmarkSpreadUnique spreads over an attribute of which every node has a
// value of its own.
func BenchmarkSpreadUnique(b *testing.B) {
	w, _ := bigWorld(5000, 900, false)
	j := w.edit("big", func(j *model.Job) {
		j.Spreads = []*model.Spread{{Attribute: "${node.unique.id}", Weight: 50}}
	})
	e := w.eval(j, model.TriggerJobRegister)
	for b.Loop() {
		if _, err := Process(w, e, Input{Now: start, Seed: 1}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkView measures what the state pays for every change.
func BenchmarkView(b *testing.B) {
	w, e := bigWorld(5000, 900, false)
	res, err := Process(w, e, Input{Now: start, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	var allocs []*model.Allocation
	for _, list := range res.Plan.NodeAllocation {
		allocs = append(allocs, list...)
	}
	b.Run("change=1", func(b *testing.B) {
		for b.Loop() {
			ed := w.view.Edit()
			ed.ChangeAlloc(nil, allocs[0])
			_ = ed.View()
		}
	})
	b.Run("change=900", func(b *testing.B) {
		for b.Loop() {
			ed := w.view.Edit()
			for _, a := range allocs {
				ed.ChangeAlloc(nil, a)
			}
			_ = ed.View()
		}
	})
	b.Run("check=900", func(b *testing.B) {
		for b.Loop() {
			if rejected := cluster.CheckPlan(w.view, res.Plan); len(rejected) > 0 {
				b.Fatal(rejected)
			}
		}
	})
}

// BenchmarkReconcile measures evaluations that find 900 allocations: one that
// has nothing to do, and one that takes a new version to all of them.
func BenchmarkReconcile(b *testing.B) {
	w, e := bigWorld(5000, 900, false)
	res, err := Process(w, e, Input{Now: start, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	w.apply(res.Plan)
	run := func(b *testing.B, e *model.Evaluation, want int) {
		for b.Loop() {
			res, err := Process(w, e, Input{Now: start, Seed: 1})
			if err != nil {
				b.Fatal(err)
			}
			got := 0
			for _, list := range res.Plan.NodeAllocation {
				got += len(list)
			}
			if got != want {
				b.Fatalf("%d changed", got)
			}
		}
	}
	b.Run("change=none", func(b *testing.B) { run(b, e, 0) })
	j := w.edit("big", func(j *model.Job) { j.Priority = 60 })
	b.Run("change=in-place", func(b *testing.B) { run(b, w.eval(j, model.TriggerJobRegister), 900) })
	j = w.edit("big", func(j *model.Job) { j.TaskGroups[0].Tasks[0].User = "x" })
	b.Run("change=destructive", func(b *testing.B) { run(b, w.eval(j, model.TriggerJobRegister), 900) })
}

// BenchmarkSystem runs a system job on every node, and evaluates it again when
// it is there.
func BenchmarkSystem(b *testing.B) {
	w := newWorld()
	w.addNodes(5000, nil)
	j := w.register(systemJob("sys"))
	e := w.eval(j, model.TriggerJobRegister)
	var res *Result
	b.Run("nodes=5000/first", func(b *testing.B) {
		for b.Loop() {
			var err error
			if res, err = Process(w, e, Input{Now: start, Seed: 1}); err != nil {
				b.Fatal(err)
			}
		}
		if len(res.Plan.NodeAllocation) != 5000 {
			b.Fatalf("placed on %d nodes", len(res.Plan.NodeAllocation))
		}
	})
	w.apply(res.Plan)
	b.Run("nodes=5000/again", func(b *testing.B) {
		for b.Loop() {
			again, err := Process(w, e, Input{Now: start, Seed: 1})
			if err != nil {
				b.Fatal(err)
			}
			if !again.Plan.Empty() {
				b.Fatal("not done")
			}
		}
	})
}
