package planner

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
)

// raftLog applies commands in order, and only when it is let.
type raftLog struct {
	mu    sync.Mutex
	f     *fsm.FSM
	index uint64
	queue []*entry
}

type entry struct {
	c    fsm.Command
	done chan struct{}

	index  uint64
	answer any
}

func (e *entry) Wait() (uint64, any, error) {
	<-e.done
	err, _ := e.answer.(error)
	return e.index, e.answer, err
}

func newLog() *raftLog { return &raftLog{f: fsm.New(), index: 9} }

func (l *raftLog) begin(c fsm.Command) (Pending, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &entry{c: c, done: make(chan struct{})}
	l.queue = append(l.queue, e)
	return e, nil
}

func (l *raftLog) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// flush applies everything that was begun.
func (l *raftLog) flush(t testing.TB) {
	l.mu.Lock()
	queue := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, e := range queue {
		b, err := fsm.Encode(e.c)
		if err != nil {
			t.Fatal(err)
		}
		l.index++
		e.index = l.index
		e.answer = l.f.Apply(&raft.Log{Index: l.index, Data: b})
		close(e.done)
	}
}

func (l *raftLog) apply(t testing.TB, c fsm.Command) {
	t.Helper()
	p, _ := l.begin(c)
	l.flush(t)
	if _, _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
}

func job(id string) *model.Job {
	j := &model.Job{ID: model.JobID(id), TaskGroups: []*model.TaskGroup{{Name: "g", Count: 1, Tasks: []*model.Task{{Name: "t", Driver: "exec"}}}}}
	j.Canonicalize()
	return j
}

// setUp makes nodes with room for 10 allocations each, and a job.
func setUp(t testing.TB, nodes int) (*raftLog, *model.Job) {
	l := newLog()
	for i := range nodes {
		id := model.NodeID(fmt.Sprintf("n%d", i))
		l.apply(t, &fsm.RegisterNode{Node: &model.Node{
			ID: id, Name: string(id), Datacenter: "dc1", NodeResources: &model.NodeResources{
				Cpu: model.NodeCPU{CpuShares: 1000}, Memory: model.NodeMemory{MemoryMB: 1000}, Disk: model.NodeDisk{DiskMB: 1000},
			},
		}})
		l.apply(t, &fsm.NodeStatus{NodeID: id, Status: model.NodeStatusReady})
	}
	l.apply(t, &fsm.RegisterJob{Job: job("web")})
	return l, l.f.Store().Snapshot().Job(nil, model.JobKey{Namespace: "default", ID: "web"})
}

func place(j *model.Job, id, node string) *model.Allocation {
	return &model.Allocation{
		ID: model.AllocID(id), Namespace: "default", JobID: j.ID, Job: j, JobVersion: j.Version, TaskGroup: "g",
		NodeID: model.NodeID(node), DesiredStatus: model.AllocDesiredRun,
		AllocatedResources: &model.AllocatedResources{Tasks: map[string]*model.AllocatedTaskResources{
			"t": {Cpu: model.AllocatedCPU{CpuShares: 100}, Memory: model.AllocatedMemory{MemoryMB: 100}},
		}},
	}
}

// plan places n allocations on a node.
func plan(j *model.Job, node string, n int, name string) *model.Plan {
	p := &model.Plan{EvalID: "e", Job: j, Priority: 50, NodeAllocation: map[string][]*model.Allocation{}}
	for i := range n {
		p.NodeAllocation[node] = append(p.NodeAllocation[node], place(j, fmt.Sprintf("%s-%d", name, i), node))
	}
	return p
}

func TestCheck(t *testing.T) {
	l, j := setUp(t, 2)
	view := l.f.Store().Snapshot().Cluster()
	whole := plan(j, "n0", 10, "a")
	if r := Check(view, whole); len(r.RejectedNodes) != 0 || len(r.NodeAllocation["n0"]) != 10 {
		t.Errorf("a plan that fits: %+v", r)
	}
	part := plan(j, "n0", 11, "a")
	part.NodeAllocation["n1"] = plan(j, "n1", 2, "b").NodeAllocation["n1"]
	part.NodeAllocation["gone"] = plan(j, "gone", 1, "c").NodeAllocation["gone"]
	part.Deployment = &model.Deployment{ID: "d"}
	r := Check(view, part)
	if diff := cmp.Diff([]model.NodeID{"gone", "n0"}, r.RejectedNodes); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
	if len(r.NodeAllocation) != 1 || len(r.NodeAllocation["n1"]) != 2 || r.Deployment == nil {
		t.Errorf("what is left is %+v", r)
	}
	part.AllAtOnce = true
	if r := Check(view, part); !r.Empty() {
		t.Errorf("all or nothing left %+v", r)
	}
	if len(part.NodeAllocation) != 3 {
		t.Error("the plan was changed")
	}
}

// start runs a planner on a log that applies only when flushed.
func start(t *testing.T, l *raftLog) *Planner {
	p := New(Config{
		Store: l.f.Store(), Begin: l.begin, Now: func() int64 { return 1 },
		Owned: func(id model.EvalID, _ string) bool { return id != "stolen" },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		l.flush(t)
		<-done
	})
	return p
}

type answer struct {
	r   *model.PlanResult
	err error
}

func submit(p *Planner, pl *model.Plan) chan answer {
	out := make(chan answer, 1)
	go func() {
		r, err := p.Submit(context.Background(), pl)
		out <- answer{r, err}
	}()
	return out
}

// until waits until so many commands are on their way.
func until(l *raftLog, n int) {
	for l.waiting() < n {
		runtime.Gosched()
	}
}

