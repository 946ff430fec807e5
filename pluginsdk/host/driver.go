package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
)

// DriverClient calls a driver plugin. Calls end with their context; an error that is ErrShutdown says that the
// process has ended. Streams are iterators that yield values until their context ends, and then, or on failure,
// one last error.
type DriverClient struct {
	p *Plugin
	c driverpb.DriverClient
}

// TaskEvent is something that happened to a task.
type TaskEvent struct {
	TaskID, AllocID, TaskName string
	Time                      time.Time
	Message                   string
	Annotations               map[string]string
}

// TaskStatus is what a driver knows of a task.
type TaskStatus struct {
	ID, Name               string
	State                  driver.TaskState
	StartedAt, CompletedAt time.Time
	Result                 driver.ExitResult
	Attributes             map[string]string
	Network                *driver.NetworkOverride
}

// ExecOutput is the output of a command, as far as the driver keeps it.
type ExecOutput struct {
	Stdout, Stderr []byte
	Result         driver.ExitResult
}

// Init prepares a driver for use; older drivers do without.
func (d *DriverClient) Init(ctx context.Context) error {
	_, err := d.c.Init(ctx, &driverpb.InitRequest{})
	if status.Code(err) == codes.Unimplemented {
		return nil
	}
	return d.p.callError(ctx, "init", err)
}

// TaskConfigSchema is the schema of a task's config block.
func (d *DriverClient) TaskConfigSchema(ctx context.Context) (*hclspecpb.Spec, error) {
	resp, err := d.c.TaskConfigSchema(ctx, &driverpb.TaskConfigSchemaRequest{})
	if err != nil {
		return nil, d.p.callError(ctx, "read task config schema", err)
	}
	return resp.GetSpec(), nil
}

// Capabilities is what the driver can do; never nil without an error.
func (d *DriverClient) Capabilities(ctx context.Context) (*driver.Capabilities, error) {
	resp, err := d.c.Capabilities(ctx, &driverpb.CapabilitiesRequest{})
	if err != nil {
		return nil, d.p.callError(ctx, "read capabilities", err)
	}
	if c := resp.GetCapabilities(); c != nil {
		return c, nil
	}
	return &driver.Capabilities{}, nil
}

// Fingerprint yields what the driver says of itself, at once and on change. An error of one fingerprint comes as
// FingerprintError and does not end the stream; any other does, and the end of the stream always comes as an
// error. Drivers repeat themselves. A caller that asks again should wait a little first.
func (d *DriverClient) Fingerprint(ctx context.Context) iter.Seq2[driver.Fingerprint, error] {
	return func(yield func(driver.Fingerprint, error) bool) {
		open := func(ctx context.Context) (grpc.ServerStreamingClient[driverpb.FingerprintResponse], error) {
			return d.c.Fingerprint(ctx, &driverpb.FingerprintRequest{})
		}
		err := follow(ctx, d.p, "fingerprint", open, func(m *driverpb.FingerprintResponse) bool {
			if m.GetErr() != "" {
				return yield(driver.Fingerprint{}, &FingerprintError{Text: m.GetErr()})
			}
			return yield(driver.Fingerprint{
				Health:      m.GetHealth(),
				Description: m.GetHealthDescription(),
				Attributes:  m.GetAttributes(),
			}, nil)
		})
		if err != nil {
			yield(driver.Fingerprint{}, err)
		}
	}
}

// FingerprintError is a fingerprint that the driver could not take this time.
type FingerprintError struct{ Text string }

func (e *FingerprintError) Error() string { return "fingerprint: " + e.Text }

// errStreamEnd is the end of a stream that should have none.
var errStreamEnd = errors.New("stream ended")

// follow hands the messages of a stream to each until ctx ends, the stream does, or each returns false, in which
// case alone there is no error.
func follow[M any](ctx context.Context, p *Plugin, op string, open func(context.Context) (grpc.ServerStreamingClient[M], error), each func(*M) bool) error {
	sctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := open(sctx)
	if err != nil {
		return p.streamError(ctx, op, err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("plugin %s: %s: %w", p.info.Name, op, errStreamEnd)
		}
		if err != nil {
			return p.streamError(ctx, op, err)
		}
		if !each(m) {
			return nil
		}
	}
}

