package scheduler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
)

func TestRescheduleSeries(t *testing.T) {
	for _, c := range []struct {
		function string
		max      time.Duration
		want     []time.Duration // in seconds
	}{
		{"constant", 0, []time.Duration{5, 5, 5, 5}},
		{"exponential", 15 * time.Second, []time.Duration{5, 10, 15, 15}},
		{"fibonacci", 12 * time.Second, []time.Duration{5, 5, 10, 12, 12, 12}},
	} {
		t.Run(c.function, func(t *testing.T) {
			w := newWorld()
			w.addNodes(2, nil)
			j := testJob("app", 1)
			j.TaskGroups[0].ReschedulePolicy = &model.ReschedulePolicy{
				Unlimited: true, Delay: 5 * time.Second, DelayFunction: c.function, MaxDelay: c.max,
			}
			w.register(j)
			w.run(t, "app", model.TriggerJobRegister)
			for i, want := range c.want {
				a := w.live("app")[0]
				w.report([]*model.Allocation{a}, fails(w.now))
				res := w.step(t, "app", model.TriggerRetryFailedAlloc, "later app.web[0] v0")
				if len(res.FollowUps) != 1 || !res.FollowUps[0].WaitUntil.Equal(w.now.Add(want*time.Second)) {
					t.Fatalf("attempt %d: follow-ups %+v", i, res.FollowUps)
				}
				w.step(t, "app", model.TriggerJobRegister) // too early
				w.now = res.FollowUps[0].WaitUntil
				follow := w.process(t, res.FollowUps[0])
				wantPlan(t, w, follow, "place after another app.web[0] v0", "stop app.web[0] v0: alloc was rescheduled because it failed")
				w.apply(follow.Plan)
				next := w.live("app")[0]
				if next.PreviousAllocation != a.ID || next.NodeID == a.NodeID {
					t.Errorf("attempt %d: replacement on %s after %s", i, next.NodeName, a.NodeName)
				}
				events := next.RescheduleTracker.Events
				last := events[len(events)-1]
				if last.Delay != want*time.Second || last.PrevAllocID != a.ID || last.PrevNodeID != a.NodeID || len(events) != min(i+1, 6) {
					t.Errorf("attempt %d: history %+v", i, events)
				}
			}
		})
	}
}

func TestRescheduleLimitAndForce(t *testing.T) {
	w := newWorld()
	w.addNodes(2, nil)
	j := testJob("app", 1)
	j.Type = model.JobTypeBatch
	j.TaskGroups[0].ReschedulePolicy = &model.ReschedulePolicy{
		Attempts: 1, Interval: 24 * time.Hour, Delay: 5 * time.Second, DelayFunction: "constant",
	}
	w.register(j)
	w.run(t, "app", model.TriggerJobRegister)
	w.report(w.live("app"), fails(w.now))
	w.now = w.now.Add(5 * time.Second)
	w.step(t, "app", model.TriggerRetryFailedAlloc, "place after another app.web[0] v0",
		"stop app.web[0] v0: alloc was rescheduled because it failed")
	w.report(w.live("app"), fails(w.now))
	w.now = w.now.Add(time.Hour)
	w.step(t, "app", model.TriggerRetryFailedAlloc)
	all := w.allocs[model.JobKey{Namespace: "default", ID: "app"}]
	last := all[len(all)-1]
	if last.DesiredStatus != model.AllocDesiredRun || last.ClientStatus != model.AllocClientFailed {
		t.Errorf("given up with %s/%s", last.DesiredStatus, last.ClientStatus)
	}
	w.report([]*model.Allocation{last}, func(a *model.Allocation) {
		yes := true
		a.DesiredTransition.ForceReschedule = &yes
	})
	w.step(t, "app", model.TriggerJobRegister, "place after another app.web[0] v0",
		"stop app.web[0] v0: alloc was rescheduled because it failed")
}

