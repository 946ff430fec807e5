package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/node/taskrunner"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/schema/hclvalue"
)

var _ taskrunner.Driver = (*plugin)(nil)

// startsPerCPU bounds the starts that are under way at the same time in one
// plugin: more would only make each of them slower. A start that is under way
// when the agent is killed has to be made again.
const startsPerCPU = 4

const (
	// startWait is how long a start waits for a plugin that is down.
	startWait = 30 * time.Second
	// startTimeout bounds a start: a driver that does not answer must not keep
	// others from starting for ever. Drivers that fetch images take minutes.
	startTimeout = 30 * time.Minute
	// startTries is in how many processes a start is tried: a task that kills
	// its plugin is not to do so for ever.
	startTries = 3
)

// current waits for a process that can be called.
func (p *plugin) current(ctx context.Context) (*live, error) {
	for {
		p.mu.Lock()
		l, changed, fault := p.live, p.changed, p.fault
		p.mu.Unlock()
		if l != nil {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for plugin %s (%v): %w", label(p.file), fault, ctx.Err())
		}
	}
}

// after waits until a process that was seen dying is no longer the current one.
func (p *plugin) after(ctx context.Context, l *live) error {
	for {
		p.mu.Lock()
		now, changed := p.live, p.changed
		p.mu.Unlock()
		if now != l {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// died reports whether a call failed because the process ended.
func (l *live) died(err error) bool {
	if errors.Is(err, host.ErrShutdown) {
		return true
	}
	select {
	case <-l.process.Exited():
		return err != nil
	default:
		return false
	}
}

// call makes a call that may be repeated, on the next process when one dies.
func (p *plugin) call(ctx context.Context, fn func(*live) error) error {
	for {
		l, err := p.current(ctx)
		if err != nil {
			return err
		}
		err = fn(l)
		if !l.died(err) {
			return err
		}
		if err := p.after(ctx, l); err != nil {
			return err
		}
	}
}

// Traits implements taskrunner.Driver.
func (p *plugin) Traits(ctx context.Context) (taskrunner.Traits, error) {
	l, err := p.current(ctx)
	if err != nil {
		return taskrunner.Traits{}, err
	}
	t := taskrunner.Traits{NoLogs: l.caps.GetDisableLogCollection()}
	switch l.caps.GetFsIsolation() {
	case driver.FSIsolationChroot:
		t.Isolation = taskrunner.IsolationChroot
	case driver.FSIsolationImage:
		t.Isolation = taskrunner.IsolationImage
	case driver.FSIsolationUnveil:
		t.Isolation = taskrunner.IsolationUnveil
	}
	return t, nil
}

// Start implements taskrunner.Driver.
func (p *plugin) Start(ctx context.Context, r *taskrunner.StartRequest) (*taskrunner.Started, error) {
	select {
	case p.starts <- struct{}{}:
	case <-ctx.Done():
		return nil, &taskrunner.StartError{Err: ctx.Err(), Retryable: true}
	}
	handle, network, err := p.start(ctx, r)
	<-p.starts
	if err != nil {
		return nil, err
	}
	enc, err := proto.Marshal(handle)
	if err != nil {
		_ = p.Destroy(ctx, r.ID)
		return nil, &taskrunner.StartError{Err: fmt.Errorf("keep handle of task: %w", err)}
	}
	p.mu.Lock()
	p.tasks[r.ID] = &task{handle: handle}
	p.mu.Unlock()
	s := &taskrunner.Started{Handle: enc}
	if network != nil {
		s.Network = &taskrunner.Network{IP: network.GetAddr(), AutoAdvertise: network.GetAutoAdvertise(), Ports: map[string]int{}}
		for k, v := range network.GetPortMap() {
			s.Network.Ports[k] = int(v)
		}
	}
	return s, nil
}

// start asks the process that is there to start a task, and the next one when
// it dies meanwhile. Errors are *taskrunner.StartError.
func (p *plugin) start(ctx context.Context, r *taskrunner.StartRequest) (*driver.TaskHandle, *driver.NetworkOverride, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	config := r.Task.Config
	if config == nil {
		config = map[string]any{}
	}
	var died error
	for range startTries {
		waiting, cancel := context.WithTimeout(ctx, startWait)
		l, err := p.current(waiting)
		cancel()
		if err != nil {
			return nil, nil, &taskrunner.StartError{Err: err, Retryable: true}
		}
		if died != nil {
			// The dead one may have started it all the same.
			if err := l.driver.DestroyTask(ctx, r.ID, true); err != nil {
				p.log.Warn("what is left of the task is not freed", "task", r.ID, "error", err)
			}
		}
		data, err := hclvalue.Encode(l.schema, config, r.Env.Variables())
		if err != nil {
			return nil, nil, &taskrunner.StartError{Err: err, Invalid: true}
		}
		tc := taskConfig(r)
		tc.MsgpackDriverConfig = data
		handle, network, err := l.driver.StartTask(ctx, tc)
		if err == nil {
			return handle, network, nil
		}
		if !l.died(err) {
			return nil, nil, &taskrunner.StartError{Err: err, Retryable: driver.IsRetryable(err)}
		}
		died = err
		if err := p.after(ctx, l); err != nil {
			break
		}
	}
	return nil, nil, &taskrunner.StartError{Err: died, Retryable: true}
}

// Recover implements taskrunner.Driver.
func (p *plugin) Recover(ctx context.Context, enc []byte) error {
	handle := &driverpb.TaskHandle{}
	if err := proto.Unmarshal(enc, handle); err != nil {
		return fmt.Errorf("read handle of task: %w", err)
	}
	id := handle.GetConfig().GetId()
	if id == "" {
		return errors.New("read handle of task: it names no task")
	}
	err := p.call(ctx, func(l *live) error { return l.driver.RecoverTask(ctx, handle) })
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.tasks[id] = &task{handle: handle}
	p.mu.Unlock()
	return nil
}

// Wait implements taskrunner.Driver.
func (p *plugin) Wait(ctx context.Context, id string) (taskrunner.Exit, error) {
	for {
		l, err := p.current(ctx)
		if err != nil {
			return taskrunner.Exit{}, err
		}
		p.mu.Lock()
		t := p.tasks[id]
		var lost error
		if t != nil {
			lost = t.lost
		}
		p.mu.Unlock()
		if lost != nil {
			return taskrunner.Exit{Err: lost}, nil
		}
		x, err := l.driver.WaitTask(ctx, id)
		switch {
		case err == nil:
			return taskrunner.Exit{Code: x.Code, Signal: x.Signal, OOMKilled: x.OOMKilled}, nil
		case ctx.Err() != nil:
			return taskrunner.Exit{}, ctx.Err()
		case !l.died(err):
			return taskrunner.Exit{Code: x.Code, Signal: x.Signal, Err: err}, nil
		}
		if err := p.after(ctx, l); err != nil {
			return taskrunner.Exit{}, err
		}
	}
}

// Stop implements taskrunner.Driver.
func (p *plugin) Stop(ctx context.Context, id, signal string, timeout time.Duration) error {
	return p.call(ctx, func(l *live) error { return l.driver.StopTask(ctx, id, timeout, signal) })
}

// Destroy implements taskrunner.Driver.
func (p *plugin) Destroy(ctx context.Context, id string) error {
	err := p.call(ctx, func(l *live) error { return l.driver.DestroyTask(ctx, id, true) })
	if err == nil {
		p.mu.Lock()
		if t := p.tasks[id]; t != nil && t.usage != nil {
			t.usage.stop()
		}
		delete(p.tasks, id)
		p.mu.Unlock()
	}
	return err
}

// Signal implements taskrunner.Driver.
func (p *plugin) Signal(ctx context.Context, id, signal string) error {
	return p.call(ctx, func(l *live) error { return l.driver.SignalTask(ctx, id, signal) })
}

// Exec implements taskrunner.Driver.
func (p *plugin) Exec(ctx context.Context, id string, cmd []string, tty bool, io httpapi.ExecStreams) (int, error) {
	l, err := p.current(ctx)
	if err != nil {
		return 0, err
	}
	c := driver.ExecCommand{Args: cmd, TTY: tty, Stdin: io.Stdin, Stdout: io.Stdout, Stderr: io.Stderr}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if tty && io.Resize != nil {
		sizes := make(chan driver.TerminalSize)
		c.Resize = sizes
		go func() {
			defer close(sizes)
			for {
				select {
				case s, ok := <-io.Resize:
					if !ok {
						return
					}
					select {
					case sizes <- driver.TerminalSize{Height: s.Height, Width: s.Width}:
					case <-ctx.Done():
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	x, err := l.driver.ExecTaskStreaming(ctx, id, c)
	if err != nil {
		return 0, err
	}
	if x.Signal > 0 && x.Code == 0 {
		x.Code = 128 + x.Signal
	}
	return x.Code, nil
}