// StartTask starts a task. Resources may be incomplete: what drivers read unchecked is filled in. The returned
// handle always holds the task. For an error, driver.IsRetryable tells whether the restart policy applies.
func (d *DriverClient) StartTask(ctx context.Context, task *driver.TaskConfig) (*driver.TaskHandle, *driver.NetworkOverride, error) {
	resp, err := d.c.StartTask(ctx, &driverpb.StartTaskRequest{Task: complete(task)})
	if err != nil {
		return nil, nil, d.p.callError(ctx, "start task "+task.GetId(), err)
	}
	handle := resp.GetHandle()
	if handle == nil {
		return nil, nil, fmt.Errorf("plugin %s: start task %s: driver gave no handle", d.p.info.Name, task.GetId())
	}
	if handle.GetConfig().GetId() == "" {
		handle.Config = task
	}
	return handle, resp.GetNetworkOverride(), nil
}

// complete fills in the messages that drivers follow without a look.
func complete(t *driver.TaskConfig) *driver.TaskConfig {
	if t.Resources == nil {
		t.Resources = &driver.Resources{}
	}
	r := t.Resources
	if r.AllocatedResources == nil {
		r.AllocatedResources = &driverpb.AllocatedTaskResources{}
	}
	if r.AllocatedResources.Cpu == nil {
		r.AllocatedResources.Cpu = &driverpb.AllocatedCpuResources{}
	}
	if r.AllocatedResources.Memory == nil {
		r.AllocatedResources.Memory = &driverpb.AllocatedMemoryResources{}
	}
	if r.LinuxResources == nil {
		r.LinuxResources = &driver.LinuxResources{}
	}
	return t
}

// RecoverTask takes up a task from the handle that StartTask gave.
func (d *DriverClient) RecoverTask(ctx context.Context, handle *driver.TaskHandle) error {
	if handle.GetConfig() == nil {
		return errors.New("recover task: handle holds no task")
	}
	complete(handle.Config)
	_, err := d.c.RecoverTask(ctx, &driverpb.RecoverTaskRequest{TaskId: handle.GetConfig().GetId(), Handle: handle})
	return d.p.callError(ctx, "recover task "+handle.GetConfig().GetId(), err)
}

// WaitTask blocks until the task has ended. An error that is ErrShutdown or the context's says nothing of the
// task; any other means that it has ended, or was lost, with an unknown result.
func (d *DriverClient) WaitTask(ctx context.Context, id string) (driver.ExitResult, error) {
	resp, err := d.c.WaitTask(ctx, &driverpb.WaitTaskRequest{TaskId: id})
	if err != nil {
		return driver.ExitResult{}, d.p.streamError(ctx, "wait for task "+id, err)
	}
	if resp.GetErr() != "" {
		return result(resp.GetResult()), fmt.Errorf("plugin %s: wait for task %s: %s", d.p.info.Name, id, resp.GetErr())
	}
	return result(resp.GetResult()), nil
}

// StopTask sends signal (empty: the driver's default), and kills the task after timeout. A task that the driver
// does not know counts as stopped.
func (d *DriverClient) StopTask(ctx context.Context, id string, timeout time.Duration, signal string) error {
	_, err := d.c.StopTask(ctx, &driverpb.StopTaskRequest{
		TaskId: id, Timeout: durationpb.New(timeout), Signal: signal})
	if driver.IsTaskNotFound(err) {
		return nil
	}
	return d.p.callError(ctx, "stop task "+id, err)
}

// DestroyTask makes the driver forget a task, with force even one that runs. One that it does not know is fine.
func (d *DriverClient) DestroyTask(ctx context.Context, id string, force bool) error {
	_, err := d.c.DestroyTask(ctx, &driverpb.DestroyTaskRequest{TaskId: id, Force: force})
	if driver.IsTaskNotFound(err) {
		return nil
	}
	return d.p.callError(ctx, "destroy task "+id, err)
}

// InspectTask shows a task.
func (d *DriverClient) InspectTask(ctx context.Context, id string) (TaskStatus, error) {
	resp, err := d.c.InspectTask(ctx, &driverpb.InspectTaskRequest{TaskId: id})
	if err != nil {
		return TaskStatus{}, d.p.callError(ctx, "inspect task "+id, err)
	}
	t := resp.GetTask()
	s := TaskStatus{
		ID:         t.GetId(),
		Name:       t.GetName(),
		State:      t.GetState(),
		Result:     result(t.GetResult()),
		Attributes: resp.GetDriver().GetAttributes(),
		Network:    resp.GetNetworkOverride(),
	}
	if ts := t.GetStartedAt(); ts != nil {
		s.StartedAt = ts.AsTime()
	}
	if ts := t.GetCompletedAt(); ts != nil {
		s.CompletedAt = ts.AsTime()
	}
	return s, nil
}

