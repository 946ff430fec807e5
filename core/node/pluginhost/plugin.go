package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
	"github.com/seraiproject/serai/pluginsdk/proto/structspb"
	"github.com/seraiproject/serai/pluginsdk/schema/hclvalue"
)

const (
	// startTime bounds everything from launch to a configured plugin.
	startTime = time.Minute
	// stopTime bounds an orderly end.
	stopTime = 6 * time.Second
	// steadyAfter is when a plugin counts as running well: its next death is
	// answered at once again.
	steadyAfter = 10 * time.Second
	// Waits between attempts to start a plugin that keeps failing.
	firstBackoff, longestBackoff = time.Second, time.Minute
	// streamBackoff is the wait before a stream that ended is opened again.
	streamBackoff = time.Second
	// downGrace is how long a driver is thought well of while its plugin is
	// started again.
	downGrace = 5 * time.Second
	// firstFingerprint bounds the wait for a plugin's first word on itself.
	firstFingerprint = 5 * time.Second
)

// plugin is one file of the plugin directory and the process that runs it.
type plugin struct {
	host   *Host
	file   string
	log    *slog.Logger
	reload chan struct{}
	starts chan struct{} // holds one for each start that is under way
	record []byte        // of a process of an earlier agent, until it was tried

	mu       sync.Mutex
	live     *live         // nil while there is no process that can be called
	changed  chan struct{} // closed and replaced when live or tasks change
	info     host.Info     // of the last process
	restarts int
	fault    error // why there is no process
	downs    int   // how often a process ended, to tell them apart
	health   *model.DriverInfo
	tasks    map[string]*task
}

// live is one process that can be called.
type live struct {
	process *host.Plugin
	driver  *host.DriverClient
	schema  *hclspecpb.Spec
	caps    *driver.Capabilities
}

// task is a task that the driver has.
type task struct {
	handle *driverpb.TaskHandle
	lost   error // it could not be recovered
	usage  *usage
}

func newPlugin(h *Host, file string, record []byte) *plugin {
	return &plugin{
		host: h, file: file, record: record, log: h.config.Log.With("plugin", label(file)),
		reload: make(chan struct{}, 1), starts: make(chan struct{}, startsPerCPU*runtime.NumCPU()), changed: make(chan struct{}), tasks: map[string]*task{},
	}
}

// supervise keeps a process running until ctx is done. settled is called when
// the first attempt is over.
func (p *plugin) supervise(ctx context.Context, settled func()) {
	defer settled()
	var backoff time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		again := p.run(ctx, settled)
		settled()
		if !again {
			return
		}
		if time.Since(began) > steadyAfter {
			backoff = 0
		}
		if backoff > 0 {
			timer := time.NewTimer(backoff)
			select {
			case <-timer.C:
			case <-p.reload:
				timer.Stop()
			case <-ctx.Done():
				timer.Stop()
			}
		}
		backoff = min(max(2*backoff, firstBackoff), longestBackoff)
	}
}

// run is the life of one process. It reports whether another is to follow.
func (p *plugin) run(ctx context.Context, settled func()) bool {
	l, err := p.begin(ctx)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		p.setFault(err)
		p.log.Error("plugin does not start", "error", err)
		return !errors.Is(err, host.ErrIncompatible) && !errors.Is(err, errUnused)
	}
	p.recoverTasks(ctx, l)
	p.mu.Lock()
	p.live, p.fault, p.info = l, nil, l.process.Info()
	p.wake()
	p.mu.Unlock()
	p.log.Info("plugin runs", "name", p.info.Name, "version", p.info.Version, "pid", l.process.PID())

	life, cancel := context.WithCancel(ctx)
	var streams sync.WaitGroup
	first := make(chan struct{})
	streams.Go(func() { p.followFingerprint(life, l, sync.OnceFunc(func() { close(first) })) })
	streams.Go(func() { p.followEvents(life, l) })
	streams.Go(func() {
		timer := time.NewTimer(firstFingerprint)
		defer timer.Stop()
		select {
		case <-first:
		case <-timer.C:
		case <-life.Done():
		}
		settled()
	})
	defer streams.Wait()
	defer cancel()

	select {
	case <-l.process.Exited():
		p.log.Warn("plugin died, starting it again", "pid", l.process.PID(), "state", l.process.ExitReason())
		p.end(fmt.Errorf("plugin process ended: %s", l.process.ExitReason()))
		l.process.Detach()
		p.mu.Lock()
		p.restarts++
		p.mu.Unlock()
	case <-p.reload:
		p.log.Info("plugin is replaced", "pid", l.process.PID())
		p.end(errors.New("plugin is being replaced"))
		p.stop(l)
	case <-ctx.Done():
		p.end(errors.New("agent is stopping"))
		p.stop(l)
		return false
	}
	return true
}

