package state

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
)

func testJob(id string, command string) *model.Job {
	j := &model.Job{
		ID: model.JobID(id), Type: model.JobTypeService, SubmitTime: 1,
		TaskGroups: []*model.TaskGroup{{Name: "g", Count: 1, Tasks: []*model.Task{{
			Name: "t", Driver: "exec", Config: map[string]any{"command": command},
		}}}},
	}
	j.Canonicalize()
	return j
}

// write runs commands, each at the next index from 10 on.
type writer struct {
	t     *testing.T
	s     *Store
	index uint64
}

func newWriter(t *testing.T) *writer { return &writer{t, New(), 9} }

func (w *writer) do(f func(*Txn)) *Changes {
	w.t.Helper()
	w.index++
	t := w.s.Begin()
	t.At(w.index)
	f(t)
	t.Flush()
	return t.Commit()
}

func (w *writer) job(id string) *model.Job {
	return w.s.Snapshot().Job(nil, model.JobKey{Namespace: "default", ID: model.JobID(id)})
}

func alloc(id string, job *model.Job, status string) *model.Allocation {
	return &model.Allocation{
		ID: model.AllocID(id), Namespace: "default", JobID: job.ID, JobVersion: job.Version, TaskGroup: "g", NodeID: "n",
		DesiredStatus: model.AllocDesiredRun, ClientStatus: status, AllocatedResources: &model.AllocatedResources{},
	}
}

func TestJobVersions(t *testing.T) {
	w := newWriter(t)
	w.do(func(tx *Txn) { tx.UpsertJob(testJob("web", "a"), nil) })
	first := w.job("web")
	w.do(func(tx *Txn) { tx.UpsertJob(testJob("web", "a"), nil) })
	if again := w.job("web"); again.Version != 0 || again.JobModifyIndex != first.JobModifyIndex {
		t.Errorf("the same specification gave version %d, index %d", again.Version, again.JobModifyIndex)
	}
	w.do(func(tx *Txn) { tx.SetStable(first.Key(), 0, true) })
	if again := w.job("web"); again.JobModifyIndex != first.JobModifyIndex || again.ModifyIndex == first.ModifyIndex {
		t.Errorf("stability moved the job modify index, or did not move the modify index: %+v", again)
	}
	for i := range 9 {
		w.do(func(tx *Txn) {
			tx.UpsertJob(testJob("web", fmt.Sprint(i)), &model.JobSubmission{Source: fmt.Sprint(i)})
		})
	}
	var versions []uint64
	for _, v := range w.s.Snapshot().JobVersions(nil, first.Key()) {
		versions = append(versions, v.Version)
	}
	// The stable one is spared.
	if diff := cmp.Diff([]uint64{9, 8, 7, 6, 5, 0}, versions); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if w.s.Snapshot().Submission(nil, first.Key(), 3) != nil || w.s.Snapshot().Submission(nil, first.Key(), 9) == nil {
		t.Error("submissions are not the last ones")
	}
	w.do(func(tx *Txn) { tx.StopJob(first.Key(), 2) })
	if j := w.job("web"); !j.Stop || j.Version != 10 {
		t.Errorf("stopping gave %+v", j)
	}
	w.do(func(tx *Txn) { tx.DeleteJob(first.Key()) })
	w.do(func(tx *Txn) { tx.UpsertJob(testJob("web", "a"), nil) })
	if j := w.job("web"); j.Version != 0 || j.CreateIndex != w.index {
		t.Errorf("after a purge it is version %d, created at %d", j.Version, j.CreateIndex)
	}
}

