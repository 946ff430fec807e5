package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

func register(t testing.TB, s *Server, job *model.Job) *rpc.JobRegisterResponse {
	t.Helper()
	resp, err := rpc.JobRegister.Call(t.Context(), s.Caller(), &rpc.JobRegisterRequest{Job: job})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func jobKeyOf(id string) model.JobKey {
	return model.JobKey{Namespace: model.DefaultNamespace, ID: model.JobID(id)}
}

// rolling is a job whose groups roll out one at a time.
func rolling(id, command string, count int, change func(*model.UpdateStrategy)) *model.Job {
	j := testJob(id, count)
	j.TaskGroups[0].Tasks[0].Config = map[string]any{"command": command}
	u := &model.UpdateStrategy{
		MaxParallel: 1, HealthCheck: model.HealthTaskStates, MinHealthyTime: time.Millisecond,
		HealthyDeadline: time.Minute, ProgressDeadline: 2 * time.Minute,
	}
	if change != nil {
		change(u)
	}
	j.TaskGroups[0].Update = u
	return j
}

func yes() *bool { v := true; return &v }
func no() *bool  { v := false; return &v }

// settle has the node report every allocation that is to run, and is not known
// to be healthy, as healthy, until the job's latest deployment ends. It returns
// the deployment and how many ran and were not healthy at most.
func settle(t *testing.T, s *Server, n *fakeNode, id string, version uint64) (*model.Deployment, int) {
	t.Helper()
	most := 0
	var d *model.Deployment
	eventually(t, "the deployment to end", func() bool {
		snap := s.store.Snapshot()
		d = snap.LatestDeployment(nil, jobKeyOf(id))
		if d == nil || d.JobVersion < version {
			return false
		}
		if !d.Active() {
			return true
		}
		waiting := map[model.AllocID]bool{}
		for a := range snap.AllocsByDeployment(nil, d.ID) {
			if !a.Terminal() && (a.DeploymentStatus == nil || a.DeploymentStatus.Healthy == nil) {
				waiting[a.ID] = true
			}
		}
		most = max(most, len(waiting))
		if len(waiting) > 0 {
			n.wait("the node to have them", func() bool {
				for id := range waiting {
					if n.allocs[id] == nil {
						return false
					}
				}
				return true
			})
			n.reportHealth(model.AllocClientRunning, yes(), func(a *model.Allocation) bool { return waiting[a.ID] })
		}
		// What was replaced has ended.
		stopped := map[model.AllocID]bool{}
		for a := range snap.AllocsByJob(nil, jobKeyOf(id)) {
			if a.ServerTerminal() && !a.ClientTerminal() {
				stopped[a.ID] = true
			}
		}
		if len(stopped) > 0 {
			n.report(model.AllocClientComplete, func(a *model.Allocation) bool { return stopped[a.ID] })
		}
		return false
	})
	return d, most
}

func TestDeploymentRollsOneAtATime(t *testing.T) {
	s := devServer(t, nil)
	n := newFakeNode(t, s.Caller(), "n1")
	n.start()
	register(t, s, rolling("web", "one", 3, nil))
	d, _ := settle(t, s, n, "web", 0)
	if d.Status != model.DeploymentStatusSuccessful || d.TaskGroups["g"].HealthyAllocs != 3 {
		t.Fatalf("first deployment is %+v, %+v", d, d.TaskGroups["g"])
	}
	register(t, s, rolling("web", "two", 3, nil))
	d, most := settle(t, s, n, "web", 1)
	if d.Status != model.DeploymentStatusSuccessful || d.StatusDescription != "Deployment completed successfully" {
		t.Fatalf("second deployment is %+v", d)
	}
	if most != 1 {
		t.Errorf("%d were replaced at a time", most)
	}
	live := n.live()
	if len(live) != 3 {
		t.Errorf("%d allocations are to run", len(live))
	}
	for _, a := range live {
		if a.JobVersion != 1 {
			t.Errorf("allocation %s is of version %d", a.Name, a.JobVersion)
		}
	}
	if v := s.store.Snapshot().JobVersion(nil, jobKeyOf("web"), 1); !v.Stable {
		t.Error("the version that was rolled out is not stable")
	}
}

func TestDeploymentGoesBackToTheStableVersion(t *testing.T) {
	s := devServer(t, nil)
	n := newFakeNode(t, s.Caller(), "n1")
	n.start()
	auto := func(u *model.UpdateStrategy) { u.AutoRevert = true }
	register(t, s, rolling("web", "good", 2, auto))
	settle(t, s, n, "web", 0)
	bad := rolling("web", "bad", 2, auto)
	bad.TaskGroups[0].ReschedulePolicy = &model.ReschedulePolicy{Attempts: 0, Interval: time.Hour, Delay: 5 * time.Second, DelayFunction: "constant"}
	register(t, s, bad)
	n.wait("a bad allocation", func() bool {
		for _, a := range n.allocs {
			if a.JobVersion == 1 {
				return true
			}
		}
		return false
	})
	n.reportHealth(model.AllocClientFailed, no(), func(a *model.Allocation) bool { return a.JobVersion == 1 })
	eventually(t, "the job to be rolled back", func() bool {
		return s.store.Snapshot().Job(nil, jobKeyOf("web")).Version == 2
	})
	snap := s.store.Snapshot()
	job := snap.Job(nil, jobKeyOf("web"))
	if job.TaskGroups[0].Tasks[0].Config["command"] != "good" {
		t.Errorf("version 2 runs %v", job.TaskGroups[0].Tasks[0].Config)
	}
	for d := range snap.DeploymentsByJob(nil, jobKeyOf("web")) {
		if d.JobVersion == 1 && d.StatusDescription != "Failed due to unhealthy allocations - rolling back to job version 0" {
			t.Errorf("the failed deployment says %q", d.StatusDescription)
		}
	}
	d, _ := settle(t, s, n, "web", 2)
	if d.Status != model.DeploymentStatusSuccessful {
		t.Errorf("the deployment of the way back is %+v", d)
	}
}

func TestCanariesWaitForPromotion(t *testing.T) {
	s := devServer(t, nil)
	n := newFakeNode(t, s.Caller(), "n1")
	n.start()
	canary := func(u *model.UpdateStrategy) { u.Canary = 1 }
	register(t, s, rolling("web", "one", 2, canary))
	settle(t, s, n, "web", 0)
	register(t, s, rolling("web", "two", 2, canary))
	n.wait("the canary", func() bool {
		for _, a := range n.allocs {
			if a.DeploymentStatus.IsCanary() {
				return true
			}
		}
		return false
	})
	d := s.store.Snapshot().LatestDeployment(nil, jobKeyOf("web"))
	if _, err := rpc.DeploymentPromote.Call(t.Context(), s.Caller(), &rpc.DeploymentPromoteRequest{DeploymentID: d.ID, All: true}); err == nil {
		t.Error("a canary that is not healthy was promoted")
	}
	n.reportHealth(model.AllocClientRunning, yes(), func(a *model.Allocation) bool { return a.DeploymentStatus.IsCanary() })
	if _, err := rpc.DeploymentPromote.Call(t.Context(), s.Caller(), &rpc.DeploymentPromoteRequest{DeploymentID: d.ID, All: true}); err != nil {
		t.Fatal(err)
	}
	d, _ = settle(t, s, n, "web", 1)
	if d.Status != model.DeploymentStatusSuccessful || !d.TaskGroups["g"].Promoted {
		t.Errorf("deployment is %+v, %+v", d, d.TaskGroups["g"])
	}
	if live := n.live(); len(live) != 2 {
		t.Errorf("%d allocations are to run", len(live))
	}
}

func TestSilentNodeLosesItsAllocations(t *testing.T) {
	s := devServer(t, func(c *Config) {
		c.MinHeartbeatTTL, c.HeartbeatGrace = 200*time.Millisecond, 200*time.Millisecond
	})
	n1 := newFakeNode(t, s.Caller(), "n1")
	n1.start()
	register(t, s, testJob("web", 2))
	n1.wait("the allocations", func() bool { return len(n1.allocs) == 2 })
	n1.report(model.AllocClientRunning, nil)
	n2 := newFakeNode(t, s.Caller(), "n2")
	n2.start()
	beats := time.NewTicker(50 * time.Millisecond)
	defer beats.Stop()
	eventually(t, "the silent node to be down", func() bool {
		<-beats.C
		n2.beat(model.NodeStatusReady)
		return s.store.Snapshot().Node(nil, n1.node.ID).Status == model.NodeStatusDown
	})
	n2.wait("the replacements", func() bool { return len(n2.allocs) == 2 })
	lost := 0
	for a := range s.store.Snapshot().AllocsByNode(nil, n1.node.ID) {
		if a.ClientStatus == model.AllocClientLost && a.DesiredStatus == model.AllocDesiredStop {
			lost++
		}
	}
	if lost != 2 {
		t.Errorf("%d allocations are lost", lost)
	}
	// It comes back: first it tells what it has, then it is ready.
	n1.beat(model.NodeStatusReady)
	if got := s.store.Snapshot().Node(nil, n1.node.ID).Status; got != model.NodeStatusInit {
		t.Errorf("the node that came back is %s before it told of its allocations", got)
	}
	n1.wait("to be told to stop", func() bool {
		for _, a := range n1.allocs {
			if a.DesiredStatus != model.AllocDesiredStop {
				return false
			}
		}
		return true
	})
	n1.report(model.AllocClientComplete, nil)
	n1.beat(model.NodeStatusReady)
	if got := s.store.Snapshot().Node(nil, n1.node.ID).Status; got != model.NodeStatusReady {
		t.Errorf("the node that came back is %s", got)
	}
}

func TestBlockedUntilThereIsRoom(t *testing.T) {
	s := devServer(t, nil)
	reg := register(t, s, testJob("web", 2))
	eventually(t, "a blocked evaluation", func() bool {
		e := s.store.Snapshot().Eval(nil, reg.EvalID)
		return e.Status == model.EvalStatusComplete && e.BlockedEval != ""
	})
	sum := s.store.Snapshot().JobSummary(nil, jobKeyOf("web"))
	if sum.Summary["g"].Queued != 2 {
		t.Errorf("summary is %+v", sum.Summary)
	}
	n := newFakeNode(t, s.Caller(), "n1")
	n.start()
	n.wait("the allocations", func() bool { return len(n.allocs) == 2 })
	eventually(t, "nothing to be queued", func() bool {
		return s.store.Snapshot().JobSummary(nil, jobKeyOf("web")).Summary["g"].Queued == 0
	})
}

func TestDrainMovesServices(t *testing.T) {
	s := devServer(t, nil)
	n1 := newFakeNode(t, s.Caller(), "n1")
	n1.start()
	register(t, s, rolling("web", "one", 2, nil))
	settle(t, s, n1, "web", 0)
	n2 := newFakeNode(t, s.Caller(), "n2")
	n2.start()
	_, err := rpc.NodeDrain.Call(t.Context(), s.Caller(), &rpc.NodeDrainRequest{NodeID: n1.node.ID, Spec: &model.DrainStrategy{Deadline: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the drain to be complete", func() bool {
		for _, n := range []*fakeNode{n1, n2} {
			n.reportHealth(model.AllocClientRunning, yes(), func(a *model.Allocation) bool { return a.DesiredStatus == model.AllocDesiredRun })
			n.report(model.AllocClientComplete, func(a *model.Allocation) bool { return a.DesiredStatus == model.AllocDesiredStop })
		}
		node := s.store.Snapshot().Node(nil, n1.node.ID)
		return node.DrainStrategy == nil && node.LastDrain != nil && node.LastDrain.Status == "complete"
	})
	if got := len(n2.live()); got != 2 {
		t.Errorf("%d allocations were moved", got)
	}
	if s.store.Snapshot().Node(nil, n1.node.ID).SchedulingEligibility != model.NodeIneligible {
		t.Error("a drained node is eligible")
	}
}

func TestGarbageCollection(t *testing.T) {
	s := devServer(t, nil)
	n := newFakeNode(t, s.Caller(), "n1")
	n.start()
	register(t, s, testJob("web", 2))
	n.wait("the allocations", func() bool { return len(n.allocs) == 2 })
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
	eventually(t, "everything to be forgotten", func() bool {
		if _, err := rpc.SystemGC.Call(t.Context(), s.Caller(), &rpc.SystemRequest{}); err != nil {
			t.Fatal(err)
		}
		snap := s.store.Snapshot()
		for range snap.Allocs(nil) {
			return false
		}
		for range snap.Evals(nil) {
			return false
		}
		return snap.Job(nil, jobKeyOf("web")) == nil
	})
	n.wait("the node to forget", func() bool { return len(n.allocs) == 0 })
}

func TestDispatchAndPeriodic(t *testing.T) {
	s := devServer(t, nil)
	n := newFakeNode(t, s.Caller(), "n1")
	n.start()
	parent := typedJob("import", model.JobTypeBatch, 1)
	parent.ParameterizedJob = &model.ParameterizedJobConfig{Payload: "optional", MetaRequired: []string{"who"}}
	if reg := register(t, s, parent); reg.EvalID != "" {
		t.Error("a parameterized job was evaluated")
	}
	req := &rpc.JobDispatchRequest{JobID: "import", IdempotencyToken: "x"}
	if _, err := rpc.JobDispatch.Call(t.Context(), s.Caller(), req); err == nil || err.Error() != "Dispatch did not provide required meta keys: [who]" {
		t.Errorf("error is %v", err)
	}
	req.Meta = map[string]string{"who": "me"}
	child, err := rpc.JobDispatch.Call(t.Context(), s.Caller(), req)
	if err != nil || child.EvalID == "" {
		t.Fatalf("answer is %+v, error %v", child, err)
	}
	again, err := rpc.JobDispatch.Call(t.Context(), s.Caller(), req)
	if err != nil || again.DispatchedJobID != child.DispatchedJobID || again.EvalID != "" {
		t.Errorf("the token gave %+v, error %v", again, err)
	}
	n.wait("the child's allocation", func() bool { return len(n.allocs) == 1 })
	eventually(t, "the child to be counted", func() bool {
		return s.store.Snapshot().JobSummary(nil, jobKeyOf("import")).Children.Running == 1
	})

	clock := typedJob("clock", model.JobTypeBatch, 1)
	clock.Periodic = &model.PeriodicConfig{Enabled: true, Spec: "* * * * * * *", SpecType: "cron", TimeZone: "UTC"}
	register(t, s, clock)
	n.wait("a child of the clock", func() bool {
		for _, a := range n.allocs {
			if j := n.jobs[a.JobID]; j != nil && j.ParentID == "clock" {
				return true
			}
		}
		return false
	})
}

func TestPlanShowsWhatRegisteringWouldDo(t *testing.T) {
	s := devServer(t, nil)
	n := newFakeNode(t, s.Caller(), "n1")
	n.start()
	before := s.store.Index()
	plan, err := rpc.JobPlan.Call(t.Context(), s.Caller(), &rpc.JobPlanRequest{Job: testJob("web", 3), Diff: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.Annotations.DesiredTGUpdates["g"]; got == nil || got.Place != 3 {
		t.Errorf("annotations are %+v", got)
	}
	if plan.Diff == nil || plan.Diff.Type != model.DiffAdded {
		t.Errorf("diff is %+v", plan.Diff)
	}
	if s.store.Index() != before || s.store.Snapshot().Job(nil, jobKeyOf("web")) != nil {
		t.Error("the dry run changed the state")
	}
}

func TestRefusals(t *testing.T) {
	s := devServer(t, nil)
	register(t, s, testJob("web", 1))
	index := s.store.Snapshot().Job(nil, jobKeyOf("web")).JobModifyIndex
	call := s.Caller()
	for name, tc := range map[string]struct {
		do   func() error
		want string
	}{
		"enforced index": {func() error {
			_, err := rpc.JobRegister.Call(t.Context(), call, &rpc.JobRegisterRequest{Job: testJob("web", 2), EnforceIndex: true, JobModifyIndex: 1})
			return err
		}, fmt.Sprintf("Enforcing job modify index 1: job exists with conflicting job modify index: %d", index)},
		"enforced absence": {func() error {
			_, err := rpc.JobRegister.Call(t.Context(), call, &rpc.JobRegisterRequest{Job: testJob("web", 2), EnforceIndex: true})
			return err
		}, "Enforcing job modify index 0: job already exists"},
		"unknown namespace": {func() error {
			req := &rpc.JobRegisterRequest{Job: testJob("x", 2)}
			req.Namespace = "qa"
			_, err := rpc.JobRegister.Call(t.Context(), call, req)
			return err
		}, `job "x" is in nonexistent namespace "qa"`},
		"revert to current": {func() error {
			_, err := rpc.JobRevert.Call(t.Context(), call, &rpc.JobRevertRequest{JobID: "web"})
			return err
		}, "can't revert to current version"},
		"revert to nothing": {func() error {
			_, err := rpc.JobRevert.Call(t.Context(), call, &rpc.JobRevertRequest{JobID: "web", JobVersion: 33})
			return err
		}, `job "web" in namespace "default" at version 33 not found`},
		"odd prefix": {func() error {
			q := &rpc.AllocListRequest{}
			q.Prefix = "abc"
			_, err := rpc.AllocList.Call(t.Context(), call, q)
			return err
		}, "index error: Input (without hyphens) must be even length"},
		"unknown group": {func() error {
			n := int64(1)
			_, err := rpc.JobScale.Call(t.Context(), call, &rpc.JobScaleRequest{JobID: "web", Group: "z", Count: &n})
			return err
		}, `task group "z" specified for scaling does not exist in job`},
	} {
		if err := tc.do(); err == nil || err.Error() != tc.want {
			t.Errorf("%s: error is %v, want %s", name, err, tc.want)
		}
	}
	if resp, err := rpc.JobDeregister.Call(t.Context(), call, &rpc.JobDeregisterRequest{JobID: "nope"}); err != nil || resp.EvalID != "" {
		t.Errorf("stopping an unknown job: %+v, %v", resp, err)
	}
}

func TestListsArePagedAndFiltered(t *testing.T) {
	s := devServer(t, nil)
	for i := range 25 {
		register(t, s, testJob(fmt.Sprintf("job-%02d", i), 0))
	}
	var got []model.JobID
	q := &rpc.JobListRequest{}
	q.PerPage = 10
	for {
		resp, err := rpc.JobList.Call(t.Context(), s.Caller(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range resp.Jobs {
			got = append(got, j.ID)
		}
		if resp.NextToken == "" {
			break
		}
		next := *q
		next.NextToken = resp.NextToken
		q = &next
	}
	if len(got) != 25 || got[0] != "job-00" || got[24] != "job-24" {
		t.Errorf("pages gave %v", got)
	}
	q = &rpc.JobListRequest{}
	q.Filter = `ID matches "job-1." and ParameterizedJob is nil`
	resp, err := rpc.JobList.Call(t.Context(), s.Caller(), q)
	if err != nil || len(resp.Jobs) != 10 {
		t.Errorf("filter gave %d, error %v", len(resp.Jobs), err)
	}
	evals := &rpc.EvalListRequest{}
	evals.PerPage = 7
	seen := map[model.EvalID]bool{}
	for {
		resp, err := rpc.EvalList.Call(t.Context(), s.Caller(), evals)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.Evals {
			if seen[e.ID] {
				t.Errorf("%s is listed twice", e.ID)
			}
			seen[e.ID] = true
		}
		if resp.NextToken == "" {
			break
		}
		next := *evals
		next.NextToken = resp.NextToken
		evals = &next
	}
	if len(seen) != 25 {
		t.Errorf("pages gave %d evaluations", len(seen))
	}
}
