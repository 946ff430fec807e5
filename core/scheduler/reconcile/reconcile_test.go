package reconcile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func TestClassify(t *testing.T) {
	yes := true
	since := func(d time.Duration) []model.AllocStateChange {
		return []model.AllocStateChange{{ClientStatus: model.AllocClientUnknown, Time: now.Add(-d)}}
	}
	lostAfter := &model.DisconnectStrategy{LostAfter: time.Minute, Replace: true}
	noReplace := &model.DisconnectStrategy{LostAfter: time.Minute}
	for _, c := range []struct {
		name       string
		alloc      model.Allocation
		node       string // status; empty: the record is gone
		disconnect *model.DisconnectStrategy
		batch      bool
		want       class
	}{
		{name: "1 failed while away", node: "ready", alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "failed", StateChanges: since(1)}, want: reconnecting},
		{name: "2 batch, drained for good", node: "ready", batch: true, alloc: model.Allocation{DesiredStatus: "stop", ClientStatus: "complete", DesiredTransition: model.DesiredTransition{MigrateDisablePlacement: &yes}}, want: keep},
		{name: "3 stopped", node: "ready", alloc: model.Allocation{DesiredStatus: "stop", ClientStatus: "complete"}, want: ignore},
		{name: "3 evicted", node: "ready", batch: true, alloc: model.Allocation{DesiredStatus: "evict", ClientStatus: "running"}, want: ignore},
		{name: "4 canary to migrate", node: "ready", alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "failed", DeploymentStatus: &model.AllocDeploymentStatus{Canary: true}, DesiredTransition: model.DesiredTransition{Migrate: &yes}}, want: migrate},
		{name: "5 failed", node: "down", alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "failed"}, want: keep},
		{name: "6 away for too long", node: "disconnected", disconnect: lostAfter, alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "unknown", StateChanges: since(time.Minute)}, want: expiring},
		{name: "7 failed while away, stopped", node: "ready", alloc: model.Allocation{DesiredStatus: "stop", ClientStatus: "failed", StateChanges: since(1)}, want: ignore},
		{name: "8 away for a while", node: "disconnected", disconnect: lostAfter, alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "unknown", StateChanges: since(time.Second)}, want: keep},
		{name: "9 never started", node: "disconnected", disconnect: lostAfter, alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "pending"}, want: lost},
		{name: "10 no block", node: "disconnected", alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "running"}, want: lost},
		{name: "11 away now", node: "disconnected", disconnect: lostAfter, alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "running"}, want: disconnecting},
		{name: "12 drained", node: "ready", alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "running", DesiredTransition: model.DesiredTransition{Migrate: &yes}}, want: migrate},
		{name: "13 back", node: "ready", alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "running", StateChanges: since(1)}, want: reconnecting},
		{name: "14 fine", node: "ready", alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "running"}, want: keep},
		{name: "14 fine, node not eligible", node: "initializing", alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "running"}, want: keep},
		{name: "15 node gone", alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "running"}, want: lost},
		{name: "16 down, waits", node: "down", disconnect: noReplace, alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "unknown", StateChanges: since(1)}, want: keep},
		{name: "17 down, to wait", node: "down", disconnect: noReplace, alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "running"}, want: disconnecting},
		{name: "18 down", node: "down", disconnect: lostAfter, alloc: model.Allocation{DesiredStatus: "run", ClientStatus: "running"}, want: lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := c.alloc
			a.TaskGroup = "g"
			a.Job = &model.Job{TaskGroups: []*model.TaskGroup{{Name: "g", Disconnect: c.disconnect}}}
			var n *model.Node
			if c.node != "" {
				n = &model.Node{Status: c.node}
			}
			if got := classify(&a, n, c.batch, now); got != c.want {
				t.Errorf("class %d, want %d", got, c.want)
			}
		})
	}
}

func specimen() *model.Job {
	return &model.Job{
		ID: "j", Name: "j", Meta: map[string]string{"a": "1"},
		TaskGroups: []*model.TaskGroup{{
			Name: "g", Count: 1, EphemeralDisk: &model.EphemeralDisk{SizeMB: 10},
			Networks:      []*model.NetworkResource{{DynamicPorts: []model.Port{{Label: "http"}, {Label: "admin"}}}},
			RestartPolicy: &model.RestartPolicy{Attempts: 1},
			Volumes:       map[string]*model.VolumeRequest{"v": {Type: "host", Source: "x"}},
			Services:      []*model.Service{{Name: "s"}},
			Tasks: []*model.Task{{
				Name: "t", Driver: "exec", Config: map[string]any{"command": "x", "args": []any{"1"}, "n": 600},
				Env: map[string]string{"A": "1"}, Resources: &model.Resources{CPU: 100, MemoryMB: 100}, LogConfig: &model.LogConfig{MaxFiles: 10},
				Templates: []*model.Template{{EmbeddedTmpl: "x"}}, KillTimeout: 5 * time.Second,
			}},
		}},
	}
}

