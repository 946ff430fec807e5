package fsm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/raft"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

var update = flag.Bool("update", false, "add what is missing in testdata/compat")

// when is the time of everything in this test.
var when = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func job(id string, version uint64) *model.Job {
	j := &model.Job{
		ID: model.JobID(id), Type: model.JobTypeService, SubmitTime: when.UnixNano(), Version: version,
		TaskGroups: []*model.TaskGroup{{
			Name: "g", Count: 2,
			Tasks: []*model.Task{{Name: "t", Driver: "exec", Config: map[string]any{"command": "/bin/true", "args": []any{"a", int64(1)}}}},
		}},
	}
	j.Canonicalize()
	return j
}

func eval(id, jobID string) *model.Evaluation {
	return &model.Evaluation{
		ID: model.EvalID(id), Namespace: "default", JobID: model.JobID(jobID), Type: model.JobTypeService, Priority: 50,
		TriggeredBy: model.TriggerJobRegister, Status: model.EvalStatusPending, CreateTime: when.UnixNano(), ModifyTime: when.UnixNano(),
	}
}

func node(id string) *model.Node {
	return &model.Node{
		ID: model.NodeID(id), SecretID: "secret", Name: id, Datacenter: "dc1", NodePool: "default",
		Attributes:    map[string]string{"kernel.name": "linux"},
		NodeResources: &model.NodeResources{Cpu: model.NodeCPU{CpuShares: 4000}, Memory: model.NodeMemory{MemoryMB: 4096}},
	}
}

func alloc(id, nodeID, jobID string, version uint64) *model.Allocation {
	return &model.Allocation{
		ID: model.AllocID(id), Namespace: "default", EvalID: "e1", Name: jobID + ".g[0]", NodeID: model.NodeID(nodeID),
		JobID: model.JobID(jobID), JobVersion: version, TaskGroup: "g", DesiredStatus: model.AllocDesiredRun,
		ClientStatus: model.AllocClientPending, DeploymentID: "d1",
		AllocatedResources: &model.AllocatedResources{Tasks: map[string]*model.AllocatedTaskResources{
			"t": {Cpu: model.AllocatedCPU{CpuShares: 100}, Memory: model.AllocatedMemory{MemoryMB: 64}},
		}},
	}
}

