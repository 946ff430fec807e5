package gc

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
)

// region is a state that commands are applied to at once.
type region struct {
	t     *testing.T
	f     *fsm.FSM
	index uint64
	c     *Collector
}

func newRegion(t *testing.T) *region {
	r := &region{t: t, f: fsm.New(), index: 9}
	r.c = New(Config{Store: r.f.Store(), Apply: r.apply, Log: slog.New(slog.DiscardHandler)})
	return r
}

func (r *region) apply(c fsm.Command) error {
	b, err := fsm.Encode(c)
	if err != nil {
		return err
	}
	r.index++
	err, _ = r.f.Apply(&raft.Log{Index: r.index, Data: b}).(error)
	return err
}

func (r *region) must(c fsm.Command) {
	r.t.Helper()
	if err := r.apply(c); err != nil {
		r.t.Fatal(err)
	}
}

var start = time.Unix(1_700_000_000, 0)

// ran registers a job that has one evaluation and one allocation of the given
// status, all at start.
func (r *region) ran(id, jobType, client string, change func(*model.Job)) {
	j := &model.Job{ID: model.JobID(id), Type: jobType, SubmitTime: start.UnixNano(), TaskGroups: []*model.TaskGroup{{
		Name: "g", Count: 1, Tasks: []*model.Task{{Name: "t", Driver: "exec"}},
	}}}
	if change != nil {
		change(j)
	}
	j.Canonicalize()
	eval := &model.Evaluation{
		ID: model.EvalID("eval-" + id), Namespace: "default", JobID: j.ID, Type: jobType, Status: model.EvalStatusPending,
	}
	r.must(&fsm.RegisterJob{Job: j, Eval: eval})
	r.must(&fsm.ApplyPlan{Time: start.UnixNano(), Allocs: []*model.Allocation{{
		ID: model.AllocID("alloc-" + id), Namespace: "default", JobID: j.ID, EvalID: eval.ID, TaskGroup: "g", NodeID: "n",
		DesiredStatus: model.AllocDesiredRun,
	}}})
	r.must(&fsm.UpdateAllocs{Time: start.UnixNano(), Allocs: []*model.Allocation{{ID: model.AllocID("alloc-" + id), NodeID: "n", ClientStatus: client}}})
	done := *eval
	done.Status, done.ModifyTime = model.EvalStatusComplete, start.UnixNano()
	r.must(&fsm.UpdateEvals{Evals: []*model.Evaluation{&done}})
}

// left says what of a job is there: job, evaluation, allocation.
func (r *region) left(id string) string {
	s := r.f.Store().Snapshot()
	return fmt.Sprint(s.Job(nil, model.JobKey{Namespace: "default", ID: model.JobID(id)}) != nil,
		s.Eval(nil, model.EvalID("eval-"+id)) != nil, s.Alloc(nil, model.AllocID("alloc-"+id)) != nil)
}

func TestCollect(t *testing.T) {
	for name, tc := range map[string]struct {
		jobType, client string
		change          func(*model.Job)
		after           time.Duration
		force           bool
		want            string // job, evaluation, allocation are left
	}{
		"too early":             {"service", "complete", nil, 30 * time.Minute, false, "true true true"},
		"evaluations go first":  {"service", "complete", nil, 2 * time.Hour, false, "true false false"},
		"then the job":          {"service", "complete", nil, 5 * time.Hour, false, "false false false"},
		"forced":                {"service", "complete", nil, 0, true, "false false false"},
		"what runs stays":       {"service", "running", nil, 100 * time.Hour, true, "true true true"},
		"batch stays longer":    {"batch", "complete", nil, 10 * time.Hour, false, "true true true"},
		"batch goes at last":    {"batch", "complete", nil, 25 * time.Hour, false, "false false false"},
		"periodic parents stay": {"batch", "complete", func(j *model.Job) { j.Periodic = &model.PeriodicConfig{Enabled: true, Spec: "@daily"} }, 100 * time.Hour, true, "true true true"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegion(t)
			r.ran("web", tc.jobType, tc.client, tc.change)
			if err := r.c.Collect(start.Add(tc.after), tc.force); err != nil {
				t.Fatal(err)
			}
			if got := r.left("web"); got != tc.want {
				t.Errorf("left are %s, want %s", got, tc.want)
			}
		})
	}
}

func TestCollectNodes(t *testing.T) {
	r := newRegion(t)
	for _, id := range []model.NodeID{"down", "ready", "n"} {
		r.must(&fsm.RegisterNode{Node: &model.Node{ID: id, Name: string(id)}})
	}
	r.must(&fsm.NodeStatus{NodeID: "down", Status: model.NodeStatusDown, UpdatedAt: start.Unix()})
	r.must(&fsm.NodeStatus{NodeID: "n", Status: model.NodeStatusDown, UpdatedAt: start.Unix()})
	r.must(&fsm.NodeStatus{NodeID: "ready", Status: model.NodeStatusReady, UpdatedAt: start.Unix()})
	r.ran("web", "service", "running", nil) // on n
	if err := r.c.Collect(start.Add(23*time.Hour), false); err != nil {
		t.Fatal(err)
	}
	if r.f.Store().Snapshot().Node(nil, "down") == nil {
		t.Error("a node went too early")
	}
	if err := r.c.Collect(start.Add(25*time.Hour), false); err != nil {
		t.Fatal(err)
	}
	s := r.f.Store().Snapshot()
	if s.Node(nil, "down") != nil || s.Node(nil, "ready") == nil || s.Node(nil, "n") == nil {
		t.Error("the wrong nodes are left")
	}
}
