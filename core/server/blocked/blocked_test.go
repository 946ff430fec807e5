package blocked

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
)

type sink struct{ free, canceled []model.EvalID }

func newTracker() (*Tracker, *sink) {
	s := &sink{}
	return New(Config{
		Enqueue: func(all ...*model.Evaluation) {
			for _, e := range all {
				s.free = append(s.free, e.ID)
			}
		},
		Canceled: func(all []*model.Evaluation) {
			for _, e := range all {
				s.canceled = append(s.canceled, e.ID)
			}
		},
	}), s
}

func eval(id, job string, index uint64, classes map[string]bool) *model.Evaluation {
	return &model.Evaluation{
		ID: model.EvalID(id), Namespace: "default", JobID: model.JobID(job), Type: model.JobTypeService,
		Status: model.EvalStatusBlocked, CreateIndex: index, SnapshotIndex: index, ClassEligibility: classes,
	}
}

func TestRoomLetsGoWhoeverItMayHelp(t *testing.T) {
	escaped := eval("escaped", "d", 4, map[string]bool{"big": false})
	escaped.EscapedComputedClass = true
	system := eval("system", "e", 5, nil)
	system.Type, system.NodeID = model.JobTypeSystem, "n1"
	elsewhere := eval("elsewhere", "e", 6, nil)
	elsewhere.Type, elsewhere.NodeID = model.JobTypeSystem, "n2"
	tr, s := newTracker()
	for _, e := range []*model.Evaluation{
		eval("fits", "a", 1, map[string]bool{"big": true}),
		eval("never", "b", 2, map[string]bool{"big": false}),
		eval("unseen", "c", 3, map[string]bool{"small": false}),
		escaped, system, elsewhere,
	} {
		tr.Block(e)
	}
	tr.Room("big", "n1", 10)
	if diff := cmp.Diff([]model.EvalID{"fits", "unseen", "escaped", "system"}, s.free); diff != "" {
		t.Errorf("let go (-want +got):\n%s", diff)
	}
	if tr.Len() != 2 {
		t.Errorf("%d are left", tr.Len())
	}
}

func TestRoomThatCameBeforeIsNotLost(t *testing.T) {
	tr, s := newTracker()
	tr.Room("big", "n1", 10)
	tr.Block(eval("late", "a", 9, nil))
	tr.Block(eval("knows", "b", 11, nil))
	if diff := cmp.Diff([]model.EvalID{"late"}, s.free); diff != "" {
		t.Errorf("let go (-want +got):\n%s", diff)
	}
}

func TestOneOfAJob(t *testing.T) {
	tr, s := newTracker()
	tr.Block(eval("old", "a", 1, nil))
	tr.Block(eval("new", "a", 2, nil))
	tr.Block(eval("older", "a", 0, nil))
	slices.Sort(s.canceled)
	if diff := cmp.Diff([]model.EvalID{"old", "older"}, s.canceled); diff != "" {
		t.Errorf("canceled (-want +got):\n%s", diff)
	}
	tr.Untrack(model.JobKey{Namespace: "default", ID: "a"})
	if tr.Len() != 0 {
		t.Error("it is kept for a job that is gone")
	}
}

func TestConflictsAreTriedAgain(t *testing.T) {
	tr, s := newTracker()
	c := eval("conflict", "a", 1, nil)
	c.TriggeredBy = model.TriggerMaxPlans
	tr.Block(c)
	tr.Block(eval("room", "b", 2, nil))
	tr.RetryConflicts()
	if diff := cmp.Diff([]model.EvalID{"conflict"}, s.free); diff != "" {
		t.Errorf("let go (-want +got):\n%s", diff)
	}
}