// script is one command of each kind, in an order in which all are accepted.
func script() []Command {
	yes := true
	event := &model.NodeEvent{Message: "m", Subsystem: "Cluster", Timestamp: when}
	return []Command{
		&RegisterNode{Node: node("n1"), Event: event},
		&NodeStatus{NodeID: "n1", Status: model.NodeStatusReady, UpdatedAt: when.Unix(), Event: event},
		&RegisterJob{Job: job("web", 0), Submission: &model.JobSubmission{Source: "job {}", Format: "hcl2"}, Eval: eval("e1", "web")},
		&ApplyPlan{
			EvalID: "e1", Allocs: []*model.Allocation{alloc("a1", "n1", "web", 0), alloc("a2", "n1", "web", 0)}, Time: when.UnixNano(),
			Deployment: &model.Deployment{
				ID: "d1", Namespace: "default", JobID: "web", Status: model.DeploymentStatusRunning,
				TaskGroups: map[string]*model.DeploymentState{"g": {DesiredTotal: 2, DesiredCanaries: 1, ProgressDeadline: time.Minute}},
			},
		},
		&UpdateEvals{Evals: []*model.Evaluation{{ID: "e1", Namespace: "default", JobID: "web", Type: "service", Status: model.EvalStatusComplete}}},
		&UpdateAllocs{
			Time: when.UnixNano(),
			Allocs: []*model.Allocation{{
				ID: "a1", NodeID: "n1", ClientStatus: model.AllocClientRunning,
				TaskStates:       map[string]*model.TaskState{"t": {State: "running", StartedAt: when}},
				DeploymentStatus: &model.AllocDeploymentStatus{Healthy: &yes, Timestamp: when},
			}},
		},
		&DeploymentHealth{DeploymentID: "d1", Healthy: []model.AllocID{"a2"}, Time: when.UnixNano()},
		&DeploymentStatus{Update: &model.DeploymentStatusUpdate{DeploymentID: "d1", Status: model.DeploymentStatusSuccessful, StatusDescription: "done", UpdatedAt: 7}},
		&TransitionAllocs{Allocs: []model.AllocID{"a1"}, Transition: model.DesiredTransition{Migrate: &yes}, Time: when.UnixNano()},
		&ApplyPlan{EvalID: "e1", Time: when.UnixNano(), Stops: []*state.AllocStop{{ID: "a2", DesiredStatus: model.AllocDesiredStop, DesiredDescription: "d"}}},
		&StableJob{Namespace: "default", JobID: "web", Version: 0, Stable: true},
		&NodeDrain{NodeID: "n1", Drain: &model.DrainStrategy{Deadline: time.Hour, StartedAt: when}, Event: event},
		&NodeDrain{NodeID: "n1", MarkEligible: true, LastDrain: &model.DrainMetadata{Status: "complete", StartedAt: when, UpdatedAt: when}},
		&NodeEligibility{NodeID: "n1", Eligibility: model.NodeIneligible},
		&NodeEvents{NodeID: "n1", Events: []*model.NodeEvent{event}},
		&SchedulerConfig{Config: &model.SchedulerConfiguration{SchedulerAlgorithm: "spread"}},
		&PeriodicLaunch{Launch: state.PeriodicLaunch{Namespace: "default", ID: "web", Launch: when.Unix()}},
		&RegisterJob{Job: job("old", 0), Eval: eval("e2", "old")},
		&DeregisterJob{Namespace: "default", JobID: "web", Time: when.UnixNano(), Eval: eval("e3", "web")},
		&ReconcileSummaries{},
		&Reap{Evals: []model.EvalID{"e2"}, Jobs: []JobRef{{"default", "old"}}},
		&RegisterNode{Node: node("n2")},
		&DeleteNodes{NodeIDs: []model.NodeID{"n2"}},
		&RegisterJob{Job: job("canary", 0)},
		&ApplyPlan{
			Time: when.UnixNano(),
			Deployment: &model.Deployment{
				ID: "d2", Namespace: "default", JobID: "canary", Status: model.DeploymentStatusRunning,
				TaskGroups: map[string]*model.DeploymentState{"g": {DesiredTotal: 1, DesiredCanaries: 1}},
			},
			Allocs: []*model.Allocation{func() *model.Allocation {
				a := alloc("a3", "n1", "canary", 0)
				a.DeploymentID, a.DeploymentStatus = "d2", &model.AllocDeploymentStatus{Canary: true, Healthy: &yes, Timestamp: when}
				return a
			}()},
		},
		&PromoteDeployment{DeploymentID: "d2", All: true, Time: when.UnixNano()},
	}
}

// play applies entries and returns the FSM.
func play(t testing.TB, entries [][]byte) *FSM {
	t.Helper()
	f := New()
	for i, e := range entries {
		if err, ok := f.Apply(&raft.Log{Index: uint64(i) + 10, Data: e}).(error); ok {
			t.Fatalf("entry %d (kind %d): %v", i, e[0], err)
		}
	}
	return f
}

