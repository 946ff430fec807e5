// Package mock is a driver for tests: its tasks do what their config says and run nothing. They end, fail, print
// and obey by script, and survive the plugin process as a real task would, since all they are follows from
// their config and the time of their start.
package mock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seraiproject/serai/pluginsdk/driver"
)

// Info describes the plugin.
var Info = driver.Info{
	Name:         "mock",
	Version:      "0.1.0",
	NetworkModes: []driver.NetworkMode{driver.NetworkGroup, driver.NetworkNone},
}

// Driver is the mock driver.
type Driver struct {
	mu           sync.Mutex
	config       Config
	env          *driver.Env
	configuredAt time.Time
	starts       int
}

// New returns a driver that awaits its configuration.
func New() *Driver { return &Driver{configuredAt: time.Now()} }

// Configure takes the configuration.
func (d *Driver) Configure(_ context.Context, env *driver.Env, c *Config) error {
	if c.ConfigureError != "" {
		return errors.New(c.ConfigureError)
	}
	if _, err := health(c.Health); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config, d.env = *c, env
	if c.HealthFor > 0 && env.Node != nil {
		time.AfterFunc(c.HealthFor, env.Refingerprint)
	}
	return nil
}

// Start pretends to start a task.
func (d *Driver) Start(ctx context.Context, t *driver.TaskConfig, c *TaskConfig) (*Task, error) {
	if err := sleep(ctx, c.StartBlockFor); err != nil {
		return nil, err
	}
	if c.StartError != "" {
		err := errors.New(c.StartError)
		if c.StartErrorRecoverable {
			return nil, driver.Retryable(err)
		}
		return nil, err
	}
	d.mu.Lock()
	env, limit := d.env, d.config.StartLimit
	if limit > 0 && d.starts >= limit {
		d.mu.Unlock()
		return nil, driver.Retryable(fmt.Errorf("start limit of %d reached", limit))
	}
	d.starts++
	d.mu.Unlock()

	task, err := newTask(t, c, time.Now(), 0)
	if err != nil {
		return nil, err
	}
	if env == nil {
		return task, nil
	}
	env.Log.Debug("task started", "task", t.GetName())
	go func() {
		<-task.done
		env.Log.Debug("task ended", "task", t.GetName())
	}()
	if c.Event != "" {
		env.Emit(driver.Event{Task: t, Message: c.Event})
	}
	return task, nil
}

// Recover continues a task where the clock says that it must be by now.
func (d *Driver) Recover(_ context.Context, t *driver.TaskConfig, c *TaskConfig, state driver.SavedState) (*Task, error) {
	if c == nil {
		return nil, errors.New("state is not the mock driver's")
	}
	if c.RecoverError != "" {
		return nil, errors.New(c.RecoverError)
	}
	var s taskState
	if err := state.Decode(&s); err != nil {
		return nil, err
	}
	return newTask(t, c, s.StartedAt, time.Since(s.StartedAt))
}

// sleep waits, but not longer than ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
