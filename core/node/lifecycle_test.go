package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
)

func TestLifecycleOrder(t *testing.T) {
	h := newHarness(t)
	h.launch()
	note := func(name, then string) *model.Task {
		return shell(name, `trap 'echo end `+name+` >> $NOMAD_ALLOC_DIR/data/order; exit 0' INT; echo `+name+` >> $NOMAD_ALLOC_DIR/data/order; `+then)
	}
	forever := `while :; do sleep 0.01; done`
	wait := `while [ ! -e $NOMAD_ALLOC_DIR/data/end ]; do sleep 0.01; done`
	tasks := []*model.Task{
		note("post", "exit 0"), note("stop", "exit 0"), note("main", wait), note("pre", "sleep 0.05"), note("side", forever), note("leader", wait),
	}
	tasks[0].Lifecycle = &model.TaskLifecycle{Hook: model.HookPoststart}
	tasks[1].Lifecycle = &model.TaskLifecycle{Hook: model.HookPoststop}
	tasks[3].Lifecycle = &model.TaskLifecycle{Hook: model.HookPrestart}
	tasks[4].Lifecycle = &model.TaskLifecycle{Hook: model.HookPrestart, Sidecar: true}
	tasks[5].Leader = true
	a := alloc(model.JobTypeBatch, tasks...)
	h.servers.want(a)
	data := filepath.Join(h.config.AllocDir, string(a.ID), "alloc/data")
	order := func() []string {
		b, _ := os.ReadFile(filepath.Join(data, "order"))
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	eventually(t, "poststart runs", func() bool { return slices.Contains(order(), "post") })
	first := order()
	if i := slices.Index(first, "main"); i < slices.Index(first, "pre") || i < slices.Index(first, "side") || i > slices.Index(first, "post") {
		t.Errorf("order %q", first)
	}
	if err := os.WriteFile(filepath.Join(data, "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := h.status(a, model.AllocClientComplete)
	last := order()
	if last[len(last)-1] != "stop" || !slices.Contains(last, "end side") {
		t.Errorf("order %q", last)
	}
	for name, s := range got.TaskStates {
		if s.State != model.TaskStateDead || s.Failed {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestMaxRunDuration(t *testing.T) {
	h := newHarness(t)
	h.launch()
	h.until("ready", func(s *servers) bool { return len(s.watchers) > 0 })
	a := alloc(model.JobTypeBatch, shell("main", "exec sleep 1000"))
	limit := 300 * time.Millisecond
	a.Job.TaskGroups[0].MaxRunDuration = &limit
	h.servers.want(a)
	got := h.status(a, model.AllocClientComplete)
	if got.ClientDescription != "allocation exceeded max_run_duration" {
		t.Error(got.ClientDescription)
	}
	if s := types(got.TaskStates["main"]); !slices.Contains(s, "Killing") {
		t.Errorf("%q", s)
	}
}

func TestHealth(t *testing.T) {
	h := newHarness(t)
	h.launch()
	good := alloc(model.JobTypeService, shell("main", "exec sleep 1000"))
	bad := alloc(model.JobTypeService, shell("main", "exit 1"), shell("other", "exec sleep 1000"))
	bad.Job.Version = 2
	for _, a := range []*model.Allocation{good, bad} {
		a.DeploymentID = "d"
		a.Job.TaskGroups[0].Update = &model.UpdateStrategy{
			MaxParallel: 1, HealthCheck: model.HealthChecks, MinHealthyTime: 50 * time.Millisecond, HealthyDeadline: time.Minute,
		}
		h.servers.want(a)
	}
	h.until("one is healthy, one not", func(s *servers) bool {
		g, b := s.allocs[good.ID], s.allocs[bad.ID]
		return g != nil && b != nil && g.DeploymentStatus.IsHealthy() && b.DeploymentStatus.IsUnhealthy()
	})
	h.until("the reason is shown", func(s *servers) bool {
		return slices.Contains(types(s.allocs[bad.ID].TaskStates["main"]), "Alloc Unhealthy")
	})
}

func TestStrayDirectoriesAreRemoved(t *testing.T) {
	h := newHarness(t)
	stray := filepath.Join(h.config.AllocDir, model.NewUUID(), "alloc")
	mine := filepath.Join(h.config.AllocDir, "of-the-operator")
	for _, dir := range []string{stray, mine} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.launch()
	eventually(t, "it is removed", func() bool {
		_, err := os.Stat(filepath.Dir(stray))
		return os.IsNotExist(err)
	})
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}
