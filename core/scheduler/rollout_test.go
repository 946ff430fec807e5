package scheduler

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
)

func TestScaleUpIsInPlace(t *testing.T) {
	w := newWorld()
	w.addNodes(3, nil)
	w.register(rolling(testJob("app", 3), 1, 0))
	w.run(t, "app", model.TriggerJobRegister)
	w.report(w.live("app"), running)
	w.healthy(w.live("app"), true)
	w.edit("app", func(j *model.Job) { j.TaskGroups[0].Count = 5 })
	w.step(t, "app", model.TriggerJobRegister,
		"in place app.web[0] v1", "in place app.web[1] v1", "in place app.web[2] v1",
		"place app.web[3] v1", "place app.web[4] v1",
		"deployment: Deployment is running",
		"deployment cancelled: Cancelled due to newer version of job")
	d := w.deployments[model.JobKey{Namespace: "default", ID: "app"}].TaskGroups["web"]
	if d.DesiredTotal != 5 || d.PlacedAllocs != 5 {
		t.Errorf("rollout %+v", d)
	}
	for _, a := range w.live("app") {
		if a.DeploymentStatus.IsHealthy() {
			t.Errorf("%s kept its health", a.Name)
		}
	}
}

func TestRollingUpdate(t *testing.T) {
	w := newWorld()
	w.addNodes(3, nil)
	w.register(rolling(testJob("app", 4), 1, 0))
	w.run(t, "app", model.TriggerJobRegister)
	w.report(w.live("app"), running)
	w.healthy(w.live("app"), true)
	w.run(t, "app", model.TriggerDeploymentWatcher)
	w.edit("app", func(j *model.Job) { j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "1"} })
	for i := range 4 {
		want := []string{
			fmt.Sprintf("place after another app.web[%d] v1", i),
			fmt.Sprintf("stop app.web[%d] v0: alloc is being updated due to job update", i),
		}
		if i == 0 {
			want = append(want, "deployment: Deployment is running")
		}
		res := w.step(t, "app", model.TriggerJobRegister, want...)
		d := res.Annotations.DesiredTGUpdates["web"]
		if d.DestructiveUpdate != 1 || d.Ignore != 3 {
			t.Errorf("step %d: %+v", i, d)
		}
		w.step(t, "app", model.TriggerDeploymentWatcher) // not healthy yet: no step
		fresh := slices.DeleteFunc(w.live("app"), func(a *model.Allocation) bool {
			return a.JobVersion == 0 || a.DeploymentStatus.IsHealthy()
		})
		w.report(fresh, running)
		w.healthy(fresh, true)
	}
	w.step(t, "app", model.TriggerDeploymentWatcher, "deployment successful: Deployment completed successfully")
}

func TestRolloutStops(t *testing.T) {
	setup := func(t *testing.T) *world {
		w := newWorld()
		w.addNodes(3, nil)
		w.register(rolling(testJob("app", 3), 1, 0))
		w.run(t, "app", model.TriggerJobRegister)
		w.report(w.live("app"), running)
		w.healthy(w.live("app"), true)
		w.run(t, "app", model.TriggerDeploymentWatcher)
		w.edit("app", func(j *model.Job) { j.TaskGroups[0].Tasks[0].User = "nobody" })
		w.run(t, "app", model.TriggerJobRegister)
		w.report(w.live("app")[:1], running)
		return w
	}
	key := model.JobKey{Namespace: "default", ID: "app"}
	t.Run("while an allocation is unhealthy", func(t *testing.T) {
		w := setup(t)
		w.healthy(w.live("app")[:1], false)
		w.step(t, "app", model.TriggerDeploymentWatcher)
	})
	for _, status := range []string{model.DeploymentStatusPaused, model.DeploymentStatusFailed} {
		t.Run("when "+status, func(t *testing.T) {
			w := setup(t)
			w.healthy(w.live("app")[:1], true)
			d := w.deployments[key].Clone()
			d.Status = status
			w.deployments[key] = d
			w.step(t, "app", model.TriggerDeploymentWatcher)
			w.step(t, "app", model.TriggerJobRegister)
		})
	}
	t.Run("but not lost allocations' replacement", func(t *testing.T) {
		w := setup(t)
		d := w.deployments[key].Clone()
		d.Status = model.DeploymentStatusPaused
		w.deployments[key] = d
		old := w.live("app")[2]
		w.setNode(old.NodeID, func(n *model.Node) { n.Status = model.NodeStatusDown })
		res := w.run(t, "app", model.TriggerNodeUpdate)
		found := false
		for _, list := range res.Plan.NodeAllocation {
			for _, a := range list {
				found = found || a.PreviousAllocation == old.ID
			}
		}
		if !found {
			t.Error("not replaced")
		}
	})
}

