package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/schema"
	"github.com/seraiproject/serai/pluginsdk/tasks"
)

// killGrace is how long a task may take to vanish once its Stop has returned.
const killGrace = 5 * time.Second

// StartTask starts a task and makes its handle.
func (s *server[C, T, H]) StartTask(ctx context.Context, req *driverpb.StartTaskRequest) (*driverpb.StartTaskResponse, error) {
	task := req.GetTask()
	id := task.GetId()
	if id == "" {
		return nil, wireStartError(errors.New("start task: no id"))
	}
	config := new(T)
	if err := schema.Decode(task.GetMsgpackDriverConfig(), config); err != nil {
		return nil, wireStartError(err)
	}
	if err := s.table.Claim(id); err != nil {
		return nil, wireStartError(err)
	}
	started := time.Now()
	live, err := s.d.Start(ctx, withRealLogs(task), config)
	if err != nil {
		s.table.Release(id)
		return nil, wireStartError(err)
	}
	var network *NetworkOverride
	if a, ok := any(live).(Addresser); ok {
		network = a.Address()
	}
	handle, err := makeHandle(task, live, started, network)
	if err == nil && ctx.Err() != nil {
		// Nobody is left to take the handle, so nobody could ever stop the task.
		err = fmt.Errorf("start task %s: host went away: %w", id, ctx.Err())
	}
	if err != nil {
		s.discard(live)
		s.table.Release(id)
		return nil, wireStartError(err)
	}
	s.add(task, live, started, handle)
	return &driverpb.StartTaskResponse{Handle: handle, NetworkOverride: network}, nil
}

// withRealLogs clears the paths of FIFOs that do not exist: a host that collects no logs names them all the same.
func withRealLogs(task *TaskConfig) *TaskConfig {
	missing := func(path string) bool {
		_, err := os.Lstat(path)
		return path != "" && errors.Is(err, os.ErrNotExist)
	}
	noOut, noErr := missing(task.GetStdoutPath()), missing(task.GetStderrPath())
	if !noOut && !noErr {
		return task
	}
	task = proto.CloneOf(task)
	if noOut {
		task.StdoutPath = ""
	}
	if noErr {
		task.StderrPath = ""
	}
	return task
}

// discard ends a task that was started in vain.
func (s *server[C, T, H]) discard(live H) {
	ctx, cancel := context.WithTimeout(s.life, killGrace)
	defer cancel()
	if err := live.Stop(ctx, "SIGKILL", 0); err != nil {
		s.log.Warn("stop abandoned task", "error", err)
	}
	_, _ = live.Wait(ctx)
	if err := live.Destroy(ctx); err != nil {
		s.log.Warn("destroy abandoned task", "error", err)
	}
}

// makeHandle writes down all that RecoverTask needs.
func makeHandle(task *TaskConfig, live Task, started time.Time, network *NetworkOverride) (*TaskHandle, error) {
	state, err := json.Marshal(live.State())
	if err != nil {
		return nil, fmt.Errorf("save state of task %s: %w", task.GetId(), err)
	}
	saved, err := tasks.Record{
		StartedAt: started,
		Config:    task.GetMsgpackDriverConfig(),
		Network:   network,
		State:     state,
	}.Encode()
	if err != nil {
		return nil, err
	}
	return &TaskHandle{Version: tasks.HandleVersion, Config: task, State: TaskRunning, DriverState: saved}, nil
}

func (s *server[C, T, H]) add(task *TaskConfig, live H, started time.Time, handle *TaskHandle) {
	entry := tasks.Entry[H]{Config: task, Task: live, StartedAt: started, Handle: handle}
	s.table.Add(s.life, entry, func(ctx context.Context) tasks.Outcome {
		r, err := live.Wait(ctx)
		return tasks.Outcome{Code: r.Code, Signal: r.Signal, OOMKilled: r.OOMKilled, Err: err}
	})
}

// RecoverTask takes a task up from its handle. One that this process knows already is fine as it is.
func (s *server[C, T, H]) RecoverTask(ctx context.Context, req *driverpb.RecoverTaskRequest) (*driverpb.RecoverTaskResponse, error) {
	handle := req.GetHandle()
	task := handle.GetConfig()
	id := task.GetId()
	if id == "" {
		return nil, errors.New("recover task: handle holds no task id")
	}
	if err := s.table.Claim(id); errors.Is(err, tasks.ErrExists) {
		return &driverpb.RecoverTaskResponse{}, nil
	}
	if err := s.recoverTask(ctx, task, handle); err != nil {
		s.table.Release(id)
		return nil, fmt.Errorf("recover task %s: %w", id, err)
	}
	return &driverpb.RecoverTaskResponse{}, nil
}

