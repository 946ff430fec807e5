package host_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/host"
	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// foreign is a driver plugin on the library that plugins of others are built on. Its answers are as sparse as
// the protocol allows.
type foreign struct {
	goplugin.NetRPCUnsupportedPlugin
	driverpb.UnimplementedDriverServer
	basepb.UnimplementedBasePluginServer

	versions []string
	config   chan *basepb.SetConfigRequest
}

func runForeign(versions string) {
	f := &foreign{config: make(chan *basepb.SetConfigRequest, 10)}
	if versions != "none" {
		f.versions = strings.Split(versions, ",")
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  2,
			MagicCookieKey:   "NOMAD_PLUGIN_MAGIC_COOKIE",
			MagicCookieValue: "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255",
		},
		Plugins:    goplugin.PluginSet{"driver": f},
		GRPCServer: goplugin.DefaultGRPCServer,
	})
}

func (f *foreign) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	basepb.RegisterBasePluginServer(s, f)
	driverpb.RegisterDriverServer(s, f)
	return nil
}

func (f *foreign) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("no client here")
}

func (f *foreign) PluginInfo(context.Context, *basepb.PluginInfoRequest) (*basepb.PluginInfoResponse, error) {
	return &basepb.PluginInfoResponse{
		Type: basepb.PluginType_DRIVER, Name: "foreign", PluginVersion: "v1.2.0-beta", PluginApiVersions: f.versions}, nil
}

func (f *foreign) ConfigSchema(context.Context, *basepb.ConfigSchemaRequest) (*basepb.ConfigSchemaResponse, error) {
	return &basepb.ConfigSchemaResponse{}, nil
}

func (f *foreign) SetConfig(_ context.Context, req *basepb.SetConfigRequest) (*basepb.SetConfigResponse, error) {
	// More than a pipe holds: a host that does not read it would make the plugin hang.
	fmt.Println(strings.Repeat("noise ", 100_000))
	fmt.Fprintln(os.Stderr, strings.Repeat("noise ", 100_000))
	f.config <- req
	return &basepb.SetConfigResponse{}, nil
}

func (f *foreign) StartTask(_ context.Context, req *driverpb.StartTaskRequest) (*driverpb.StartTaskResponse, error) {
	config := <-f.config
	r := req.GetTask().GetResources()
	if r.GetAllocatedResources().GetCpu() == nil || r.GetAllocatedResources().GetMemory() == nil || r.GetLinuxResources() == nil {
		return nil, fmt.Errorf("incomplete resources would have killed another driver: %v", r)
	}
	topology := config.GetNomadConfig().GetDriver().GetTopology()
	if len(topology.GetCores()) == 0 || topology.GetCores()[0].GetGuessSpeed() == 0 {
		return nil, fmt.Errorf("a topology without speed would have killed another driver: %v", topology)
	}
	return &driverpb.StartTaskResponse{Handle: &driverpb.TaskHandle{
		DriverState: []byte(config.GetPluginApiVersion()),
	}}, nil
}

func (f *foreign) StopTask(context.Context, *driverpb.StopTaskRequest) (*driverpb.StopTaskResponse, error) {
	return nil, driver.ErrTaskNotFound
}

func (f *foreign) TaskStats(_ *driverpb.TaskStatsRequest, stream driverpb.Driver_TaskStatsServer) error {
	return stream.Send(&driverpb.TaskStatsResponse{})
}

func (f *foreign) InspectTask(context.Context, *driverpb.InspectTaskRequest) (*driverpb.InspectTaskResponse, error) {
	return &driverpb.InspectTaskResponse{}, nil
}

func launchForeign(t *testing.T, versions string) (*host.Plugin, error) {
	t.Helper()
	p, err := host.Launch(testContext(t), host.Options{
		Path: os.Args[0], Env: append(os.Environ(), "SERAI_TEST_FOREIGN="+versions), SocketDir: t.TempDir()})
	if err == nil {
		t.Cleanup(func() { p.Kill() })
	}
	return p, err
}

func TestForeignPlugin(t *testing.T) {
	p, err := launchForeign(t, "v0.3.0,0.1")
	if err != nil {
		t.Fatal(err)
	}
	ctx := testContext(t)
	if err := p.Configure(ctx, nil, &driver.Node{}); err != nil {
		t.Fatal(err)
	}
	d := client(t, p) // whose Init the plugin does not know
	handle, _, err := d.StartTask(ctx, &driver.TaskConfig{Id: "a/b/c"})
	if err != nil {
		t.Fatal(err)
	}
	if handle.GetConfig().GetId() != "a/b/c" {
		t.Errorf("handle %v; a plugin that forgets the config must not break recovery", handle)
	}
	if string(handle.GetDriverState()) != "0.1" {
		t.Errorf("configured for API version %q, want the plugin's own spelling", handle.GetDriverState())
	}
	if err := d.StopTask(ctx, "gone", 0, ""); err != nil {
		t.Errorf("stop of a task that the plugin does not know: %v", err)
	}
	for u, err := range d.TaskStats(ctx, "a/b/c", time.Second) {
		if err != nil || u.CPU.GetPercent() != 0 {
			t.Errorf("empty figures: %+v, %v", u, err)
		}
	}
	if s, err := d.InspectTask(ctx, "a/b/c"); err != nil || s.Result.Code != 0 {
		t.Errorf("empty status: %+v, %v", s, err)
	}
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
	if p.ExitReason() != "exit status 0" {
		t.Errorf("plugin ended with %s", p.ExitReason())
	}
}

func TestAPIVersions(t *testing.T) {
	for versions, c := range map[string]struct {
		ok, incompatible bool
	}{
		"v0.1.0":        {ok: true},
		"0.1.0":         {ok: true},
		"v0.1":          {ok: true},
		"v0.2.0,v0.1.0": {ok: true},
		"v0.1.5":        {incompatible: true},
		"v0.2.0":        {incompatible: true},
		"none":          {},
		"latest":        {},
		"v0.1.0,latest": {},
	} {
		t.Run(versions, func(t *testing.T) {
			p, err := launchForeign(t, versions)
			if (err == nil) != c.ok {
				t.Fatalf("launch: %v", err)
			}
			if errors.Is(err, host.ErrIncompatible) != c.incompatible {
				t.Errorf("launch: %v", err)
			}
			if err == nil && p.Info().Version != "v1.2.0-beta" {
				t.Errorf("info %+v", p.Info())
			}
		})
	}
}