func TestStatusAndSummaryFollow(t *testing.T) {
	w := newWriter(t)
	eval := &model.Evaluation{ID: "e", Namespace: "default", JobID: "web", Type: "service", Status: model.EvalStatusPending}
	status := func(want string) {
		t.Helper()
		if got := w.job("web").Status; got != want {
			t.Errorf("status is %s, want %s", got, want)
		}
	}
	counts := func(want model.TaskGroupSummary) {
		t.Helper()
		if diff := cmp.Diff(want, w.s.Snapshot().JobSummary(nil, w.job("web").Key()).Summary["g"]); diff != "" {
			t.Errorf("summary (-want +got):\n%s", diff)
		}
	}
	w.do(func(tx *Txn) { tx.UpsertJob(testJob("web", "a"), nil) })
	status(model.JobStatusPending)
	w.do(func(tx *Txn) { tx.UpsertEval(eval) })
	status(model.JobStatusPending)
	w.do(func(tx *Txn) { tx.PlaceAlloc(alloc("a", w.job("web"), model.AllocClientPending), nil) })
	status(model.JobStatusRunning)
	counts(model.TaskGroupSummary{Starting: 1})
	done := *eval
	done.Status, done.QueuedAllocations = model.EvalStatusComplete, map[string]int{"g": 2}
	w.do(func(tx *Txn) { tx.UpsertEval(&done) })
	counts(model.TaskGroupSummary{Starting: 1, Queued: 2})
	w.do(func(tx *Txn) {
		tx.UpdateAllocFromNode(&model.Allocation{ID: "a", NodeID: "n", ClientStatus: model.AllocClientRunning}, 5)
	})
	counts(model.TaskGroupSummary{Running: 1, Queued: 2})
	before := w.s.Snapshot().Alloc(nil, "a")
	w.do(func(tx *Txn) {
		tx.UpdateAllocFromNode(&model.Allocation{ID: "a", NodeID: "n", ClientStatus: model.AllocClientFailed}, 6)
	})
	after := w.s.Snapshot().Alloc(nil, "a")
	if before.ClientStatus != model.AllocClientRunning {
		t.Error("a value that was handed out was changed in place")
	}
	if after.AllocModifyIndex != before.AllocModifyIndex || after.ModifyIndex == before.ModifyIndex {
		t.Errorf("a report moved the wrong index: %+v", after)
	}
	status(model.JobStatusDead)
	counts(model.TaskGroupSummary{Failed: 1, Queued: 2})
	w.do(func(tx *Txn) {
		tx.DeleteAlloc("a")
		tx.DeleteEval("e")
	})
	status(model.JobStatusDead)
	w.do(func(tx *Txn) { tx.ReconcileSummaries() })
	counts(model.TaskGroupSummary{Queued: 2})
}

func TestChildrenAreCounted(t *testing.T) {
	w := newWriter(t)
	parent := testJob("p", "a")
	parent.Type = model.JobTypeBatch
	parent.ParameterizedJob = &model.ParameterizedJobConfig{}
	w.do(func(tx *Txn) { tx.UpsertJob(parent, nil) })
	if w.job("p").Status != model.JobStatusRunning {
		t.Errorf("a template is %s", w.job("p").Status)
	}
	child := testJob("p/dispatch-1", "a")
	child.ParentID, child.Dispatched = "p", true
	changes := w.do(func(tx *Txn) {
		tx.UpsertJob(child, nil)
		tx.UpsertEval(&model.Evaluation{ID: "e", Namespace: "default", JobID: child.ID, Status: model.EvalStatusPending})
	})
	if len(changes.Jobs) == 0 || changes.Jobs[0].Before != nil && changes.Jobs[0].After.ID == child.ID {
		t.Errorf("changes of jobs are %+v", changes.Jobs)
	}
	children := func() model.JobChildrenSummary {
		return *w.s.Snapshot().JobSummary(nil, parent.Key()).Children
	}
	if got := children(); got != (model.JobChildrenSummary{Pending: 1}) {
		t.Errorf("children are %+v", got)
	}
	w.do(func(tx *Txn) {
		tx.UpsertEval(&model.Evaluation{ID: "e", Namespace: "default", JobID: child.ID, Status: model.EvalStatusComplete})
	})
	if got := children(); got != (model.JobChildrenSummary{Dead: 1}) {
		t.Errorf("children are %+v", got)
	}
	w.do(func(tx *Txn) { tx.DeleteJob(child.Key()) })
	if got := children(); got != (model.JobChildrenSummary{}) {
		t.Errorf("children are %+v", got)
	}
}