func TestCanaries(t *testing.T) {
	key := model.JobKey{Namespace: "default", ID: "app"}
	setup := func(t *testing.T) *world {
		w := newWorld()
		w.addNodes(4, nil)
		w.register(rolling(testJob("app", 3), 2, 1))
		w.run(t, "app", model.TriggerJobRegister)
		w.report(w.live("app"), running)
		w.healthy(w.live("app"), true)
		w.run(t, "app", model.TriggerDeploymentWatcher)
		w.edit("app", func(j *model.Job) { j.TaskGroups[0].Tasks[0].Driver = "exec2" })
		for i := range 4 {
			w.setNode(nodeID(i), func(n *model.Node) {
				n.Drivers = map[string]*model.DriverInfo{"exec": {Detected: true, Healthy: true}, "exec2": {Detected: true, Healthy: true}}
			})
		}
		w.step(t, "app", model.TriggerJobRegister, "canary app.web[0] v1",
			"deployment: Deployment is running but requires manual promotion")
		return w
	}
	canary := func(w *world) []*model.Allocation {
		return slices.DeleteFunc(w.live("app"), func(a *model.Allocation) bool { return a.JobVersion == 0 })
	}
	t.Run("promoted", func(t *testing.T) {
		w := setup(t)
		w.report(canary(w), running)
		w.healthy(canary(w), true)
		w.step(t, "app", model.TriggerDeploymentWatcher)
		d := w.deployments[key].Clone()
		d.TaskGroups["web"].Promoted = true
		w.deployments[key] = d
		w.report(canary(w), func(a *model.Allocation) {
			s := *a.DeploymentStatus
			s.Canary = false
			a.DeploymentStatus = &s
		})
		w.step(t, "app", model.TriggerDeploymentWatcher,
			"place after another app.web[1] v1", "place after another app.web[2] v1",
			"stop app.web[0] v0: alloc not needed due to job update",
			"stop app.web[1] v0: alloc is being updated due to job update",
			"stop app.web[2] v0: alloc is being updated due to job update")
		w.report(w.live("app"), running)
		w.healthy(w.live("app")[1:], true)
		w.step(t, "app", model.TriggerDeploymentWatcher, "deployment successful: Deployment completed successfully")
	})
	t.Run("superseded", func(t *testing.T) {
		w := setup(t)
		w.edit("app", func(j *model.Job) { j.TaskGroups[0].Tasks[0].Driver = "exec" })
		w.step(t, "app", model.TriggerJobRegister,
			"in place app.web[0] v2", "in place app.web[1] v2", "in place app.web[2] v2",
			"stop app.web[0] v1: alloc not needed due to job update",
			"deployment: Deployment is running", "deployment cancelled: Cancelled due to newer version of job")
	})
	t.Run("failed", func(t *testing.T) {
		w := setup(t)
		d := w.deployments[key].Clone()
		d.Status = model.DeploymentStatusFailed
		w.deployments[key] = d
		w.step(t, "app", model.TriggerDeploymentWatcher, "stop app.web[0] v1: alloc not needed due to job update")
		w.step(t, "app", model.TriggerJobRegister)
	})
	t.Run("others keep the old version", func(t *testing.T) {
		w := setup(t)
		old := w.live("app")[3]
		w.report([]*model.Allocation{old}, func(a *model.Allocation) {
			yes := true
			a.DesiredTransition.Migrate = &yes
		})
		w.step(t, "app", model.TriggerNodeDrain,
			"place after another app.web[2] v0", "stop app.web[2] v0: alloc is being migrated")
	})
	t.Run("lost are made anew", func(t *testing.T) {
		w := setup(t)
		c := canary(w)[0]
		on := 0
		for _, a := range w.live("app") {
			if a.NodeID == c.NodeID {
				on++
			}
		}
		if on > 1 {
			t.Fatal("the canary shares its node")
		}
		w.setNode(c.NodeID, func(n *model.Node) { n.Status = model.NodeStatusDown })
		w.step(t, "app", model.TriggerNodeUpdate, "canary app.web[0] v1",
			"stop app.web[0] v1: alloc is lost since its node is down (lost)")
	})
}

func TestAllFailedGroupStartsWithCanaries(t *testing.T) {
	w := newWorld()
	w.addNodes(2, nil)
	j := testJob("app", 2)
	j.TaskGroups[0].ReschedulePolicy = &model.ReschedulePolicy{}
	w.register(rolling(j, 1, 0))
	w.run(t, "app", model.TriggerJobRegister)
	w.report(w.live("app"), fails(start))
	w.step(t, "app", model.TriggerRetryFailedAlloc)
	w.edit("app", func(j *model.Job) {
		j.TaskGroups[0].Count, j.TaskGroups[0].Update.Canary = 3, 1
		j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "2"}
	})
	w.step(t, "app", model.TriggerJobRegister, "canary app.web[0] v1",
		"deployment: Deployment is running but requires manual promotion",
		"deployment cancelled: Cancelled due to newer version of job")
}

func TestCountAndPlacementShareMaxParallel(t *testing.T) {
	w := newWorld()
	w.addNodes(3, nil)
	w.register(rolling(testJob("app", 2), 1, 0))
	w.run(t, "app", model.TriggerJobRegister)
	w.report(w.live("app"), running)
	w.healthy(w.live("app"), true)
	w.edit("app", func(j *model.Job) {
		j.TaskGroups[0].Count = 4
		j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "2"}
	})
	res := w.run(t, "app", model.TriggerJobRegister)
	want := &model.DesiredUpdates{Place: 2, Ignore: 2}
	if diff := cmp.Diff(want, res.Annotations.DesiredTGUpdates["web"]); diff != "" {
		t.Error(diff)
	}
}
