package server

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

func logger(t testing.TB) *slog.Logger {
	t.Helper()
	if os.Getenv("SERAI_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// devServer starts a server alone, in memory, and waits until it leads.
func devServer(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{Name: "s1", Dev: true, Log: logger(t)}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	eventually(t, "a leader", s.IsLeader)
	return s
}

// eventually waits for a condition that has no event of its own.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// testJob is a small service job.
func testJob(id string, count int) *model.Job { return typedJob(id, model.JobTypeService, count) }

func typedJob(id, jobType string, count int) *model.Job {
	j := &model.Job{
		ID: model.JobID(id), Type: jobType, Datacenters: []string{"dc1"},
		TaskGroups: []*model.TaskGroup{{
			Name: "g", Count: count,
			Tasks: []*model.Task{{
				Name: "t", Driver: "mock", Config: map[string]any{"run_for": "10s"},
				Resources: &model.Resources{CPU: 100, MemoryMB: 64},
			}},
		}},
	}
	j.Canonicalize()
	return j
}

func TestEveryMethodHasAHandler(t *testing.T) {
	s := devServer(t, nil)
	for name, d := range rpc.Descriptors() {
		if !s.mux.Handles(d) {
			t.Errorf("%s has no handler", name)
		}
	}
}

func TestDevServerRunsAJob(t *testing.T) {
	start := time.Now()
	s := devServer(t, nil)
	t.Logf("leads after %v", time.Since(start))
	n := newFakeNode(t, s.Caller(), "n1")
	n.start()

	start = time.Now()
	reg, err := rpc.JobRegister.Call(t.Context(), s.Caller(), &rpc.JobRegisterRequest{Job: testJob("web", 3)})
	if err != nil {
		t.Fatal(err)
	}
	if reg.EvalID == "" || reg.Index == 0 || reg.JobModifyIndex != reg.Index {
		t.Errorf("answer is %+v", reg)
	}
	n.wait("3 allocations", func() bool { return len(n.allocs) == 3 })
	t.Logf("allocations reach the node after %v", time.Since(start))
	n.report(model.AllocClientRunning, nil)

	q := &rpc.JobQuery{JobID: "web"}
	sum, err := rpc.JobSummary.Call(t.Context(), s.Caller(), q)
	if err != nil {
		t.Fatal(err)
	}
	if got := sum.JobSummary.Summary["g"]; got.Running != 3 || got.Starting != 0 {
		t.Errorf("summary is %+v", got)
	}
	job, err := rpc.JobGet.Call(t.Context(), s.Caller(), q)
	if err != nil || job.Job.Status != model.JobStatusRunning {
		t.Fatalf("job is %+v, error %v", job, err)
	}
	eval, err := rpc.EvalGet.Call(t.Context(), s.Caller(), &rpc.EvalQuery{EvalID: reg.EvalID})
	if err != nil || eval.Eval == nil {
		t.Fatalf("evaluation is %+v, error %v", eval, err)
	}
	eventually(t, "the evaluation to be complete", func() bool {
		return s.store.Snapshot().Eval(nil, reg.EvalID).Status == model.EvalStatusComplete
	})

	if _, err := rpc.JobDeregister.Call(t.Context(), s.Caller(), &rpc.JobDeregisterRequest{JobID: "web"}); err != nil {
		t.Fatal(err)
	}
	n.wait("all to be stopped", func() bool {
		for _, a := range n.allocs {
			if a.DesiredStatus != model.AllocDesiredStop {
				return false
			}
		}
		return true
	})
	n.report(model.AllocClientComplete, nil)
	eventually(t, "the job to be dead", func() bool {
		return s.store.Snapshot().Job(nil, model.JobKey{Namespace: "default", ID: "web"}).Status == model.JobStatusDead
	})
}
