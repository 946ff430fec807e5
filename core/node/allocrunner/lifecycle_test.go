package allocrunner

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// parse reads tasks such as "db:sidecar=running web=waiting": name, kind and
// state. Kinds are main (the default), leader, pre, pre-side, post, post-side
// and stop; states are waiting, pending (setting up or backing off), running,
// killing, done and failed. A state may be followed by @seconds since epoch.
func parse(t *testing.T, s string) []view {
	t.Helper()
	var views []view
	for f := range strings.FieldsSeq(s) {
		what, state, _ := strings.Cut(f, "=")
		name, kind, _ := strings.Cut(what, ":")
		state, at, timed := strings.Cut(state, "@")
		when := epoch
		if timed {
			var sec int
			if _, err := fmt.Sscan(at, &sec); err != nil {
				t.Fatal(err)
			}
			when = epoch.Add(time.Duration(sec) * time.Second)
		}
		task := &model.Task{Name: name}
		lifecycles := map[string]*model.TaskLifecycle{
			"pre": {Hook: model.HookPrestart}, "pre-side": {Hook: model.HookPrestart, Sidecar: true},
			"post": {Hook: model.HookPoststart}, "post-side": {Hook: model.HookPoststart, Sidecar: true}, "stop": {Hook: model.HookPoststop},
		}
		task.Lifecycle = lifecycles[kind]
		task.Leader = kind == "leader"
		v := view{task: task, state: &model.TaskState{State: model.TaskStatePending}}
		switch state {
		case "waiting":
			v.waiting = true
		case "pending":
		case "killing":
			v.ending = true
			fallthrough
		case "running":
			v.state.State, v.state.StartedAt = model.TaskStateRunning, when
		case "failed":
			v.state.Failed = true
			fallthrough
		case "done":
			v.state.State, v.state.StartedAt, v.state.FinishedAt, v.ending = model.TaskStateDead, epoch, when, true
		default:
			t.Fatalf("state %q", state)
		}
		views = append(views, v)
	}
	return views
}

func TestLifecycle(t *testing.T) {
	for _, c := range []struct {
		name, tasks string
		asked       endingCause
		begin, kill string
		why         endingCause
	}{
		{name: "prestart tasks begin at once, all together", tasks: "i:pre=waiting s:pre-side=waiting m=waiting p:post=waiting z:stop=waiting", begin: "i s"},
		{name: "main waits for an ephemeral prestart task", tasks: "i:pre=running s:pre-side=running m=waiting"},
		{name: "main waits for a prestart sidecar", tasks: "i:pre=done s:pre-side=pending m=waiting"},
		{name: "main tasks begin together", tasks: "i:pre=done s:pre-side=running m=waiting n=waiting p:post=waiting", begin: "m n"},
		{name: "poststart waits for all main tasks", tasks: "m=running n=pending p:post=waiting"},
		{name: "poststart begins", tasks: "m=running n=running p:post=waiting q:post-side=waiting z:stop=waiting", begin: "p q"},
		{name: "poststart begins after a short main task", tasks: "m=done n=running p:post=waiting", begin: "p"},
		{name: "poststop waits", tasks: "m=done p:post=running z:stop=waiting"},
		{name: "poststop begins when all else is dead", tasks: "m=done p:post=done z:stop=waiting", begin: "z"},
		{name: "poststop begins after failure", tasks: "m=failed z:stop=waiting", begin: "z", why: endSibling},
		{name: "poststop begins after prestart failed", tasks: "i:pre=failed m=done z:stop=waiting", begin: "z", why: endSibling},
		{name: "a failed prestart task ends the waiting ones", tasks: "i:pre=failed s:pre-side=running m=waiting z:stop=waiting", kill: "m s", why: endSibling},
		{name: "a failed task ends its siblings, sidecars last", tasks: "s:pre-side=running m=failed n=running", kill: "n", why: endSibling},
		{name: "sidecars after the others", tasks: "s:pre-side=running m=failed n=done", kill: "s", why: endSibling},
		{name: "the leader ends the rest", tasks: "l:leader=done m=running s:post-side=running", kill: "m", why: endLeader},
		{name: "only sidecars are left", tasks: "s:pre-side=running q:post-side=running m=done n=done", kill: "s q", why: endMainDead},
		{name: "an ephemeral poststart task is waited for", tasks: "s:pre-side=running m=done p:post=running"},
		{name: "nothing left to do", tasks: "m=done s:pre-side=done z:stop=done"},
		{name: "stop: the leader first and alone", tasks: "s:pre-side=running l:leader=running m=running z:stop=waiting", asked: endStop, kill: "l", why: endStop},
		{name: "stop: the leader is being killed", tasks: "s:pre-side=running l:leader=killing m=running", asked: endStop, why: endStop},
		{name: "stop: then the others", tasks: "s:pre-side=running l:leader=done m=running n=running", asked: endStop, kill: "m n", why: endStop},
		{name: "stop: then sidecars", tasks: "s:pre-side=running l:leader=done m=done z:stop=waiting", asked: endStop, kill: "s", why: endStop},
		{name: "stop: then poststop", tasks: "s:pre-side=done m=done z:stop=waiting", asked: endStop, begin: "z", why: endStop},
		{name: "stop: waiting tasks at once", tasks: "i:pre=running m=waiting", asked: endStop, kill: "m i", why: endStop},
		{name: "stop lets poststop run", tasks: "m=done z:stop=running", asked: endStop, why: endStop},
		{name: "time is up: poststop too", tasks: "m=done z:stop=running", asked: endTimeout, kill: "z", why: endTimeout},
		{name: "time is up: poststop does not begin", tasks: "m=done z:stop=waiting", asked: endTimeout, kill: "z", why: endTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := lifecycle(parse(t, c.tasks), c.asked)
			if got := strings.Join(m.begin, " "); got != c.begin {
				t.Errorf("begin %q, want %q", got, c.begin)
			}
			if got := strings.Join(m.kill, " "); got != c.kill {
				t.Errorf("kill %q, want %q", got, c.kill)
			}
			if m.why.why != c.why {
				t.Errorf("why %d, want %d", m.why.why, c.why)
			}
		})
	}
}

