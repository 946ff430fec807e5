package pluginhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-version"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/taskrunner"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
)

// Block is a plugin block of the agent's configuration.
type Block struct {
	Name   string // of the file, or what the plugin calls itself
	Args   []string
	Config map[string]any
}

// Store keeps the records of running plugins.
type Store interface {
	PutPlugin(name string, record []byte) error
	Plugins() (map[string][]byte, error)
}

// Config of a Host.
type Config struct {
	// Dir is the plugin directory. One that does not exist is empty.
	Dir    string
	Blocks []Block
	// Allow lists the drivers that may be used, by name; nil allows all but
	// those in Deny.
	Allow, Deny []string
	Node        driver.Node // what plugins are told of the node
	NodeMHz     int64
	SocketDir   string // for the plugins' sockets; "" is the system's
	Store       Store
	// Changed is called when a driver's health or attributes changed.
	Changed func()
	// TaskEvent is called for what drivers tell of tasks.
	TaskEvent func(host.TaskEvent)
	Log       *slog.Logger
}

// Host runs the plugins of a node. It is safe for use by many goroutines.
type Host struct {
	config Config
	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	plugins []*plugin
	settled chan struct{} // closed when every plugin was started, or failed to
	changed chan struct{} // closed and replaced when a plugin changed
}

// Start starts every plugin of the directory, all at the same time, and
// returns without waiting for them.
func Start(c Config) (*Host, error) {
	files, err := scan(c.Dir, c.Log)
	if err != nil {
		return nil, err
	}
	records, err := c.Store.Plugins()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &Host{config: c, ctx: ctx, cancel: cancel, settled: make(chan struct{}), changed: make(chan struct{})}
	var first sync.WaitGroup
	for _, file := range files {
		p := newPlugin(h, file, records[filepath.Base(file)])
		delete(records, filepath.Base(file))
		h.plugins = append(h.plugins, p)
		first.Add(1)
		h.work.Go(func() { p.supervise(ctx, sync.OnceFunc(first.Done)) })
	}
	// Processes whose file is gone are of no use any more.
	for name, record := range records {
		h.work.Go(func() { h.discard(name, record) })
	}
	h.work.Go(func() {
		first.Wait()
		close(h.settled)
		h.notify()
	})
	return h, nil
}

// scan lists the executables of the plugin directory.
func scan(dir string, log *slog.Logger) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		log.Warn("no drivers: the plugin directory does not exist", "plugin_dir", dir)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read plugin_dir: %w", err)
	}
	var files []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		switch {
		case err != nil:
			log.Warn("entry of plugin_dir is skipped", "path", path, "error", err)
		case info.IsDir(), info.Mode()&0o111 == 0:
			log.Warn("entry of plugin_dir is skipped: not an executable", "path", path)
		default:
			files = append(files, path)
		}
	}
	return files, nil
}

// label is the name of a plugin's file without an executable's suffix.
func label(file string) string { return strings.TrimSuffix(filepath.Base(file), ".exe") }

// block finds the configuration of a plugin.
func (h *Host) block(names ...string) Block {
	for _, name := range names {
		for _, b := range h.config.Blocks {
			if b.Name == name {
				return b
			}
		}
	}
	return Block{}
}

func (h *Host) allowed(name string) bool {
	if h.config.Allow != nil && !slices.Contains(h.config.Allow, name) {
		return false
	}
	return !slices.Contains(h.config.Deny, name)
}

// notify wakes up whoever waits for a change.
func (h *Host) notify() {
	h.mu.Lock()
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()
	if h.config.Changed != nil {
		h.config.Changed()
	}
}

// named returns the plugin that provides a driver, and a channel that is
// closed when the answer may have changed.
func (h *Host) named(name string) (*plugin, <-chan struct{}, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	settled := false
	select {
	case <-h.settled:
		settled = true
	default:
	}
	var best *plugin
	for _, p := range h.plugins {
		if p.provides(name) && (best == nil || p.newer(best)) {
			best = p
		}
	}
	return best, h.changed, settled
}

// Driver implements taskrunner.Drivers.
func (h *Host) Driver(ctx context.Context, name string) (taskrunner.Driver, error) {
	for {
		p, changed, settled := h.named(name)
		if p != nil {
			return p, nil
		}
		if settled {
			return nil, model.Errorf(model.ErrNotFound, "driver %q is not on this node", name)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Settled is closed when every plugin was started, and its driver
// fingerprinted, or has failed.
func (h *Host) Settled() <-chan struct{} { return h.settled }

// Drivers returns what is known of each driver, by name, and the attributes
// they put on the node. The caller owns both.
func (h *Host) Drivers() (map[string]*model.DriverInfo, map[string]string) {
	h.mu.Lock()
	plugins := slices.Clone(h.plugins)
	h.mu.Unlock()
	infos, attrs := map[string]*model.DriverInfo{}, map[string]string{}
	best := map[string]*plugin{}
	for _, p := range plugins {
		if name, info := p.driverInfo(); info != nil && h.allowed(name) {
			if best[name] == nil || p.newer(best[name]) {
				best[name], infos[name] = p, info
			}
		}
	}
	for name, info := range infos {
		for k, v := range info.Attributes {
			if k != "driver."+name {
				attrs[k] = v
			}
		}
		if info.Detected {
			attrs["driver."+name] = "1"
		}
	}
	return infos, attrs
}

// Plugins describes every plugin, by name.
func (h *Host) Plugins() []*model.PluginInfo {
	h.mu.Lock()
	plugins := slices.Clone(h.plugins)
	h.mu.Unlock()
	list := make([]*model.PluginInfo, 0, len(plugins))
	for _, p := range plugins {
		list = append(list, p.describe())
	}
	slices.SortFunc(list, func(a, b *model.PluginInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path))
	})
	return list
}

// Reload replaces the process of a plugin by a new one from its file. Tasks
// keep running.
func (h *Host) Reload(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.plugins {
		if p.provides(name) || label(p.file) == name {
			select {
			case p.reload <- struct{}{}:
			default: // one is under way
			}
			return nil
		}
	}
	return model.Errorf(model.ErrNotFound, "plugin %q is not on this node", name)
}

// Stop ends all plugins in the orderly way; tasks keep running.
func (h *Host) Stop() {
	h.cancel()
	h.work.Wait()
}

// newerVersion reports whether a is a higher version than b.
func newerVersion(a, b string) bool {
	va, err := version.NewVersion(a)
	if err != nil {
		return false
	}
	vb, err := version.NewVersion(b)
	return err != nil || va.GreaterThan(vb)
}