func TestDestructive(t *testing.T) {
	tg := func(f func(*model.TaskGroup)) func(*model.Job) { return func(j *model.Job) { f(j.TaskGroups[0]) } }
	task := func(f func(*model.Task)) func(*model.Job) {
		return func(j *model.Job) { f(j.TaskGroups[0].Tasks[0]) }
	}
	for _, c := range []struct {
		name   string
		change func(*model.Job)
		want   bool
	}{
		{"nothing", func(*model.Job) {}, false},
		{"priority", func(j *model.Job) { j.Priority = 70 }, false},
		{"job meta", func(j *model.Job) { j.Meta["b"] = "2" }, true},
		{"job meta that a task hides", func(j *model.Job) { j.TaskGroups[0].Tasks[0].Meta = map[string]string{"a": "1"} }, false},
		{"count", tg(func(g *model.TaskGroup) { g.Count = 5 }), false},
		{"constraints", tg(func(g *model.TaskGroup) { g.Constraints = []*model.Constraint{{LTarget: "x"}} }), false},
		{"restart attempts", tg(func(g *model.TaskGroup) { g.RestartPolicy.Attempts = 9 }), false},
		{"render templates", tg(func(g *model.TaskGroup) { g.RestartPolicy.RenderTemplates = true }), true},
		{"disk", tg(func(g *model.TaskGroup) { g.EphemeralDisk.SizeMB = 20 }), true},
		{"port order", tg(func(g *model.TaskGroup) { p := g.Networks[0].DynamicPorts; p[0], p[1] = p[1], p[0] }), false},
		{"port target", tg(func(g *model.TaskGroup) { g.Networks[0].DynamicPorts[0].To = 80 }), true},
		{"port collision", tg(func(g *model.TaskGroup) { g.Networks[0].DynamicPorts[0].IgnoreCollision = true }), false},
		{"network mode", tg(func(g *model.TaskGroup) { g.Networks[0].Mode = "bridge" }), true},
		{"volume", tg(func(g *model.TaskGroup) { g.Volumes["v"].ReadOnly = true }), true},
		{"services", tg(func(g *model.TaskGroup) { g.Services[0].Tags = []string{"x"} }), false},
		{"mesh", tg(func(g *model.TaskGroup) { g.Services[0].Connect = &model.ConsulConnect{} }), true},
		{"another task", tg(func(g *model.TaskGroup) { g.Tasks = append(g.Tasks, &model.Task{Name: "u"}) }), true},
		{"task renamed", task(func(t *model.Task) { t.Name = "u" }), true},
		{"driver", task(func(t *model.Task) { t.Driver = "raw_exec" }), true},
		{"user", task(func(t *model.Task) { t.User = "x" }), true},
		{"config", task(func(t *model.Task) { t.Config["args"] = []any{"2"} }), true},
		{"config, text for a number", task(func(t *model.Task) { t.Config["n"] = "600" }), true},
		{"config, another number type", task(func(t *model.Task) { t.Config["n"] = 600.0 }), false},
		{"config, key without value", task(func(t *model.Task) { t.Config["x"] = nil }), false},
		{"config, empty list", task(func(t *model.Task) { t.Config["x"] = []any{} }), true},
		{"env", task(func(t *model.Task) { t.Env["A"] = "2" }), true},
		{"cpu", task(func(t *model.Task) { t.Resources.CPU++ }), true},
		{"memory_max", task(func(t *model.Task) { t.Resources.MemoryMaxMB = 200 }), true},
		{"iops", task(func(t *model.Task) { t.Resources.IOPS = 9 }), false},
		{"template", task(func(t *model.Task) { t.Templates[0].Splay = 9 }), true},
		{"artifact", task(func(t *model.Task) { t.Artifacts = []*model.TaskArtifact{{}} }), true},
		{"log sizes", task(func(t *model.Task) { t.LogConfig.MaxFiles = 3 }), false},
		{"logs disabled", task(func(t *model.Task) { t.LogConfig.Disabled = true }), true},
		{"kill timeout", task(func(t *model.Task) { t.KillTimeout = 9 }), false},
		{"leader", task(func(t *model.Task) { t.Leader = true }), false},
		{"identity", task(func(t *model.Task) { t.Identity = &model.WorkloadIdentity{Env: true} }), true},
		{"volume mount", task(func(t *model.Task) { t.VolumeMounts = []*model.VolumeMount{{}} }), true},
		{"group renamed", tg(func(g *model.TaskGroup) { g.Name = "h" }), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, next := specimen(), specimen()
			c.change(next)
			g := next.TaskGroups[0]
			a := &model.Allocation{Job: old, TaskGroup: g.Name}
			if got := Destructive(a, next, g); got != c.want {
				t.Errorf("destructive: %v", got)
			}
		})
	}
}