// TaskStats yields what a task uses, every interval, until it has ended; drivers without figures yield none.
func (d *DriverClient) TaskStats(ctx context.Context, id string, interval time.Duration) iter.Seq2[driver.Usage, error] {
	return func(yield func(driver.Usage, error) bool) {
		open := func(ctx context.Context) (grpc.ServerStreamingClient[driverpb.TaskStatsResponse], error) {
			return d.c.TaskStats(ctx, &driverpb.TaskStatsRequest{TaskId: id, CollectionInterval: durationpb.New(interval)})
		}
		err := follow(ctx, d.p, "stats of task "+id, open, func(m *driverpb.TaskStatsResponse) bool {
			s := m.GetStats()
			u := driver.Usage{
				Time:      time.Now(),
				CPU:       s.GetAggResourceUsage().GetCpu(),
				Memory:    s.GetAggResourceUsage().GetMemory(),
				Processes: s.GetResourceUsageByPid(),
			}
			if s.GetTimestamp() != nil {
				u.Time = s.GetTimestamp().AsTime()
			}
			return yield(u, nil)
		})
		if err != nil && !errors.Is(err, errStreamEnd) {
			yield(driver.Usage{}, err)
		}
	}
}

// TaskEvents yields the events of all tasks of the driver. Its end always comes as an error; a caller that asks
// again should wait a little first.
func (d *DriverClient) TaskEvents(ctx context.Context) iter.Seq2[TaskEvent, error] {
	return func(yield func(TaskEvent, error) bool) {
		open := func(ctx context.Context) (grpc.ServerStreamingClient[driverpb.DriverTaskEvent], error) {
			return d.c.TaskEvents(ctx, &driverpb.TaskEventsRequest{})
		}
		err := follow(ctx, d.p, "task events", open, func(m *driverpb.DriverTaskEvent) bool {
			e := TaskEvent{
				TaskID:      m.GetTaskId(),
				AllocID:     m.GetAllocId(),
				TaskName:    m.GetTaskName(),
				Time:        time.Now(),
				Message:     m.GetMessage(),
				Annotations: m.GetAnnotations(),
			}
			if m.GetTimestamp() != nil {
				e.Time = m.GetTimestamp().AsTime()
			}
			return yield(e, nil)
		})
		if err != nil {
			yield(TaskEvent{}, err)
		}
	}
}

// SignalTask sends a signal such as "SIGHUP".
func (d *DriverClient) SignalTask(ctx context.Context, id, signal string) error {
	_, err := d.c.SignalTask(ctx, &driverpb.SignalTaskRequest{TaskId: id, Signal: signal})
	return d.p.callError(ctx, "signal task "+id, err)
}

// ExecTask runs a command beside a task. A timeout of 0 sets no limit.
func (d *DriverClient) ExecTask(ctx context.Context, id string, command []string, timeout time.Duration) (ExecOutput, error) {
	resp, err := d.c.ExecTask(ctx, &driverpb.ExecTaskRequest{
		TaskId: id, Command: command, Timeout: durationpb.New(timeout)})
	if err != nil {
		return ExecOutput{}, d.p.callError(ctx, "exec in task "+id, err)
	}
	return ExecOutput{Stdout: resp.GetStdout(), Stderr: resp.GetStderr(), Result: result(resp.GetResult())}, nil
}

// CreateNetwork makes the namespace of an allocation, for drivers with MustCreateNetwork.
func (d *DriverClient) CreateNetwork(ctx context.Context, allocID, hostname string) (spec *driver.NetworkIsolation, created bool, err error) {
	resp, err := d.c.CreateNetwork(ctx, &driverpb.CreateNetworkRequest{AllocId: allocID, Hostname: hostname})
	if err != nil {
		return nil, false, d.p.callError(ctx, "create network of alloc "+allocID, err)
	}
	return resp.GetIsolationSpec(), resp.GetCreated(), nil
}

// DestroyNetwork removes what CreateNetwork made.
func (d *DriverClient) DestroyNetwork(ctx context.Context, allocID string, spec *driver.NetworkIsolation) error {
	_, err := d.c.DestroyNetwork(ctx, &driverpb.DestroyNetworkRequest{AllocId: allocID, IsolationSpec: spec})
	return d.p.callError(ctx, "destroy network of alloc "+allocID, err)
}

func result(r *driverpb.ExitResult) driver.ExitResult {
	return driver.ExitResult{Code: int(r.GetExitCode()), Signal: int(r.GetSignal()), OOMKilled: r.GetOomKilled()}
}
