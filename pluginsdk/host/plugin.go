package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-version"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/internal/wire"
	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
)

// Errors that callers tell apart.
var (
	// ErrShutdown says that the plugin process ended while, or before, it was called.
	ErrShutdown = errors.New("plugin is shut down")
	// ErrGone says that the process to reattach to no longer exists.
	ErrGone = errors.New("plugin process is gone")
	// ErrIncompatible says that host and plugin speak no common version.
	ErrIncompatible = errors.New("no common version with plugin")
)

const (
	shutdownTimeout = 2 * time.Second // for the driver's own Shutdown
	exitTimeout     = 2 * time.Second // from the end of the server to SIGKILL
	exitConfirm     = 3 * time.Second // from a broken call to the sight of the process's end
)

// Kind is what a plugin is for.
type Kind string

// The kinds of plugins.
const (
	KindDriver Kind = "driver"
	KindDevice Kind = "device"
)

// Info is what a plugin says of itself.
type Info struct {
	Kind Kind
	// Name is the name that jobs use.
	Name string
	// Version is the plugin's own, checked to be a semantic version.
	Version string
	// APIVersion is the agreed version of the protocol, as the plugin spells it.
	APIVersion string
}

// Plugin is a running plugin process. It is safe for concurrent use.
type Plugin struct {
	record Record
	info   Info
	log    *slog.Logger
	conn   *grpc.ClientConn
	proc   *process

	// life ends the goroutines that read the plugin's output.
	life    context.Context
	cancel  context.CancelFunc
	readers sync.WaitGroup
	closing sync.Once
}

// Info is what the plugin said of itself when it was launched or found again.
func (p *Plugin) Info() Info { return p.info }

// PID is the plugin's process id.
func (p *Plugin) PID() int { return p.record.PID }

// Record is what Reattach needs.
func (p *Plugin) Record() Record { return p.record }

// Exited is closed when the process has ended, for whatever reason. Kill then frees what the host still holds of it.
func (p *Plugin) Exited() <-chan struct{} { return p.proc.exited }

// ExitReason says how the process ended ("exit status 1", "signal: killed"); empty while it runs. For a process
// found by Reattach only the fact is known.
func (p *Plugin) ExitReason() string {
	select {
	case <-p.proc.exited:
		return p.proc.reason
	default:
		return ""
	}
}

// ConfigSchema is the schema of the plugin's configuration; nil if it takes none.
func (p *Plugin) ConfigSchema(ctx context.Context) (*hclspecpb.Spec, error) {
	resp, err := basepb.NewBasePluginClient(p.conn).ConfigSchema(ctx, &basepb.ConfigSchemaRequest{})
	if err != nil {
		return nil, p.callError(ctx, "read config schema", err)
	}
	return resp.GetSpec(), nil
}

// Configure sends the configuration, as hclvalue.Encode makes it. With node nil the plugin only checks it.
func (p *Plugin) Configure(ctx context.Context, data []byte, node *driver.Node) error {
	req := &basepb.SetConfigRequest{MsgpackConfig: data, PluginApiVersion: p.info.APIVersion}
	if node != nil {
		req.NomadConfig = &basepb.NomadConfig{Driver: &basepb.NomadDriverConfig{
			ClientMinPort: uint32(node.MinPort),
			ClientMaxPort: uint32(node.MaxPort),
			Topology:      safeTopology(node.Topology),
		}}
	}
	_, err := basepb.NewBasePluginClient(p.conn).SetConfig(ctx, req)
	return p.callError(ctx, "configure", err)
}

// safeTopology completes a topology: drivers divide by the number of cores and by their speeds, and read the
// distances as a full matrix.
func safeTopology(t *driver.Topology) *driver.Topology {
	out := &driver.Topology{}
	if t != nil {
		out.NodeIds = t.GetNodeIds()
		out.Cores = t.GetCores()
		out.Distances = t.GetDistances()
		out.OverrideTotalCompute = t.GetOverrideTotalCompute()
		out.OverrideWitholdCompute = t.GetOverrideWitholdCompute()
	}
	if len(out.NodeIds) == 0 {
		out.NodeIds = []uint32{0}
	}
	if d := out.Distances; uint64(len(d.GetValues())) != uint64(d.GetDimension())*uint64(d.GetDimension()) {
		out.Distances = nil
	}
	if out.Distances == nil {
		out.Distances = &basepb.ClientTopologySLIT{}
	}
	if len(out.Cores) == 0 {
		out.Cores = []*basepb.ClientTopologyCore{{GuessSpeed: 1000}}
	}
	for i, c := range out.Cores {
		if c.GetBaseSpeed() == 0 && c.GetMaxSpeed() == 0 && c.GetGuessSpeed() == 0 {
			cores := append([]*basepb.ClientTopologyCore(nil), out.Cores...)
			cores[i] = &basepb.ClientTopologyCore{
				SocketId: c.GetSocketId(), NodeId: c.GetNodeId(), CoreId: c.GetCoreId(),
				CoreGrade: c.GetCoreGrade(), Disable: c.GetDisable(), GuessSpeed: 1000,
			}
			out.Cores = cores
		}
	}
	return out
}