func TestNames(t *testing.T) {
	j := &model.Job{ID: "j", Name: "j"}
	of := func(indexes ...int) []*model.Allocation {
		var out []*model.Allocation
		for _, i := range indexes {
			out = append(out, &model.Allocation{Name: model.AllocName("j", "g", i)})
		}
		return out
	}
	n := newNames(j, "g", 5)
	n.take(of(0, 2)...)
	if diff := cmp.Diff([]int{1, 3, 4}, []int{n.free(), n.free(), n.free()}); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		name           string
		want           int
		have, replaced []*model.Allocation
		inUse          []*model.Allocation
		indexes        []int
	}{
		{"names of what is replaced", 2, nil, of(0, 1, 2), of(0, 1, 2), []int{0, 1}},
		{"not of another canary", 1, of(0), of(0, 1, 2), of(0, 1, 2), []int{1}},
		{"then free ones", 2, nil, of(2), of(1, 2), []int{2, 0}},
		{"then beyond the count", 3, nil, of(0), of(0, 1, 2), []int{0, 3, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNames(j, "g", 3)
			n.take(c.inUse...)
			if diff := cmp.Diff(c.indexes, n.canaries(c.want, c.have, c.replaced)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDelayStartsAgain(t *testing.T) {
	p := &model.ReschedulePolicy{Unlimited: true, Delay: 5 * time.Second, MaxDelay: 15 * time.Second, DelayFunction: "exponential"}
	tracker := &model.RescheduleTracker{Events: []*model.RescheduleEvent{{RescheduleTime: now.UnixNano(), Delay: 15 * time.Second}}}
	if got := NextDelay(p, tracker, now.Add(time.Second)); got != 15*time.Second {
		t.Errorf("failed at once: %v", got)
	}
	if got := NextDelay(p, tracker, now.Add(time.Minute)); got != 5*time.Second {
		t.Errorf("ran well for a minute: %v", got)
	}
}

func TestAttemptsSlide(t *testing.T) {
	p := &model.ReschedulePolicy{Attempts: 2, Interval: time.Hour, Delay: 5 * time.Second, DelayFunction: "constant"}
	at := func(ago ...time.Duration) *model.RescheduleTracker {
		tr := &model.RescheduleTracker{}
		for _, d := range ago {
			tr.Events = append(tr.Events, &model.RescheduleEvent{RescheduleTime: now.Add(-d).UnixNano(), Delay: 5 * time.Second})
		}
		return tr
	}
	for _, c := range []struct {
		name    string
		policy  *model.ReschedulePolicy
		tracker *model.RescheduleTracker
		want    bool
	}{
		{"none yet", p, nil, true},
		{"one left", p, at(time.Minute), true},
		{"used up", p, at(2*time.Minute, time.Minute), false},
		{"one is long ago", p, at(2*time.Hour, time.Minute), true},
		{"no policy", nil, nil, false},
		{"disabled", &model.ReschedulePolicy{}, nil, false},
		{"unlimited", &model.ReschedulePolicy{Unlimited: true}, at(1, 2, 3, 4), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mayReschedule(c.policy, c.tracker, now); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestReconnectStrategies(t *testing.T) {
	scored := func(score float64, status string, version uint64, started time.Time, how string) *model.Allocation {
		return &model.Allocation{
			TaskGroup: "g", ClientStatus: status,
			Job:        &model.Job{Version: version, TaskGroups: []*model.TaskGroup{{Name: "g", Disconnect: &model.DisconnectStrategy{Reconcile: how}}}},
			Metrics:    &model.AllocMetric{ScoreMetaData: []*model.NodeScoreMeta{{NormScore: score}}},
			TaskStates: map[string]*model.TaskState{"t": {StartedAt: started}},
		}
	}
	run := model.AllocClientRunning
	for _, c := range []struct {
		name        string
		original    *model.Allocation
		replacement *model.Allocation
		want        bool
	}{
		{"best score, replacement better", scored(0.1, run, 1, now, "best_score"), scored(0.2, run, 1, now, ""), false},
		{"best score, replacement equal", scored(0.2, run, 1, now, ""), scored(0.2, run, 1, now, ""), true},
		{"best score, replacement not running", scored(0.1, run, 1, now, ""), scored(0.9, "pending", 1, now, ""), true},
		{"replacement is newer", scored(0.9, run, 1, now, "keep_original"), scored(0.1, run, 2, now, ""), false},
		{"keep original", scored(0.1, run, 1, now, "keep_original"), scored(0.9, run, 1, now, ""), true},
		{"keep replacement", scored(0.9, run, 1, now, "keep_replacement"), scored(0.1, run, 1, now, ""), false},
		{"longest running", scored(0.1, run, 1, now, "longest_running"), scored(0.9, run, 1, now.Add(1), ""), true},
		{"shorter running", scored(0.9, run, 1, now.Add(1), "longest_running"), scored(0.1, run, 1, now, ""), false},
		{"neither started", scored(0.1, run, 1, time.Time{}, "longest_running"), scored(0.9, run, 1, time.Time{}, ""), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := prefersOriginal(c.original, c.replacement); got != c.want {
				t.Errorf("prefers original: %v", got)
			}
		})
	}
}