func (p *plugin) stop(l *live) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := l.process.Stop(ctx); err != nil {
		p.log.Warn("plugin does not stop", "error", err)
	}
	if err := p.host.config.Store.PutPlugin(filepath.Base(p.file), nil); err != nil {
		p.log.Warn("record of plugin is not removed", "error", err)
	}
}

// end takes the process away from callers. The driver keeps its health for a
// while: usually another process follows at once.
func (p *plugin) end(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live, p.fault = nil, why
	p.downs++
	down := p.downs
	p.wake()
	p.host.work.Go(func() {
		if !pause(p.host.ctx, downGrace) {
			return
		}
		p.mu.Lock()
		still := p.live == nil && p.downs == down
		if still {
			p.health = &model.DriverInfo{HealthDescription: p.fault.Error(), UpdateTime: time.Now(), Attributes: map[string]string{}}
		}
		p.mu.Unlock()
		if still {
			p.host.notify()
		}
	})
}

// setFault remembers why no process could be started.
func (p *plugin) setFault(err error) {
	p.mu.Lock()
	p.fault = err
	p.wake()
	p.mu.Unlock()
	p.host.notify()
}

// wake tells waiters of a change. The lock is held.
func (p *plugin) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// errUnused says that a plugin is fine but of no use here.
var errUnused = errors.New("plugin is not used")

// begin finds the process of an earlier agent, or starts and configures one.
func (p *plugin) begin(ctx context.Context) (*live, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	process := p.reattach(ctx)
	if process == nil {
		var err error
		block := p.host.block(label(p.file))
		process, err = host.Launch(ctx, host.Options{
			Path: p.file, Args: block.Args, SocketDir: p.host.config.SocketDir, Log: p.log,
		})
		if err != nil {
			return nil, err
		}
		if err := p.configure(ctx, process); err != nil {
			_ = process.Kill()
			return nil, err
		}
	}
	l, err := p.attach(ctx, process)
	if err != nil {
		_ = process.Kill()
		return nil, err
	}
	return l, nil
}

func (p *plugin) reattach(ctx context.Context) *host.Plugin {
	if p.record == nil {
		return nil
	}
	var r host.Record
	err := json.Unmarshal(p.record, &r)
	p.record = nil
	if err != nil {
		p.log.Warn("record of plugin can't be read", "error", err)
		return nil
	}
	process, err := host.Reattach(ctx, r, host.Options{Log: p.log})
	if err == nil {
		return process
	}
	if !errors.Is(err, host.ErrGone) {
		p.log.Warn("plugin of the earlier agent does not answer, ending it", "pid", r.PID, "error", err)
		if err := host.Discard(r); err != nil {
			p.log.Warn("plugin of the earlier agent is not ended", "error", err)
		}
	}
	return nil
}

// discard ends a process whose file is gone.
func (h *Host) discard(name string, record []byte) {
	var r host.Record
	err := json.Unmarshal(record, &r)
	if err == nil {
		err = host.Discard(r)
	}
	if err == nil {
		err = h.config.Store.PutPlugin(name, nil)
	}
	if err != nil {
		h.config.Log.Warn("plugin without a file is not ended", "plugin", name, "error", err)
	}
}

// configure sends a plugin what its block says.
func (p *plugin) configure(ctx context.Context, process *host.Plugin) error {
	spec, err := process.ConfigSchema(ctx)
	if err != nil {
		return err
	}
	name := process.Info().Name
	var config any = map[string]any{}
	if b := p.host.block(label(p.file), name); b.Config != nil {
		config = b.Config
	}
	data, err := hclvalue.Encode(spec, config, nil)
	if err != nil {
		return fmt.Errorf("config of plugin %q: %w", name, err)
	}
	return process.Configure(ctx, data, &p.host.config.Node)
}

// attach makes a process ready to be called.
func (p *plugin) attach(ctx context.Context, process *host.Plugin) (*live, error) {
	info := process.Info()
	if info.Kind != host.KindDriver {
		return nil, fmt.Errorf("%w: %s is a %s plugin; this node uses drivers only", errUnused, info.Name, info.Kind)
	}
	if !p.host.allowed(info.Name) {
		return nil, fmt.Errorf("%w: driver %s is excluded by driver.allowlist or driver.denylist", errUnused, info.Name)
	}
	d, err := process.Driver()
	if err != nil {
		return nil, err
	}
	if err := d.Init(ctx); err != nil {
		return nil, err
	}
	l := &live{process: process, driver: d}
	if l.schema, err = d.TaskConfigSchema(ctx); err != nil {
		return nil, err
	}
	if l.caps, err = d.Capabilities(ctx); err != nil {
		return nil, err
	}
	record, err := json.Marshal(process.Record())
	if err != nil {
		return nil, fmt.Errorf("store record of plugin: %w", err)
	}
	return l, p.host.config.Store.PutPlugin(filepath.Base(p.file), record)
}