// Driver gives the calls of a driver plugin.
func (p *Plugin) Driver() (*DriverClient, error) {
	if p.info.Kind != KindDriver {
		return nil, fmt.Errorf("plugin %s is a %s, not a driver", p.info.Name, p.info.Kind)
	}
	return &DriverClient{p: p, c: driverpb.NewDriverClient(p.conn)}, nil
}

// Stop ends the plugin in the orderly way: a driver is told first, then the server is asked to end, then the
// process has two seconds, then it is killed. Tasks keep running. It returns when the process is gone.
func (p *Plugin) Stop(ctx context.Context) error {
	if p.info.Kind == KindDriver {
		c, cancel := context.WithTimeout(ctx, shutdownTimeout)
		_, err := driverpb.NewDriverClient(p.conn).Shutdown(c, &driverpb.ShutdownRequest{})
		cancel()
		if err != nil && status.Code(err) != codes.Unimplemented {
			p.log.Debug("plugin took no notice of its shutdown", "error", err)
		}
	}
	c, cancel := context.WithTimeout(ctx, shutdownTimeout)
	// The answer is usually cut off by the very end it announces.
	_ = p.conn.Invoke(c, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	cancel()

	timer := time.NewTimer(exitTimeout)
	defer timer.Stop()
	select {
	case <-p.proc.exited:
		p.close()
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	p.log.Warn("plugin did not exit in time, killing it", "pid", p.PID())
	return p.Kill()
}

// Kill ends the process at once and returns when it is gone. Tasks keep running.
func (p *Plugin) Kill() error {
	err := p.proc.signal(syscall.SIGKILL)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill plugin %s, pid %d: %w", p.info.Name, p.PID(), err)
	}
	<-p.proc.exited
	p.close()
	return nil
}

// Detach closes the connection and leaves the process running, for a later Reattach. The plugin must not be used
// afterwards; Exited is no longer closed for one that was reattached.
func (p *Plugin) Detach() { p.close() }

// close frees what the host holds of a plugin. The socket of a dead process is removed with it.
func (p *Plugin) close() {
	p.closing.Do(func() {
		p.cancel()
		p.conn.Close()
		p.proc.release()
		p.readers.Wait()
	})
	select {
	case <-p.proc.exited:
		p.record.removeSocket()
	default:
	}
}

// negotiate reads a plugin's info and settles versions.
func (p *Plugin) negotiate(ctx context.Context) error {
	resp, err := basepb.NewBasePluginClient(p.conn).PluginInfo(ctx, &basepb.PluginInfoRequest{})
	if err != nil {
		return p.callError(ctx, "read info", err)
	}
	p.info = Info{Name: resp.GetName(), Version: resp.GetPluginVersion()}
	switch resp.GetType() {
	case basepb.PluginType_DRIVER:
		p.info.Kind = KindDriver
	case basepb.PluginType_DEVICE:
		p.info.Kind = KindDevice
	default:
		return fmt.Errorf("plugin type %s is not known; want a driver or a device plugin", resp.GetType())
	}
	if p.info.Name == "" {
		return errors.New("plugin gives no name")
	}
	if _, err := version.NewVersion(p.info.Version); err != nil {
		return fmt.Errorf("plugin %s: version %q is not a semantic version", p.info.Name, p.info.Version)
	}
	p.info.APIVersion, err = agree(resp.GetPluginApiVersions())
	if err != nil {
		return fmt.Errorf("plugin %s: %w", p.info.Name, err)
	}
	return nil
}

// agree finds the plugin's spelling of the one version that this host speaks.
func agree(offered []string) (string, error) {
	if len(offered) == 0 {
		return "", errors.New("plugin names no API version")
	}
	ours := version.Must(version.NewVersion(wire.APIVersion))
	agreed := ""
	for _, o := range offered {
		v, err := version.NewVersion(o)
		if err != nil {
			return "", fmt.Errorf("API version %q is not a semantic version", o)
		}
		if v.Equal(ours) && agreed == "" {
			agreed = o
		}
	}
	if agreed == "" {
		return "", fmt.Errorf("%w: it speaks API %v, this host %s", ErrIncompatible, offered, wire.APIVersion)
	}
	return agreed, nil
}