func TestSuccessCancelsWhatIsBlocked(t *testing.T) {
	w := newWriter(t)
	e := func(id, status string) *model.Evaluation {
		return &model.Evaluation{ID: model.EvalID(id), Namespace: "default", JobID: "web", Type: "service", Status: status}
	}
	w.do(func(tx *Txn) {
		tx.UpsertJob(testJob("web", "a"), nil)
		tx.UpsertEval(e("blocked", model.EvalStatusBlocked))
		tx.UpsertEval(e("next", model.EvalStatusPending))
	})
	w.do(func(tx *Txn) { tx.UpsertEval(e("next", model.EvalStatusComplete)) })
	got := w.s.Snapshot().Eval(nil, "blocked")
	if got.Status != model.EvalStatusCanceled || got.StatusDescription != `evaluation "next" successful` {
		t.Errorf("it is %s: %s", got.Status, got.StatusDescription)
	}
}

func TestDeploymentCountsHealth(t *testing.T) {
	w := newWriter(t)
	healthy, unhealthy := true, false
	now := time.Unix(1000, 0).UTC()
	w.do(func(tx *Txn) {
		tx.UpsertJob(testJob("web", "a"), nil)
		tx.UpsertDeployment(&model.Deployment{
			ID: "d", Namespace: "default", JobID: "web", Status: model.DeploymentStatusRunning,
			TaskGroups: map[string]*model.DeploymentState{"g": {DesiredTotal: 1, ProgressDeadline: time.Minute}},
		})
	})
	a := alloc("a", w.job("web"), "")
	a.DeploymentID, a.ModifyTime, a.DeploymentStatus = "d", now.UnixNano(), &model.AllocDeploymentStatus{Canary: true}
	w.do(func(tx *Txn) { tx.PlaceAlloc(a, nil) })
	group := func() *model.DeploymentState { return w.s.Snapshot().Deployment(nil, "d").TaskGroups["g"] }
	want := &model.DeploymentState{
		DesiredTotal: 1, ProgressDeadline: time.Minute, PlacedAllocs: 1, PlacedCanaries: []model.AllocID{"a"},
		RequireProgressBy: now.Add(time.Minute),
	}
	check := func() {
		t.Helper()
		if diff := cmp.Diff(want, group()); diff != "" {
			t.Errorf("deployment (-want +got):\n%s", diff)
		}
	}
	check()
	report := func(h *bool, at time.Time) {
		w.do(func(tx *Txn) {
			tx.UpdateAllocFromNode(&model.Allocation{
				ID: "a", ClientStatus: model.AllocClientRunning,
				DeploymentStatus: &model.AllocDeploymentStatus{Healthy: h, Timestamp: at},
			}, at.UnixNano())
		})
	}
	report(&healthy, now.Add(10*time.Second))
	want.HealthyAllocs, want.RequireProgressBy = 1, now.Add(70*time.Second)
	check()
	if !w.s.Snapshot().Alloc(nil, "a").DeploymentStatus.Canary {
		t.Error("a report took the canary mark away")
	}
	report(&unhealthy, now.Add(20*time.Second))
	want.HealthyAllocs, want.UnhealthyAllocs = 0, 1
	check()
	w.do(func(tx *Txn) {
		tx.UpsertDeployment(&model.Deployment{ID: "d2", Namespace: "default", JobID: "web", Status: model.DeploymentStatusRunning})
	})
	if got := w.s.Snapshot().Deployment(nil, "d"); got.Status != model.DeploymentStatusCancelled {
		t.Errorf("an older deployment is %s", got.Status)
	}
	if got := w.s.Snapshot().LatestDeployment(nil, w.job("web").Key()); got.ID != "d2" {
		t.Errorf("the latest deployment is %s", got.ID)
	}
}