func (s *server[C, T, H]) recoverTask(ctx context.Context, task *TaskConfig, handle *TaskHandle) error {
	record, ours, err := tasks.DecodeRecord(handle.GetDriverState())
	if err != nil {
		return err
	}
	var config *T
	if ours {
		config = new(T)
		if err := schema.Decode(record.Config, config); err != nil {
			return err
		}
		if len(task.GetMsgpackDriverConfig()) == 0 {
			task = proto.CloneOf(task)
			task.MsgpackDriverConfig = record.Config
		}
	}
	live, err := s.d.Recover(ctx, withRealLogs(task), config, SavedState(record.State))
	if err != nil {
		return err
	}
	s.add(task, live, record.StartedAt, handle)
	return nil
}

func (s *server[C, T, H]) entry(id string) (*tasks.Entry[H], error) {
	if e := s.table.Entry(id); e != nil {
		return e, nil
	}
	return nil, ErrTaskNotFound
}

// WaitTask returns when the task has ended.
func (s *server[C, T, H]) WaitTask(ctx context.Context, req *driverpb.WaitTaskRequest) (*driverpb.WaitTaskResponse, error) {
	e, err := s.entry(req.GetTaskId())
	if err != nil {
		return nil, err
	}
	o, err := e.Wait(ctx)
	if err != nil {
		return nil, err
	}
	resp := &driverpb.WaitTaskResponse{Result: wireOutcome(o)}
	if o.Err != nil {
		resp.Err = o.Err.Error()
	}
	return resp, nil
}

// StopTask ends a task. One that is not known has ended already, as far as the host is concerned.
func (s *server[C, T, H]) StopTask(ctx context.Context, req *driverpb.StopTaskRequest) (*driverpb.StopTaskResponse, error) {
	e, err := s.entry(req.GetTaskId())
	if err != nil {
		return &driverpb.StopTaskResponse{}, nil
	}
	if err := s.stop(ctx, e, req.GetSignal(), req.GetTimeout().AsDuration()); err != nil {
		return nil, err
	}
	return &driverpb.StopTaskResponse{}, nil
}

// stop returns nil only when the task has really ended, since hosts then wait for its result for ever.
func (s *server[C, T, H]) stop(ctx context.Context, e *tasks.Entry[H], signal string, timeout time.Duration) error {
	id := e.Config.GetId()
	if _, ended := e.Outcome(); ended {
		return nil
	}
	if err := e.Task.Stop(ctx, signal, timeout); err != nil {
		if _, ended := e.Outcome(); ended {
			return nil
		}
		return fmt.Errorf("stop task %s: %w", id, err)
	}
	ctx, cancel := context.WithTimeout(ctx, killGrace)
	defer cancel()
	if _, err := e.Wait(ctx); err != nil {
		return fmt.Errorf("stop task %s: it has been killed and still runs: %w", id, err)
	}
	return nil
}

// DestroyTask frees what a task holds, and forgets it. One that is not known is no error.
func (s *server[C, T, H]) DestroyTask(ctx context.Context, req *driverpb.DestroyTaskRequest) (*driverpb.DestroyTaskResponse, error) {
	e, err := s.entry(req.GetTaskId())
	if err != nil {
		return &driverpb.DestroyTaskResponse{}, nil
	}
	release, err := e.Alone(ctx)
	if err != nil {
		return nil, fmt.Errorf("destroy task %s: another call is at it: %w", req.GetTaskId(), err)
	}
	defer release()
	if s.table.Entry(req.GetTaskId()) != e {
		return &driverpb.DestroyTaskResponse{}, nil
	}
	if _, ended := e.Outcome(); !ended {
		if !req.GetForce() {
			return nil, fmt.Errorf("destroy task %s: still running; stop it first or force", req.GetTaskId())
		}
		if err := s.stop(ctx, e, "SIGKILL", 0); err != nil {
			return nil, err
		}
	}
	if err := e.Task.Destroy(ctx); err != nil {
		return nil, fmt.Errorf("destroy task %s: %w", req.GetTaskId(), err)
	}
	s.table.Remove(req.GetTaskId())
	return &driverpb.DestroyTaskResponse{}, nil
}