func TestBatchSlots(t *testing.T) {
	w := newWorld()
	w.addNodes(2, nil)
	j := testJob("calc", 2)
	j.Type = model.JobTypeBatch
	w.register(j)
	w.run(t, "calc", model.TriggerJobRegister)
	w.report(w.live("calc"), func(a *model.Allocation) {
		a.ClientStatus = model.AllocClientComplete
		a.TaskStates = map[string]*model.TaskState{"main": {State: model.TaskStateDead, FinishedAt: start}}
	})
	w.step(t, "calc", model.TriggerJobRegister) // done
	w.edit("calc", func(j *model.Job) { j.TaskGroups[0].Count = 3 })
	w.step(t, "calc", model.TriggerJobRegister, "place calc.web[0] v1", "place calc.web[1] v1", "place calc.web[2] v1")
	// A drain's deadline stops one for good.
	one := w.live("calc")[:1]
	w.report(one, func(a *model.Allocation) {
		yes := true
		a.DesiredTransition = model.DesiredTransition{Migrate: &yes, MigrateDisablePlacement: &yes}
	})
	w.step(t, "calc", model.TriggerNodeDrain, "stop calc.web[0] v1: alloc is being migrated")
	w.step(t, "calc", model.TriggerJobRegister)
	// A user's stop does not.
	w.report(w.live("calc")[:1], func(a *model.Allocation) {
		yes := true
		a.DesiredTransition = model.DesiredTransition{Migrate: &yes}
	})
	w.step(t, "calc", model.TriggerAllocStop, "place after another calc.web[1] v1", "stop calc.web[1] v1: alloc is being migrated")
}

func TestNodeLoss(t *testing.T) {
	w := newWorld()
	w.addNodes(3, nil)
	w.register(testJob("app", 3))
	w.run(t, "app", model.TriggerJobRegister)
	w.report(w.live("app"), running)
	dead := w.live("app")[1]
	w.setNode(dead.NodeID, func(n *model.Node) { n.Status = model.NodeStatusDown })
	w.step(t, "app", model.TriggerNodeUpdate, "place after another app.web[1] v0",
		"stop app.web[1] v0: alloc is lost since its node is down (lost)")
	// An allocation told to stop whose node dies before it could say so.
	w.report(w.live("app")[:1], func(a *model.Allocation) { a.DesiredStatus = model.AllocDesiredStop })
	gone := w.allocs[dead.JobKey()][0]
	for _, a := range w.allocs[dead.JobKey()] {
		if a.ServerTerminal() && a.ClientStatus == model.AllocClientRunning {
			gone = a
		}
	}
	w.setNode(gone.NodeID, func(n *model.Node) { n.Status = model.NodeStatusDown })
	res := w.run(t, "app", model.TriggerNodeUpdate)
	found := false
	for _, a := range res.Plan.NodeUpdate[string(gone.NodeID)] {
		found = found || a.ID == gone.ID && a.ClientStatus == model.AllocClientLost
	}
	if !found {
		t.Error("a stopping allocation of a dead node was not given up")
	}
}