func TestNodeKeepsWhatServersDecide(t *testing.T) {
	w := newWriter(t)
	n := &model.Node{ID: "n", SecretID: "s", Name: "n", Datacenter: "dc1", NodePool: "edge"}
	w.do(func(tx *Txn) { tx.UpsertNode(n, &model.NodeEvent{Message: "Node registered"}) })
	w.do(func(tx *Txn) { tx.SetNodeStatus("n", model.NodeStatusReady, "", 5, nil) })
	w.do(func(tx *Txn) { tx.SetNodeEligibility("n", model.NodeIneligible, nil) })
	w.do(func(tx *Txn) { tx.UpsertNode(n, nil) })
	got := w.s.Snapshot().Node(nil, "n")
	if got.Status != model.NodeStatusReady || got.SchedulingEligibility != model.NodeIneligible || len(got.Events) != 1 {
		t.Errorf("node is %+v", got)
	}
	if w.s.Snapshot().NodePool(nil, "edge") == nil {
		t.Error("the node's pool was not made")
	}
	var events []*model.NodeEvent
	for i := range 15 {
		events = append(events, &model.NodeEvent{Message: fmt.Sprint(i)})
	}
	w.do(func(tx *Txn) { tx.AddNodeEvents("n", events) })
	got = w.s.Snapshot().Node(nil, "n")
	if len(got.Events) != model.MaxNodeEvents || got.Events[9].Message != "14" {
		t.Errorf("%d events, the last is %s", len(got.Events), got.Events[len(got.Events)-1].Message)
	}
}

func TestBlockWakesOnWhatItLookedAt(t *testing.T) {
	w := newWriter(t)
	w.do(func(tx *Txn) { tx.UpsertJob(testJob("web", "a"), nil) })
	start := w.job("web").ModifyIndex
	reads := make(chan struct{}, 10)
	done := make(chan uint64, 1)
	go func() {
		var last uint64
		err := w.s.Block(context.Background(), start, time.Minute, func(ws WatchSet, snap *Snapshot) (uint64, error) {
			last = snap.Job(ws, model.JobKey{Namespace: "default", ID: "web"}).ModifyIndex
			reads <- struct{}{}
			return last, nil
		})
		if err != nil {
			t.Error(err)
		}
		done <- last
	}()
	<-reads
	w.do(func(tx *Txn) { tx.UpsertJob(testJob("other", "a"), nil) })
	w.do(func(tx *Txn) { tx.UpsertJob(testJob("web", "b"), nil) })
	if got := <-done; got != w.index {
		t.Errorf("it saw %d, want %d", got, w.index)
	}
	// Nothing comes: the last answer stands.
	err := w.s.Block(context.Background(), w.index+100, time.Millisecond, func(ws WatchSet, snap *Snapshot) (uint64, error) {
		return snap.Index(), nil
	})
	if err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := w.s.WaitIndex(ctx, w.index+1); err == nil {
		t.Error("a wait outlived its context")
	}
	if snap, err := w.s.WaitIndex(context.Background(), w.index); err != nil || snap.Index() != w.index {
		t.Errorf("snapshot at %d, error %v", snap.Index(), err)
	}
}

func TestTryLeavesTheStateAlone(t *testing.T) {
	w := newWriter(t)
	tx := w.s.Try()
	tx.At(99)
	tx.UpsertJob(testJob("web", "a"), nil)
	tx.Flush()
	if tx.Job(nil, model.JobKey{Namespace: "default", ID: "web"}) == nil {
		t.Error("it does not see what it wrote")
	}
	if w.job("web") != nil {
		t.Error("others see it")
	}
	w.do(func(tx *Txn) { tx.UpsertJob(testJob("web", "a"), nil) })
}

func TestPurgedJobTakesNoAllocation(t *testing.T) {
	w := newWriter(t)
	w.do(func(tx *Txn) { tx.UpsertJob(testJob("web", "a"), nil) })
	a := alloc("a", w.job("web"), "")
	w.do(func(tx *Txn) { tx.DeleteJob(model.JobKey{Namespace: "default", ID: "web"}) })
	w.do(func(tx *Txn) { tx.PlaceAlloc(a, nil) })
	if w.s.Snapshot().Alloc(nil, "a") != nil {
		t.Error("an allocation without a job is there")
	}
}
