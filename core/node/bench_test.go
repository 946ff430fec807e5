package node

import (
	"testing"

	"github.com/seraiproject/serai/core/model"
)

// BenchmarkBatch runs allocations of one short task each, many at a time.
func BenchmarkBatch(b *testing.B) {
	const many = 200
	h := newHarness(b)
	h.config.GCMaxAllocs = many
	h.launch()
	h.until("ready", func(s *servers) bool { return len(s.watchers) > 0 })
	for b.Loop() {
		first := alloc(model.JobTypeBatch, shell("main", "exit 0"))
		first.Job.TaskGroups[0].Tasks[0].Config = map[string]any{"command": "/bin/true"}
		ids := make([]model.AllocID, many)
		for i := range ids {
			a := *first
			a.ID = model.AllocID(model.NewUUID())
			ids[i] = a.ID
			h.servers.want(&a)
		}
		h.until("all are complete", func(s *servers) bool {
			for _, id := range ids {
				if a := s.allocs[id]; a == nil || a.ClientStatus != model.AllocClientComplete {
					return false
				}
			}
			return true
		})
		b.StopTimer()
		h.node.collectOnce()
		b.StartTimer()
	}
	b.ReportMetric(many*float64(b.N)/b.Elapsed().Seconds(), "allocs/s")
}