func TestDisconnect(t *testing.T) {
	setup := func(t *testing.T, d model.DisconnectStrategy) (*world, *model.Allocation) {
		w := newWorld()
		w.addNodes(2, nil)
		j := testJob("app", 1)
		j.TaskGroups[0].Disconnect = &d
		j.TaskGroups[0].ReschedulePolicy.Delay = 5 * time.Second
		w.register(j)
		w.run(t, "app", model.TriggerJobRegister)
		w.report(w.live("app"), running)
		a := w.live("app")[0]
		w.setNode(a.NodeID, func(n *model.Node) { n.Status = model.NodeStatusDisconnected })
		return w, a
	}
	back := func(w *world, a *model.Allocation) {
		w.setNode(a.NodeID, func(n *model.Node) { n.Status = model.NodeStatusReady })
		for _, x := range w.allocs[a.JobKey()] {
			if x.ID == a.ID {
				w.report([]*model.Allocation{x}, running)
			}
		}
	}
	t.Run("replaced, then back", func(t *testing.T) {
		w, a := setup(t, model.DisconnectStrategy{LostAfter: time.Minute, Replace: true})
		res := w.step(t, "app", model.TriggerNodeUpdate, "now unknown app.web[0] v0")
		waits := map[string]time.Duration{}
		for _, e := range res.FollowUps {
			waits[e.TriggeredBy] = e.WaitUntil.Sub(w.now)
		}
		if diff := cmp.Diff(map[string]time.Duration{"max-disconnect-timeout": time.Minute, "alloc-reschedule": 5 * time.Second}, waits); diff != "" {
			t.Fatal(diff)
		}
		w.step(t, "app", model.TriggerJobRegister)
		w.now = w.now.Add(5 * time.Second)
		w.step(t, "app", "alloc-reschedule", "place after another app.web[0] v0")
		w.step(t, "app", model.TriggerJobRegister)
		back(w, a)
		w.step(t, "app", model.TriggerReconnect, "now running app.web[0] v0",
			"stop app.web[0] v0: alloc not needed due to disconnected client reconnect")
		w.step(t, "app", model.TriggerJobRegister)
		if live := w.live("app"); len(live) != 1 || live[0].ID != a.ID {
			t.Errorf("left %d", len(live))
		}
	})
	t.Run("replacement kept", func(t *testing.T) {
		w, a := setup(t, model.DisconnectStrategy{LostAfter: time.Minute, Replace: true, Reconcile: "keep_replacement"})
		w.run(t, "app", model.TriggerNodeUpdate)
		w.now = w.now.Add(5 * time.Second)
		w.run(t, "app", "alloc-reschedule")
		back(w, a)
		w.step(t, "app", model.TriggerReconnect, "stop app.web[0] v0: alloc not needed due to job update")
		if live := w.live("app"); len(live) != 1 || live[0].ID == a.ID {
			t.Errorf("left %d", len(live))
		}
	})
	t.Run("not replaced until lost", func(t *testing.T) {
		w, _ := setup(t, model.DisconnectStrategy{LostAfter: 12 * time.Second})
		w.step(t, "app", model.TriggerNodeUpdate, "now unknown app.web[0] v0")
		w.now = w.now.Add(11 * time.Second)
		w.step(t, "app", model.TriggerJobRegister)
		w.now = w.now.Add(time.Second)
		w.step(t, "app", model.TriggerMaxDisconnect, "place after another app.web[0] v0",
			"stop app.web[0] v0: alloc is lost since its node is down (lost)")
	})
	t.Run("no block", func(t *testing.T) {
		w, _ := setup(t, model.DisconnectStrategy{Replace: true})
		w.step(t, "app", model.TriggerNodeUpdate, "place after another app.web[0] v0",
			"stop app.web[0] v0: alloc is lost since its node is down (lost)")
	})
	t.Run("stop on client", func(t *testing.T) {
		six := 6 * time.Second
		w, a := setup(t, model.DisconnectStrategy{StopOnClientAfter: &six, Replace: true})
		w.setNode(a.NodeID, func(n *model.Node) { n.Status = model.NodeStatusDown })
		res := w.step(t, "app", model.TriggerNodeUpdate, "stop app.web[0] v0: alloc is lost since its node is down (lost)")
		if len(res.FollowUps) != 1 || res.FollowUps[0].WaitUntil.Sub(w.now) != 11*time.Second {
			t.Fatalf("follow-ups %+v", res.FollowUps)
		}
		w.now = w.now.Add(5 * time.Second)
		w.step(t, "app", model.TriggerJobRegister)
		w.now = w.now.Add(6 * time.Second)
		w.step(t, "app", model.TriggerRetryFailedAlloc, "place app.web[0] v0")
	})
}