// recoverTasks brings the tasks of a dead process into a new one.
func (p *plugin) recoverTasks(ctx context.Context, l *live) {
	p.mu.Lock()
	tasks := maps.Clone(p.tasks)
	p.mu.Unlock()
	for id, t := range tasks {
		err := l.driver.RecoverTask(ctx, t.handle)
		if err == nil || l.died(err) || ctx.Err() != nil {
			continue // on shutdown, the next process tries again
		}
		p.log.Warn("task is not recovered", "task", id, "error", err)
		if derr := l.driver.DestroyTask(ctx, id, true); derr != nil {
			p.log.Warn("what is left of the task is not freed", "task", id, "error", derr)
		}
		p.mu.Lock()
		t.lost = err
		p.mu.Unlock()
	}
}

func (p *plugin) followFingerprint(ctx context.Context, l *live, first func()) {
	defer first()
	name := l.process.Info().Name
	for ctx.Err() == nil {
		for f, err := range l.driver.Fingerprint(ctx) {
			if ctx.Err() != nil || l.died(err) {
				return
			}
			info := &model.DriverInfo{UpdateTime: time.Now(), Attributes: map[string]string{}}
			if err != nil {
				info.HealthDescription = "failed to fingerprint driver"
				p.log.Warn("driver is not fingerprinted", "error", err)
			} else {
				info.Detected = f.Health != driver.Undetected
				info.Healthy = f.Health == driver.Healthy
				info.HealthDescription = f.Description
				for k, v := range f.Attributes {
					info.Attributes[k] = attributeText(v)
				}
				if info.Detected {
					info.Attributes["driver."+name] = "true"
				}
			}
			p.mu.Lock()
			same := p.health != nil && equalInfo(p.health, info)
			if !same && p.live == l {
				p.health = info
			}
			p.mu.Unlock()
			first()
			if !same {
				p.host.notify()
			}
		}
		if !pause(ctx, streamBackoff) {
			return
		}
	}
}

func equalInfo(a, b *model.DriverInfo) bool {
	return a.Detected == b.Detected && a.Healthy == b.Healthy &&
		a.HealthDescription == b.HealthDescription && maps.Equal(a.Attributes, b.Attributes)
}

// attributeText writes an attribute as the node shows it: a number directly
// followed by its unit.
func attributeText(a *structspb.Attribute) string {
	switch v := a.GetValue().(type) {
	case *structspb.Attribute_StringVal:
		return v.StringVal + a.GetUnit()
	case *structspb.Attribute_BoolVal:
		return strconv.FormatBool(v.BoolVal)
	case *structspb.Attribute_IntVal:
		return strconv.FormatInt(v.IntVal, 10) + a.GetUnit()
	case *structspb.Attribute_FloatVal:
		return strconv.FormatFloat(v.FloatVal, 'f', -1, 64) + a.GetUnit()
	}
	return ""
}

func (p *plugin) followEvents(ctx context.Context, l *live) {
	for ctx.Err() == nil {
		for e, err := range l.driver.TaskEvents(ctx) {
			if err != nil {
				break
			}
			if p.host.config.TaskEvent != nil {
				p.host.config.TaskEvent(e)
			}
		}
		if !pause(ctx, streamBackoff) {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// provides reports whether the plugin is the driver of that name, or was when
// it last ran; for one that never ran its file's name has to do.
func (p *plugin) provides(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(p.fault, errUnused), errors.Is(p.fault, host.ErrIncompatible):
		return false
	case p.info.Name == "":
		return label(p.file) == name
	}
	return p.info.Name == name && p.info.Kind == host.KindDriver
}

// newer reports whether the plugin is preferred to another of the same name.
func (p *plugin) newer(o *plugin) bool {
	p.mu.Lock()
	a := p.info.Version
	p.mu.Unlock()
	o.mu.Lock()
	b := o.info.Version
	o.mu.Unlock()
	return newerVersion(a, b)
}

func (p *plugin) driverInfo() (string, *model.DriverInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.health == nil || p.info.Name == "" {
		return "", nil
	}
	info := *p.health
	info.Attributes = maps.Clone(info.Attributes)
	return p.info.Name, &info
}

func (p *plugin) describe() *model.PluginInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &model.PluginInfo{
		Name: p.info.Name, Type: string(p.info.Kind), Version: p.info.Version, Protocol: p.info.APIVersion,
		Path: p.file, Tasks: len(p.tasks), Restarts: p.restarts, Health: "starting",
	}
	if d.Name == "" {
		d.Name = label(p.file)
	}
	switch {
	case p.live == nil && p.fault != nil:
		d.Health = "down: " + p.fault.Error()
		if errors.Is(p.fault, errUnused) {
			d.Health = p.fault.Error()
		}
	case p.live != nil:
		d.PID = p.live.process.PID()
		switch {
		case p.health == nil:
		case p.health.Healthy:
			d.Health = "healthy"
		case p.health.Detected:
			d.Health = "unhealthy: " + p.health.HealthDescription
		default:
			d.Health = "undetected: " + p.health.HealthDescription
		}
	}
	return d
}