func encodeAll(t testing.TB, commands []Command) [][]byte {
	t.Helper()
	var out [][]byte
	for _, c := range commands {
		e, err := Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// contents lists everything in a state.
func contents(s *state.Snapshot) map[string]any {
	all := map[string]any{}
	for n := range s.Nodes(nil, "") {
		all["node "+string(n.ID)] = n
	}
	for j := range s.Jobs(nil, "*", "") {
		all["job "+string(j.ID)] = j
	}
	for j := range s.AllJobVersions {
		all[fmt.Sprintf("version %s %d", j.ID, j.Version)] = j
	}
	for sub := range s.AllSubmissions {
		all[fmt.Sprintf("submission %s %d", sub.JobID, sub.Version)] = sub
	}
	for sum := range s.AllSummaries {
		all["summary "+string(sum.JobID)] = sum
	}
	for e := range s.Evals(nil) {
		all["eval "+string(e.ID)] = e
	}
	for a := range s.Allocs(nil) {
		all["alloc "+string(a.ID)] = a
	}
	for d := range s.Deployments(nil) {
		all["deployment "+string(d.ID)] = d
	}
	for l := range s.Launches() {
		all["launch "+string(l.ID)] = l
	}
	for _, t := range state.Tables() {
		all["index "+string(t)] = s.StoredTableIndex(t)
	}
	all["config"] = s.SchedulerConfig(nil)
	return all
}

func TestEveryKindIsApplied(t *testing.T) {
	kinds := map[Kind]bool{}
	for _, c := range script() {
		kinds[c.Kind()] = true
	}
	for k, maker := range makers {
		if maker().Kind() != k {
			t.Errorf("kind %d makes a command of kind %d", k, maker().Kind())
		}
		if !kinds[k] {
			t.Errorf("kind %d is not in the script", k)
		}
	}
	f := play(t, encodeAll(t, script()))
	snap := f.Store().Snapshot()
	web := snap.Job(nil, model.JobKey{Namespace: "default", ID: "web"})
	if !web.Stop || web.Version != 1 || web.Status != model.JobStatusRunning {
		t.Errorf("web is %+v", web)
	}
	if d := snap.Deployment(nil, "d1"); d.TaskGroups["g"].HealthyAllocs != 2 || d.TaskGroups["g"].PlacedAllocs != 2 {
		t.Errorf("d1 is %+v", d.TaskGroups["g"])
	}
	if d := snap.Deployment(nil, "d2"); !d.TaskGroups["g"].Promoted || snap.Alloc(nil, "a3").DeploymentStatus.Canary {
		t.Errorf("d2 is %+v", d.TaskGroups["g"])
	}
	if v := snap.JobVersion(nil, web.Key(), 0); !v.Stable {
		t.Error("version 0 of web is not stable")
	}
	if n := snap.Cluster().Node("n1"); n == nil || len(n.Allocs) != 2 {
		t.Errorf("the cluster has %+v", n)
	}
	if snap.Node(nil, "n2") != nil || snap.Job(nil, model.JobKey{Namespace: "default", ID: "old"}) != nil {
		t.Error("what was deleted is there")
	}
}

func TestBatchesGiveWhatSingleEntriesGive(t *testing.T) {
	entries := encodeAll(t, script())
	single := play(t, entries)
	batched := New()
	var logs []*raft.Log
	for i, e := range entries {
		logs = append(logs, &raft.Log{Index: uint64(i) + 10, Data: e})
	}
	batched.ApplyBatch(logs)
	if diff := cmp.Diff(contents(single.Store().Snapshot()), contents(batched.Store().Snapshot())); diff != "" {
		t.Errorf("states differ (-single +batch):\n%s", diff)
	}
}

// TestCompat applies entries as the first version wrote them. Add files for new
// kinds with -update; existing ones must stay as they are.
func TestCompat(t *testing.T) {
	dir := filepath.Join("testdata", "compat", "v1")
	if *update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, e := range encodeAll(t, script()) {
			name := filepath.Join(dir, fmt.Sprintf("%02d-kind%02d.hex", i, e[0]))
			if _, err := os.Stat(name); err == nil {
				continue // it was written by the version it stands for
			}
			if err := os.WriteFile(name, []byte(hex.EncodeToString(e)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.hex"))
	if err != nil || len(files) < len(makers) {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	var entries [][]byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		e, err := hex.DecodeString(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	old, now := play(t, entries), play(t, encodeAll(t, script()))
	if diff := cmp.Diff(contents(now.Store().Snapshot()), contents(old.Store().Snapshot()), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("old entries give another state (-now +old):\n%s", diff)
	}
}

func TestSnapshotRestores(t *testing.T) {
	f := play(t, encodeAll(t, script()))
	var b bytes.Buffer
	before := f.Store().Snapshot()
	if err := WriteSnapshot(&b, before); err != nil {
		t.Fatal(err)
	}
	g := New()
	watched := state.NewWatchSet()
	g.Store().Watch(watched)
	if err := g.Restore(io.NopCloser(bytes.NewReader(b.Bytes()))); err != nil {
		t.Fatal(err)
	}
	if watched.Watch(time.After(10 * time.Second)) {
		t.Error("who waited on the old state was not woken")
	}
	after := g.Store().Snapshot()
	if diff := cmp.Diff(contents(before), contents(after), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("states differ (-before +after):\n%s", diff)
	}
	// Allocations of one version share its value, and the cluster is there.
	if after.Alloc(nil, "a1").Job != after.Alloc(nil, "a2").Job {
		t.Error("allocations of one version have jobs of their own")
	}
	if n := after.Cluster().Node("n1"); n == nil || len(n.Allocs) != 2 || n.UsedCPU != before.Cluster().Node("n1").UsedCPU {
		t.Errorf("the cluster has %+v", n)
	}
	// What is derived goes on from where it was.
	stop := encodeAll(t, []Command{
		&ApplyPlan{Time: 1, Stops: []*state.AllocStop{{ID: "a1", DesiredStatus: "stop"}}},
		&UpdateEvals{Evals: []*model.Evaluation{{ID: "e3", Namespace: "default", JobID: "web", Type: "service", Status: model.EvalStatusComplete}}},
	})
	for i, e := range stop {
		g.Apply(&raft.Log{Index: 1000 + uint64(i), Data: e})
	}
	if got := g.Store().Snapshot().Job(nil, model.JobKey{Namespace: "default", ID: "web"}).Status; got != model.JobStatusDead {
		t.Errorf("web is %s", got)
	}
	for cut := 1; cut < b.Len(); cut += 97 {
		if _, err := ReadSnapshot(bytes.NewReader(b.Bytes()[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("a snapshot cut at %d gave %v", cut, err)
		}
	}
}

func TestRefusedCommandsChangeNothing(t *testing.T) {
	f := play(t, encodeAll(t, script()))
	before := contents(f.Store().Snapshot())
	for name, tc := range map[string]struct {
		c     Command
		class error
	}{
		"index":      {&RegisterJob{Job: job("web", 0), EnforceIndex: true, JobModifyIndex: 3}, model.ErrConflict},
		"secret":     {&RegisterNode{Node: &model.Node{ID: "n1", SecretID: "other"}}, model.ErrDenied},
		"version":    {&StableJob{Namespace: "default", JobID: "web", Version: 9}, model.ErrNotFound},
		"node":       {&NodeStatus{NodeID: "nope"}, model.ErrNotFound},
		"deployment": {&PromoteDeployment{DeploymentID: "d1", All: true}, model.ErrConflict},
		"foreign":    {&DeploymentHealth{DeploymentID: "d2", Healthy: []model.AllocID{"a1"}}, model.ErrInvalid},
	} {
		e, err := Encode(tc.c)
		if err != nil {
			t.Fatal(err)
		}
		err, _ = f.Apply(&raft.Log{Index: 500, Data: e}).(error)
		if !errors.Is(err, tc.class) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if diff := cmp.Diff(before, contents(f.Store().Snapshot())); diff != "" {
		t.Errorf("the state changed:\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range encodeAll(f, script()) {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := Decode(b); err == nil {
			if _, err := Encode(c); err != nil {
				t.Errorf("decoded and not encoded again: %v", err)
			}
		}
	})
}

func BenchmarkApply(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			f := New()
			var logs []*raft.Log
			for i := range b.N {
				e, err := Encode(&RegisterJob{Job: job(fmt.Sprintf("j%d", i), 0), Eval: eval(fmt.Sprintf("e%d", i), fmt.Sprintf("j%d", i))})
				if err != nil {
					b.Fatal(err)
				}
				logs = append(logs, &raft.Log{Index: uint64(i) + 10, Data: e})
			}
			b.ResetTimer()
			for len(logs) > 0 {
				n := min(batch, len(logs))
				f.ApplyBatch(logs[:n])
				logs = logs[n:]
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	const allocs = 20000
	f := play(b, encodeAll(b, script()[:3]))
	c := &ApplyPlan{Time: 1}
	for i := range allocs {
		c.Allocs = append(c.Allocs, alloc(fmt.Sprintf("alloc-%08d", i), "n1", "web", 0))
	}
	e, err := Encode(c)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(e))/allocs, "log-bytes/alloc")
	f.Apply(&raft.Log{Index: 100, Data: e})
	var out bytes.Buffer
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			out.Reset()
			if err := WriteSnapshot(&out, f.Store().Snapshot()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(out.Len())/allocs, "bytes/alloc")
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := ReadSnapshot(bytes.NewReader(out.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
