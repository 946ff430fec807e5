// Package wire is what driver and device plugins have in common on their way to a host: the handshake, the base
// service, and the log.
package wire

import (
	"context"

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

// Base is the service that every plugin offers.
type Base struct {
	basepb.UnimplementedBasePluginServer

	Type          basepb.PluginType
	Name, Version string
	// Schema may be nil: no configuration is taken.
	Schema *hclspecpb.Spec
	// Configure takes the MessagePack of the configuration. Node is nil when it is only to be checked.
	Configure func(ctx context.Context, data []byte, node *basepb.NomadDriverConfig) error
	// Idle reports that a plugin without a host is of no use to anybody. Nil means never.
	Idle func() bool
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