func TestClientStatus(t *testing.T) {
	for tasks, want := range map[string]string{
		"m=waiting n=pending":                 "pending: No tasks have started",
		"m=running n=pending":                 "running: Tasks are running",
		"m=failed n=running":                  "failed: Failed tasks",
		"m=done n=pending":                    "pending: No tasks have started",
		"m=done s:pre-side=done":              "complete: All tasks have completed",
		"i:pre=done m=running z:stop=waiting": "running: Tasks are running",
	} {
		status, text := clientStatus(parse(t, tasks), false)
		if got := status + ": " + text; got != want {
			t.Errorf("%s: %s, want %s", tasks, got, want)
		}
	}
	if status, text := clientStatus(parse(t, "m=failed"), true); status != model.AllocClientComplete || text != timeoutText {
		t.Errorf("after max_run_duration: %s, %s", status, text)
	}
}

func TestJudge(t *testing.T) {
	r := rules{minHealthy: 10 * time.Second, deadline: 60 * time.Second}
	for _, c := range []struct {
		name, tasks string
		at          int
		want        string
	}{
		{"not running yet", "m=pending", 5, "look at 60"},
		{"running, too short", "m=running@3 n=running@5", 14, "look at 15"},
		{"running long enough", "m=running@3 n=running@5", 15, "healthy"},
		{"ephemeral prestart has to end", "i:pre=running m=waiting", 30, "look at 60"},
		{"and then the clock begins", "i:pre=done@20 m=running@21", 30, "look at 31"},
		{"poststart task has to end", "m=running@1 p:post=running@2", 40, "look at 60"},
		{"poststart task ended", "m=running@1 p:post=done@2", 12, "healthy"},
		{"sidecars count", "m=running@1 s:pre-side=pending", 40, "look at 60"},
		{"poststop does not", "m=running@1 z:stop=waiting", 11, "healthy"},
		{"a main task ended", "m=done@1", 2, "unhealthy [m] Unhealthy because of failed/dead task"},
		{"a task failed", "m=running@1 i:pre=failed@1", 2, "unhealthy [i] Unhealthy because of failed/dead task"},
		{"too late", "m=pending n=running@1", 60, "unhealthy [m] Task not running for min_healthy_time of 10s by healthy_deadline of 1m0s"},
		{"restarted too late", "m=running@55", 56, "look at 60"},
		{"restarted too late, at the deadline", "m=running@55", 60, "unhealthy [m] Task not running for min_healthy_time of 10s by healthy_deadline of 1m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := judge(parse(t, c.tasks), r, epoch, epoch.Add(time.Duration(c.at)*time.Second))
			got := fmt.Sprintf("look at %v", v.wake.Sub(epoch).Seconds())
			switch {
			case v.known && v.healthy:
				got = "healthy"
			case v.known:
				got = fmt.Sprintf("unhealthy %v %s", v.tasks, v.text)
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestHealthRules(t *testing.T) {
	alloc := func(kind, deployment string, g model.TaskGroup) *model.Allocation {
		g.Name = "g"
		return &model.Allocation{
			TaskGroup: "g", DeploymentID: model.DeploymentID(deployment),
			Job: &model.Job{Type: kind, TaskGroups: []*model.TaskGroup{&g}},
		}
	}
	update := &model.UpdateStrategy{HealthCheck: model.HealthChecks, MinHealthyTime: 1, HealthyDeadline: 2}
	manual := &model.UpdateStrategy{HealthCheck: model.HealthManual}
	migrate := &model.MigrateStrategy{MinHealthyTime: 3, HealthyDeadline: 4}
	for _, c := range []struct {
		name  string
		a     *model.Allocation
		want  rules
		watch bool
	}{
		{"deployment", alloc("service", "d", model.TaskGroup{Update: update, Migrate: migrate}), rules{1, 2}, true},
		{"manual", alloc("service", "d", model.TaskGroup{Update: manual}), rules{}, false},
		{"service without deployment", alloc("service", "", model.TaskGroup{Update: update, Migrate: migrate}), rules{3, 4}, true},
		{"nothing said", alloc("service", "", model.TaskGroup{}), rules{defaultMinHealthy, defaultDeadline}, true},
		{"batch", alloc("batch", "", model.TaskGroup{}), rules{}, false},
	} {
		got, watch := healthRules(c.a)
		if got != c.want || watch != c.watch {
			t.Errorf("%s: %+v, %v", c.name, got, watch)
		}
	}
}
