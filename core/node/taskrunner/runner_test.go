package taskrunner

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
	"go.uber.org/goleak"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
	"github.com/seraiproject/serai/core/node/tasklog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeDriver runs tasks in memory. It outlives runners, as a plugin does.
type fakeDriver struct {
	mu      sync.Mutex
	tasks   map[string]*fakeTask
	started []string // ids, in order
	forget  bool     // Recover fails
	logs    *fakeLogs
	deaf    bool // a task was started whose output no one reads
}

type fakeTask struct {
	done chan struct{}
	exit Exit
}

func newFakeDriver() *fakeDriver { return &fakeDriver{tasks: map[string]*fakeTask{}} }

func (d *fakeDriver) Driver(context.Context, string) (Driver, error) { return d, nil }
func (d *fakeDriver) Traits(context.Context) (Traits, error)         { return Traits{}, nil }

func (d *fakeDriver) Start(_ context.Context, r *StartRequest) (*Started, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Task.Config["fail"] == true {
		return nil, &StartError{Err: errors.New("bad config"), Invalid: true}
	}
	d.deaf = d.deaf || !d.logs.open.Load()
	d.tasks[r.ID] = &fakeTask{done: make(chan struct{})}
	d.started = append(d.started, r.ID)
	return &Started{Handle: []byte(r.ID)}, nil
}

func (d *fakeDriver) Recover(_ context.Context, handle []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.forget || d.tasks[string(handle)] == nil {
		return errors.New("task not found")
	}
	return nil
}

func (d *fakeDriver) task(id string) *fakeTask {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tasks[id]
}

func (d *fakeDriver) Wait(ctx context.Context, id string) (Exit, error) {
	t := d.task(id)
	if t == nil {
		return Exit{Err: errors.New("task not found")}, nil
	}
	select {
	case <-t.done:
		return t.exit, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}

// end ends the task that runs.
func (d *fakeDriver) end(id string, x Exit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tasks[id]; t != nil {
		select {
		case <-t.done:
		default:
			t.exit = x
			close(t.done)
		}
	}
}

func (d *fakeDriver) Stop(_ context.Context, id, _ string, _ time.Duration) error {
	d.end(id, Exit{Signal: 2})
	return nil
}

func (d *fakeDriver) Destroy(_ context.Context, id string) error {
	d.end(id, Exit{Signal: 9})
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tasks, id)
	return nil
}

func (d *fakeDriver) Signal(context.Context, string, string) error { return nil }

func (d *fakeDriver) Exec(context.Context, string, []string, bool, httpapi.ExecStreams) (int, error) {
	return 0, nil
}

func (d *fakeDriver) Usage(context.Context, string) (*model.TaskResourceUsage, error) {
	return nil, nil
}

// living are the tasks that the driver runs.
func (d *fakeDriver) living() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, t := range d.tasks {
		select {
		case <-t.done:
		default:
			n++
		}
	}
	return n
}

// memoryStore keeps states as bytes. After limit writes it keeps no more, as
// if the agent had been killed there.
type memoryStore struct {
	mu      sync.Mutex
	states  map[string][]byte
	writes  int
	limit   int
	killed  func()
	release chan struct{} // lets go of an agent that was killed
}

func (s *memoryStore) PutTask(_ model.AllocID, task string, m msgp.Marshaler) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit > 0 && s.writes == s.limit {
		s.killed()
		s.mu.Unlock()
		<-s.release
		s.mu.Lock()
		return errors.New("the agent is dead")
	}
	s.writes++
	b, err := m.MarshalMsg(nil)
	s.states[task] = b
	return err
}

func (s *memoryStore) Task(_ model.AllocID, task string, into msgp.Unmarshaler) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.states[task]
	if !ok {
		return false, nil
	}
	_, err := into.UnmarshalMsg(slices.Clone(b))
	return true, err
}

// fakeLogs belongs to one agent.
type fakeLogs struct{ open atomic.Bool }

func (l *fakeLogs) Add(...tasklog.Stream) error    { l.open.Store(true); return nil }
func (l *fakeLogs) Flush(...tasklog.Stream) error  { return nil }
func (l *fakeLogs) Remove(...tasklog.Stream) error { l.open.Store(false); return nil }

type fixture struct {
	t       *testing.T
	driver  *fakeDriver
	store   *memoryStore
	alloc   *model.Allocation
	dir     allocdir.Dir
	runner  *Runner
	changed chan struct{}
	cancel  context.CancelFunc
	ended   chan struct{}
}