// InspectTask shows a task. Hosts rely on every part being there.
func (s *server[C, T, H]) InspectTask(_ context.Context, req *driverpb.InspectTaskRequest) (*driverpb.InspectTaskResponse, error) {
	e, err := s.entry(req.GetTaskId())
	if err != nil {
		return nil, err
	}
	status := &driverpb.TaskStatus{
		Id:          e.Config.GetId(),
		Name:        e.Config.GetName(),
		State:       TaskRunning,
		StartedAt:   timestamppb.New(e.StartedAt),
		CompletedAt: timestamppb.New(time.Time{}),
		Result:      &driverpb.ExitResult{},
	}
	if o, ended := e.Outcome(); ended {
		status.State = TaskExited
		status.CompletedAt = timestamppb.New(o.At)
		status.Result = wireOutcome(o)
	}
	resp := &driverpb.InspectTaskResponse{Task: status, Driver: &driverpb.TaskDriverStatus{}}
	if t, ok := any(e.Task).(Inspector); ok {
		resp.Driver.Attributes = t.Attributes()
	}
	if t, ok := any(e.Task).(Addresser); ok {
		resp.NetworkOverride = t.Address()
	}
	return resp, nil
}

// SignalTask sends a signal.
func (s *server[C, T, H]) SignalTask(ctx context.Context, req *driverpb.SignalTaskRequest) (*driverpb.SignalTaskResponse, error) {
	e, err := s.entry(req.GetTaskId())
	if err != nil {
		return nil, err
	}
	t, ok := any(e.Task).(Signaler)
	if !ok {
		return nil, fmt.Errorf("signal task %s: %w", req.GetTaskId(), ErrNotSupported)
	}
	if err := t.Signal(ctx, req.GetSignal()); err != nil {
		return nil, fmt.Errorf("signal task %s with %q: %w", req.GetTaskId(), req.GetSignal(), err)
	}
	return &driverpb.SignalTaskResponse{}, nil
}

// TaskStats sends figures at the host's interval until the task has ended. For a task that has none the stream
// stays silent: were it to end, hosts would open it again and again.
func (s *server[C, T, H]) TaskStats(req *driverpb.TaskStatsRequest, stream driverpb.Driver_TaskStatsServer) error {
	ctx := stream.Context()
	e, err := s.entry(req.GetTaskId())
	if err != nil {
		return err
	}
	every := req.GetCollectionInterval().AsDuration()
	if every <= 0 {
		every = s.info.StatsEvery
	}
	reporter, reports := any(e.Task).(StatsReporter)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if reports {
			u, err := reporter.Stats(ctx)
			if _, ended := e.Outcome(); ended {
				return nil
			}
			if err != nil {
				return wireStartError(Retryable(fmt.Errorf("measure task %s: %w", req.GetTaskId(), err)))
			}
			if err := stream.Send(&driverpb.TaskStatsResponse{Stats: wireUsage(req.GetTaskId(), u)}); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-e.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wireUsage leaves no part out: hosts have died of missing ones.
func wireUsage(id string, u Usage) *driverpb.TaskStats {
	if u.Time.IsZero() {
		u.Time = time.Now()
	}
	if u.CPU == nil {
		u.CPU = &CPUUsage{}
	}
	if u.Memory == nil {
		u.Memory = &MemoryUsage{}
	}
	return &driverpb.TaskStats{
		Id:                 id,
		Timestamp:          timestamppb.New(u.Time),
		AggResourceUsage:   &ResourceUsage{Cpu: u.CPU, Memory: u.Memory},
		ResourceUsageByPid: u.Processes,
	}
}

func wireOutcome(o tasks.Outcome) *driverpb.ExitResult {
	return wireResult(ExitResult{Code: o.Code, Signal: o.Signal, OOMKilled: o.OOMKilled})
}

func wireResult(r ExitResult) *driverpb.ExitResult {
	return &driverpb.ExitResult{ExitCode: int32(r.Code), Signal: int32(r.Signal), OomKilled: r.OOMKilled}
}
