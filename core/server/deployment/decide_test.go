package deployment

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seraiproject/serai/core/model"
)

func TestDecide(t *testing.T) {
	now := time.Unix(100_000, 0)
	yes, no := true, false
	group := func(change func(*model.DeploymentState)) *model.Deployment {
		g := &model.DeploymentState{DesiredTotal: 2, ProgressDeadline: time.Minute, RequireProgressBy: now.Add(time.Minute)}
		change(g)
		return &model.Deployment{Status: model.DeploymentStatusRunning, TaskGroups: map[string]*model.DeploymentState{"g": g}}
	}
	job := func(p *model.ReschedulePolicy) *model.Job {
		return &model.Job{TaskGroups: []*model.TaskGroup{{Name: "g", ReschedulePolicy: p}}}
	}
	alloc := func(id string, healthy *bool, canary bool) *model.Allocation {
		return &model.Allocation{
			ID: model.AllocID(id), TaskGroup: "g", DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientRunning,
			DeploymentStatus: &model.AllocDeploymentStatus{Healthy: healthy, Canary: canary},
		}
	}
	failed := func(a *model.Allocation) *model.Allocation {
		a.ClientStatus = model.AllocClientFailed
		return a
	}
	unlimited := job(&model.ReschedulePolicy{Unlimited: true})
	for name, tc := range map[string]struct {
		d      *model.Deployment
		job    *model.Job
		allocs []*model.Allocation
		want   action
	}{
		"nothing yet": {
			d: group(func(*model.DeploymentState) {}), job: unlimited,
			want: action{deadline: now.Add(time.Minute)},
		},
		"paused": {
			d: &model.Deployment{Status: model.DeploymentStatusPaused}, job: unlimited,
			allocs: []*model.Allocation{alloc("a", &no, false)},
		},
		"unhealthy without a deadline": {
			d:   group(func(g *model.DeploymentState) { g.ProgressDeadline, g.AutoRevert = 0, true }),
			job: unlimited, allocs: []*model.Allocation{alloc("a", &no, false)},
			want: action{fail: FailedUnhealthy, revert: true},
		},
		"unhealthy without attempts": {
			d: group(func(*model.DeploymentState) {}), job: job(&model.ReschedulePolicy{Attempts: 0, Interval: time.Hour}),
			allocs: []*model.Allocation{alloc("a", &no, false)},
			want:   action{fail: FailedUnhealthy},
		},
		"unhealthy with attempts": {
			d: group(func(*model.DeploymentState) {}), job: job(&model.ReschedulePolicy{Attempts: 1, Interval: time.Hour}),
			allocs: []*model.Allocation{alloc("a", &no, false)},
			want:   action{reschedule: []model.AllocID{"a"}, deadline: now.Add(time.Minute)},
		},
		"healthy once, failed later": {
			d: group(func(*model.DeploymentState) {}), job: unlimited,
			allocs: []*model.Allocation{failed(alloc("a", &yes, false))},
			want:   action{reschedule: []model.AllocID{"a"}, deadline: now.Add(time.Minute)},
		},
		"healthy once, failed later, without attempts": {
			d: group(func(*model.DeploymentState) {}), job: job(&model.ReschedulePolicy{Attempts: 0, Interval: time.Hour}),
			allocs: []*model.Allocation{failed(alloc("a", &yes, false))},
			want:   action{deadline: now.Add(time.Minute)},
		},
		"late": {
			d:    group(func(g *model.DeploymentState) { g.RequireProgressBy = now }),
			job:  unlimited,
			want: action{fail: FailedDeadline},
		},
		"done is never late": {
			d:   group(func(g *model.DeploymentState) { g.RequireProgressBy, g.HealthyAllocs = now, 2 }),
			job: unlimited,
		},
		"healthy canaries are never late": {
			d: group(func(g *model.DeploymentState) {
				g.RequireProgressBy, g.DesiredCanaries, g.HealthyAllocs = now, 1, 1
			}),
			job: unlimited, allocs: []*model.Allocation{alloc("a", &yes, true)},
		},
		"promoted by itself": {
			d: group(func(g *model.DeploymentState) {
				g.DesiredCanaries, g.HealthyAllocs, g.AutoPromote = 1, 1, true
			}),
			job: unlimited, allocs: []*model.Allocation{alloc("a", &yes, true)},
			want: action{promote: true},
		},
		"not all canaries are healthy": {
			d: group(func(g *model.DeploymentState) {
				g.DesiredCanaries, g.HealthyAllocs, g.AutoPromote = 2, 1, true
			}),
			job: unlimited, allocs: []*model.Allocation{alloc("a", &yes, true), alloc("b", nil, true)},
			want: action{deadline: now.Add(time.Minute)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := decide(tc.d, tc.job, tc.allocs, now)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(action{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
