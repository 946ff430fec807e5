package server

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// BenchmarkRegister registers jobs that ask for nothing, one after another or
// by several callers, while workers evaluate them.
func BenchmarkRegister(b *testing.B) {
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := devServer(b, nil)
			var next atomic.Int64
			b.ResetTimer()
			var work sync.WaitGroup
			for range callers {
				work.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						if _, err := rpc.JobRegister.Call(b.Context(), s.Caller(), &rpc.JobRegisterRequest{Job: testJob(fmt.Sprintf("j%d", i), 0)}); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			work.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkRegisterToNode measures from the call that registers a job until its
// allocation is on the node's stream.
func BenchmarkRegisterToNode(b *testing.B) {
	s := devServer(b, nil)
	n := newFakeNode(b, s.Caller(), "n1")
	n.start()
	b.ResetTimer()
	for i := range b.N {
		if _, err := rpc.JobRegister.Call(b.Context(), s.Caller(), &rpc.JobRegisterRequest{Job: testJob(fmt.Sprintf("j%d", i), 1)}); err != nil {
			b.Fatal(err)
		}
		n.wait("the allocation", func() bool { return len(n.allocs) == i+1 })
	}
}

// BenchmarkDurableRegister is BenchmarkRegister with a log on disk.
func BenchmarkDurableRegister(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			c := newCluster(b, 1)
			var next atomic.Int64
			b.ResetTimer()
			var work sync.WaitGroup
			for range callers {
				work.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						c.register(0, fmt.Sprintf("j%d", i), 0)
					}
				})
			}
			work.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkPlan places many allocations of one job.
func BenchmarkPlan(b *testing.B) {
	const count = 1000
	s := devServer(b, nil)
	for i := range 50 {
		n := newFakeNode(b, s.Caller(), fmt.Sprintf("n%d", i))
		n.start()
	}
	b.ResetTimer()
	for i := range b.N {
		id := model.JobID(fmt.Sprintf("j%d", i))
		job := testJob(string(id), count)
		job.TaskGroups[0].Tasks[0].Resources = &model.Resources{CPU: 1, MemoryMB: 10}
		if _, err := rpc.JobRegister.Call(b.Context(), s.Caller(), &rpc.JobRegisterRequest{Job: job}); err != nil {
			b.Fatal(err)
		}
		eventually(b, "all to be placed", func() bool {
			sum := s.store.Snapshot().JobSummary(nil, model.JobKey{Namespace: "default", ID: id})
			return sum != nil && sum.Summary["g"].Starting == count
		})
	}
	b.ReportMetric(float64(b.N*count)/b.Elapsed().Seconds(), "allocs/s")
}