func newFixture(t *testing.T, config map[string]any) *fixture {
	task := &model.Task{Name: "main", Driver: "fake", Config: config, RestartPolicy: &model.RestartPolicy{Mode: model.RestartModeFail}}
	job := &model.Job{ID: "j", Type: model.JobTypeBatch, TaskGroups: []*model.TaskGroup{{Name: "g", Tasks: []*model.Task{task}}}}
	f := &fixture{
		t: t, driver: newFakeDriver(), store: &memoryStore{states: map[string][]byte{}},
		alloc: &model.Allocation{ID: "a", Name: "j.g[0]", JobID: "j", Job: job, TaskGroup: "g"},
		dir:   allocdir.Dir{Root: t.TempDir() + "/a"},
	}
	if err := f.dir.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.dir.Destroy(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// agent runs the task in a new agent.
func (f *fixture) agent() {
	f.t.Helper()
	f.changed = make(chan struct{}, 1)
	changed := f.changed
	logs := &fakeLogs{}
	f.driver.mu.Lock()
	f.driver.logs = logs
	f.driver.mu.Unlock()
	r, err := New(Config{
		Node: &Node{
			Node: &model.Node{ID: "n"}, Drivers: f.driver, Store: f.store, Logs: logs,
			Log: slog.New(slog.NewTextHandler(f.t.Output(), nil)),
		},
		Alloc: f.alloc, Task: f.alloc.Job.TaskGroups[0].Tasks[0], Dir: f.dir,
		Changed: func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.runner, f.cancel, f.ended = r, cancel, make(chan struct{})
	go func() {
		defer close(f.ended)
		r.Run(ctx)
	}()
}

// leave ends the agent; the task stays.
func (f *fixture) leave() {
	f.cancel()
	<-f.ended
}

func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	for !ok() {
		select {
		case <-f.changed:
		case <-timeout.C:
			f.t.Fatalf("timeout: %s; phase %s, %+v", what, f.runner.state.Load().phase(), f.runner.State())
		}
	}
}

// TestKilledAnywhere kills the agent after each of its writes in turn. The
// next agent must bring the task to the same end, and no second instance may
// run at any time.
func TestKilledAnywhere(t *testing.T) {
	for limit := 1; ; limit++ {
		f := newFixture(t, nil)
		f.store.limit = limit
		dead := make(chan struct{})
		f.store.killed = sync.OnceFunc(func() { close(dead) })
		f.store.release = make(chan struct{})
		f.agent()
		f.runner.Begin()
		finished := make(chan struct{})
		go func() { // the task's end, if it gets that far
			defer close(finished)
			for {
				select {
				case <-dead:
					return
				case <-f.changed:
					s := f.runner.state.Load()
					if s.phase() == Running {
						f.driver.end(s.ID, Exit{Code: 5})
					}
					if f.runner.Finished() && s.ID == "" {
						return
					}
				}
			}
		}()
		<-finished
		f.cancel()
		close(f.store.release)
		<-f.ended
		select {
		case <-dead:
		default:
			if limit < 4 {
				t.Errorf("only %d writes", limit-1)
			}
			return // it was not killed any more: all places were tried
		}
		f.store.limit = 0
		f.agent()
		f.runner.Begin()
		f.until("the task ends", func() bool {
			if n := f.driver.living(); n > 1 {
				t.Fatalf("killed after write %d: %d instances run", limit, n)
			}
			if s := f.runner.state.Load(); s.phase() == Running {
				f.driver.end(s.ID, Exit{Code: 5})
			}
			s := f.runner.state.Load()
			return f.runner.Finished() && s.ID == ""
		})
		if s := f.runner.State(); !s.Failed || s.State != model.TaskStateDead {
			t.Errorf("killed after write %d: %+v", limit, s)
		}
		if f.driver.deaf {
			t.Errorf("killed after write %d: no one read what the task wrote", limit)
		}
		if len(f.driver.tasks) != 0 {
			t.Errorf("killed after write %d: the driver still has %v", limit, f.driver.tasks)
		}
		f.leave()
	}
}

func TestTaskSurvivesAgents(t *testing.T) {
	f := newFixture(t, nil)
	f.agent()
	f.runner.Begin()
	f.until("running", func() bool { return f.runner.State().State == model.TaskStateRunning })
	for range 3 {
		f.leave()
		f.agent()
		f.runner.Begin()
	}
	f.driver.end(f.driver.started[0], Exit{})
	f.until("dead", func() bool { return f.runner.Finished() })
	if len(f.driver.started) != 1 || f.runner.State().Failed {
		t.Errorf("started %v, %+v", f.driver.started, f.runner.State())
	}
	f.leave()
}

func TestDriverForgot(t *testing.T) {
	f := newFixture(t, nil)
	f.agent()
	f.runner.Begin()
	f.until("running", func() bool { return f.runner.State().State == model.TaskStateRunning })
	f.leave()
	f.driver.forget = true
	f.agent()
	f.until("held", func() bool { return f.runner.state.Load().phase() == Held })
	if n := len(f.driver.started); n != 1 {
		t.Errorf("started %d times before a server agreed", n)
	}
	f.runner.Contact()
	f.until("running again", func() bool { return f.runner.State().State == model.TaskStateRunning })
	f.runner.Kill(nil, false, false)
	f.until("dead", func() bool { return f.runner.Finished() })
	f.leave()
	if f.driver.living() != 0 {
		t.Error("an instance is left")
	}
}

func TestUnsupportedIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	f.alloc.Job.TaskGroups[0].Tasks[0].Templates = []*model.Template{{}}
	f.agent()
	defer f.leave()
	f.runner.Begin()
	f.until("dead", func() bool { return f.runner.Finished() })
	events := f.runner.State().Events
	if e := events[len(events)-2]; e.Type != model.EventFailedValidation || e.ValidationError != "task main: this node can't provide its template block yet; remove the block" {
		t.Errorf("%+v", e)
	}
}

func TestDispatchPayload(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		ok   bool
	}{
		"plain":   {"in/data.txt", true},
		"escapes": {"../../../x", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.alloc.Job.Payload = []byte("hello")
			f.alloc.Job.TaskGroups[0].Tasks[0].DispatchPayload = &model.DispatchPayload{File: c.file}
			f.agent()
			defer f.leave()
			f.runner.Begin()
			f.until("running or dead", func() bool { return f.runner.State().State != model.TaskStatePending })
			b, _ := os.ReadFile(f.dir.Task("main").Local() + "/" + c.file)
			if (string(b) == "hello") != c.ok || (f.runner.State().State == model.TaskStateRunning) != c.ok {
				t.Errorf("%q, %+v", b, f.runner.State())
			}
		})
	}
}