func TestPlansInFlightAreCounted(t *testing.T) {
	l, j := setUp(t, 1)
	p := start(t, l)
	first := submit(p, plan(j, "n0", 6, "a"))
	until(l, 1)
	// The first is not applied, and takes its room all the same.
	second := submit(p, plan(j, "n0", 6, "b"))
	if a := <-second; a.err != nil || len(a.r.NodeAllocation) != 0 || a.r.RefreshIndex == 0 {
		t.Fatalf("the second got %+v, error %v", a.r, a.err)
	}
	third := submit(p, plan(j, "n0", 4, "c"))
	until(l, 2)
	l.flush(t)
	for name, c := range map[string]chan answer{"first": first, "third": third} {
		if a := <-c; a.err != nil || a.r.RefreshIndex != 0 || a.r.AllocIndex == 0 {
			t.Errorf("the %s got %+v, error %v", name, a.r, a.err)
		}
	}
	snap := l.f.Store().Snapshot()
	if n := snap.Cluster().Node("n0"); len(n.Allocs) != 10 || n.Overfull() != "" {
		t.Errorf("the node has %d allocations: %s", len(n.Allocs), n.Overfull())
	}
	// Stops make room for what is in the same plan and later ones.
	swap := plan(j, "n0", 3, "d")
	stopped := *snap.Alloc(nil, "a-0")
	stopped.DesiredStatus, stopped.DesiredDescription = model.AllocDesiredStop, "not needed"
	swap.NodeUpdate = map[string][]*model.Allocation{"n0": {&stopped}}
	if a := <-submit(p, swap); a.err != nil || len(a.r.RejectedNodes) != 1 {
		t.Errorf("three in the place of one: %+v, error %v", a.r, a.err)
	}
	swap.NodeAllocation["n0"] = swap.NodeAllocation["n0"][:1]
	c := submit(p, swap)
	until(l, 1)
	l.flush(t)
	if a := <-c; a.err != nil || len(a.r.RejectedNodes) != 0 {
		t.Errorf("one in the place of one: %+v, error %v", a.r, a.err)
	}
	got := l.f.Store().Snapshot().Alloc(nil, "a-0")
	if got.DesiredStatus != model.AllocDesiredStop || got.DesiredDescription != "not needed" || got.ClientStatus != model.AllocClientPending {
		t.Errorf("the stopped one is %+v", got)
	}
}

func TestPlanOfALostEvaluationIsRefused(t *testing.T) {
	l, j := setUp(t, 1)
	p := start(t, l)
	pl := plan(j, "n0", 1, "a")
	pl.EvalID = "stolen"
	if a := <-submit(p, pl); a.err == nil {
		t.Error("it was committed")
	}
}

func TestPreemptionMakesAnEvaluation(t *testing.T) {
	l, j := setUp(t, 1)
	p := start(t, l)
	c := submit(p, plan(j, "n0", 10, "a"))
	until(l, 1)
	l.flush(t)
	<-c
	l.apply(t, &fsm.RegisterJob{Job: job("urgent")})
	urgent := l.f.Store().Snapshot().Job(nil, model.JobKey{Namespace: "default", ID: "urgent"})
	pl := plan(urgent, "n0", 1, "b")
	victim := *l.f.Store().Snapshot().Alloc(nil, "a-3")
	victim.DesiredStatus, victim.PreemptedByAllocation = model.AllocDesiredEvict, "b-0"
	pl.NodePreemptions = map[string][]*model.Allocation{"n0": {&victim}}
	c = submit(p, pl)
	until(l, 1)
	l.flush(t)
	if a := <-c; a.err != nil || len(a.r.RejectedNodes) != 0 {
		t.Fatalf("it got %+v, error %v", a.r, a.err)
	}
	snap := l.f.Store().Snapshot()
	if got := snap.Alloc(nil, "a-3"); got.DesiredStatus != model.AllocDesiredEvict || got.PreemptedByAllocation != "b-0" {
		t.Errorf("the victim is %+v", got)
	}
	for e := range snap.EvalsByJob(nil, j.Key()) {
		if e.TriggeredBy == model.TriggerPreemption {
			return
		}
	}
	t.Error("the job that lost an allocation is not evaluated")
}

func TestCommandCarriesNoJobThatServersHave(t *testing.T) {
	l, j := setUp(t, 1)
	snap := l.f.Store().Snapshot()
	pl := plan(j, "n0", 2, "a")
	c := command(snap, pl, Check(snap.Cluster(), pl), 1)
	if len(c.Jobs) != 0 || c.Allocs[0].Job != nil {
		t.Errorf("it carries %d jobs", len(c.Jobs))
	}
	other := *j
	other.Version = 7
	pl = plan(&other, "n0", 2, "a")
	if c = command(snap, pl, Check(snap.Cluster(), pl), 1); len(c.Jobs) != 1 {
		t.Errorf("it carries %d jobs of a version that servers do not have", len(c.Jobs))
	}
}

func BenchmarkPlanner(b *testing.B) {
	l, j := setUp(b, 200)
	view := l.f.Store().Snapshot().Cluster()
	pl := &model.Plan{Job: j, NodeAllocation: map[string][]*model.Allocation{}}
	for i := range 1000 {
		node := fmt.Sprintf("n%d", i%200)
		pl.NodeAllocation[node] = append(pl.NodeAllocation[node], place(j, fmt.Sprint(i), node))
	}
	snap := l.f.Store().Snapshot()
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			Check(view, pl)
		}
		b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "allocs/s")
	})
	b.Run("command", func(b *testing.B) {
		var size int
		for b.Loop() {
			e, err := fsm.Encode(command(snap, pl, Check(view, pl), 1))
			if err != nil {
				b.Fatal(err)
			}
			size = len(e)
		}
		b.ReportMetric(float64(size)/1000, "bytes/alloc")
	})
}
