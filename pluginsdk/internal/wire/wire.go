// Package wire is what driver and device plugins have in common on their way to a host: the handshake, the base
// service, and the log.
package wire

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
)

// What hosts and plugins agree on before the first call.
const (
	// ProtocolVersion is the version of the plugin set in the handshake.
	ProtocolVersion = 2
	// CookieKey and CookieValue prove to a plugin that a host has started it.
	CookieKey   = "NOMAD_PLUGIN_MAGIC_COOKIE"
	CookieValue = "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255"
	// APIVersion is the version of the services behind the handshake.
	APIVersion = "v0.1.0"
)

// maxMessage is what a plugin takes in one request, in bytes. The library's 4 MiB are too few for some
// environments and templates.
const maxMessage = 64 << 20

// exitGrace is how long a plugin tidies up once its server has ended; hosts kill after two seconds.
const exitGrace = time.Second

// Base is the service that every plugin offers.
type Base struct {
	basepb.UnimplementedBasePluginServer

	Type          basepb.PluginType
	Name, Version string
	// Schema may be nil: no configuration is taken.
	Schema *hclspecpb.Spec
	// Configure takes the MessagePack of the configuration. Node is nil when it is only to be checked.
	Configure func(ctx context.Context, data []byte, node *basepb.NomadDriverConfig) error
}

// PluginInfo says what the plugin is.
func (b *Base) PluginInfo(context.Context, *basepb.PluginInfoRequest) (*basepb.PluginInfoResponse, error) {
	return &basepb.PluginInfoResponse{
		Type:              b.Type,
		PluginApiVersions: []string{APIVersion},
		PluginVersion:     b.Version,
		Name:              b.Name,
	}, nil
}

// ConfigSchema gives the schema of the plugin's configuration.
func (b *Base) ConfigSchema(context.Context, *basepb.ConfigSchemaRequest) (*basepb.ConfigSchemaResponse, error) {
	return &basepb.ConfigSchemaResponse{Spec: b.Schema}, nil
}

// SetConfig hands the configuration on.
func (b *Base) SetConfig(ctx context.Context, req *basepb.SetConfigRequest) (*basepb.SetConfigResponse, error) {
	if err := b.Configure(ctx, req.GetMsgpackConfig(), req.GetNomadConfig().GetDriver()); err != nil {
		return nil, err
	}
	return &basepb.SetConfigResponse{}, nil
}

// Serve answers a host until the host ends it, then calls stop and waits a moment for it. The host's death is
// no end: a plugin stays and can be found again. Register adds the services of the plugin's kind.
func Serve(b *Base, register func(grpc.ServiceRegistrar), stop func()) {
	// A host that dies leaves a stderr without a reader. The signal has a handler rather than being ignored,
	// because a task would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: stderr, JSONFormat: true})
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{
			ProtocolVersion:  ProtocolVersion,
			MagicCookieKey:   CookieKey,
			MagicCookieValue: CookieValue,
		},
		Plugins: plugin.PluginSet{"base": &services{register: func(s grpc.ServiceRegistrar) {
			basepb.RegisterBasePluginServer(s, b)
			register(s)
		}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(maxMessage))...)
		},
		Logger: log,
	})

	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	select {
	case <-stopped:
	case <-time.After(exitGrace):
	}
}

// Fail ends a process whose plugin is put together wrongly.
func Fail(name string, err error) {
	fmt.Fprintf(stderr, "serve plugin %s: %v\n", name, err)
	os.Exit(1)
}

// services puts gRPC services into the library's server.
type services struct {
	plugin.NetRPCUnsupportedPlugin
	register func(grpc.ServiceRegistrar)
}

func (s *services) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	s.register(g)
	return nil
}

func (s *services) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("plugin services have no client here")
}
