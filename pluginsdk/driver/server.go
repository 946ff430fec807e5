package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seraiproject/serai/pluginsdk/internal/wire"
	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
	"github.com/seraiproject/serai/pluginsdk/schema"
	"github.com/seraiproject/serai/pluginsdk/tasks"
)

// server puts the protocol's service in front of a Driver.
type server[C, T any, H Task] struct {
	driverpb.UnimplementedDriverServer

	// life ends when the process is about to.
	life context.Context
	info Info
	d    Driver[C, T, H]
	log  *slog.Logger

	configSchema, taskSchema *hclspecpb.Spec
	table                    tasks.Table[H]
	events                   fanout
	again                    wire.Pulse

	configuring sync.Mutex
	env         Env
}

func newServer[C, T any, H Task](life context.Context, info Info, d Driver[C, T, H]) (*server[C, T, H], error) {
	if info.Name == "" || info.Version == "" {
		return nil, errors.New("driver.Info needs a name and a version")
	}
	if info.FingerprintEvery <= 0 {
		info.FingerprintEvery = 30 * time.Second
	}
	if info.StatsEvery <= 0 {
		info.StatsEvery = time.Second
	}
	s := &server[C, T, H]{life: life, info: info, d: d, log: wire.Logger()}
	var err error
	if s.configSchema, err = schema.Spec[C](); err != nil {
		return nil, err
	}
	if s.taskSchema, err = schema.Spec[T](); err != nil {
		return nil, err
	}
	s.env = Env{Log: s.log, Emit: s.emit, Refingerprint: s.again.Send}
	return s, nil
}

func (s *server[C, T, H]) base() *wire.Base {
	return &wire.Base{
		Type:      basepb.PluginType_DRIVER,
		Name:      s.info.Name,
		Version:   s.info.Version,
		Schema:    s.configSchema,
		Configure: s.configure,
		Idle:      func() bool { return s.table.Len() == 0 },
	}
}

func (s *server[C, T, H]) configure(ctx context.Context, data []byte, node *basepb.NomadDriverConfig) error {
	config := new(C)
	if err := schema.Decode(data, config); err != nil {
		return err
	}
	s.configuring.Lock()
	defer s.configuring.Unlock()
	env := s.env
	if node != nil {
		env.Node = &Node{
			MinPort:  int(node.GetClientMinPort()),
			MaxPort:  int(node.GetClientMaxPort()),
			Topology: node.GetTopology(),
		}
	}
	return s.d.Configure(ctx, &env, config)
}

// Init has nothing to do: a process starts ready.
func (s *server[C, T, H]) Init(context.Context, *driverpb.InitRequest) (*driverpb.InitResponse, error) {
	return &driverpb.InitResponse{}, nil
}

// Shutdown tells the driver that its process is about to exit.
func (s *server[C, T, H]) Shutdown(ctx context.Context, _ *driverpb.ShutdownRequest) (*driverpb.ShutdownResponse, error) {
	if d, ok := s.d.(Shutdowner); ok {
		if err := d.Shutdown(ctx); err != nil {
			return nil, err
		}
	}
	return &driverpb.ShutdownResponse{}, nil
}

// TaskConfigSchema gives the schema of a task's config block. A driver without one gets an empty object rather
// than none, since hosts send an empty object either way.
func (s *server[C, T, H]) TaskConfigSchema(context.Context, *driverpb.TaskConfigSchemaRequest) (*driverpb.TaskConfigSchemaResponse, error) {
	spec := s.taskSchema
	if spec == nil {
		spec = &hclspecpb.Spec{Block: &hclspecpb.Spec_Object{Object: &hclspecpb.Object{}}}
	}
	return &driverpb.TaskConfigSchemaResponse{Spec: spec}, nil
}

// Capabilities follow from what the driver and its tasks implement.
func (s *server[C, T, H]) Capabilities(context.Context, *driverpb.CapabilitiesRequest) (*driverpb.CapabilitiesResponse, error) {
	var task H
	_, signals := any(task).(Signaler)
	_, exec := any(task).(Execer)
	_, networks := s.d.(Networker)
	c := &Capabilities{
		SendSignals:           signals,
		Exec:                  exec,
		FsIsolation:           s.info.FSIsolation,
		NetworkIsolationModes: s.info.NetworkModes,
		MustCreateNetwork:     networks,
		DisableLogCollection:  s.info.NoLogs,
		DynamicWorkloadUsers:  s.info.DynamicUsers,
	}
	if s.info.NoMounts {
		c.MountConfigs = driverpb.DriverCapabilities_NO_MOUNTS
	}
	if d, ok := s.d.(Capable); ok {
		c = d.Capabilities(c)
	}
	return &driverpb.CapabilitiesResponse{Capabilities: c}, nil
}

// Fingerprint sends the driver's answer at once and whenever it has changed.
func (s *server[C, T, H]) Fingerprint(_ *driverpb.FingerprintRequest, stream driverpb.Driver_FingerprintServer) error {
	ctx := stream.Context()
	tick := time.NewTicker(s.info.FingerprintEvery)
	defer tick.Stop()
	var sent *driverpb.FingerprintResponse
	for {
		again := s.again.Wait()
		if now := s.fingerprint(ctx); ctx.Err() == nil && !proto.Equal(now, sent) {
			if err := stream.Send(now); err != nil {
				return err
			}
			sent = now
		}
		select {
		case <-tick.C:
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.life.Done():
			return nil
		}
	}
}

func (s *server[C, T, H]) fingerprint(ctx context.Context) *driverpb.FingerprintResponse {
	f, err := s.d.Fingerprint(ctx)
	if err != nil {
		return &driverpb.FingerprintResponse{Err: err.Error()}
	}
	return &driverpb.FingerprintResponse{
		Attributes:        f.Attributes,
		Health:            f.Health,
		HealthDescription: f.Description,
	}
}

// CreateNetwork asks the driver for a namespace.
func (s *server[C, T, H]) CreateNetwork(ctx context.Context, req *driverpb.CreateNetworkRequest) (*driverpb.CreateNetworkResponse, error) {
	d, ok := s.d.(Networker)
	if !ok {
		return nil, fmt.Errorf("create network of alloc %s: %w", req.GetAllocId(), ErrNotSupported)
	}
	spec, created, err := d.CreateNetwork(ctx, req.GetAllocId(), req.GetHostname())
	if err != nil {
		return nil, err
	}
	return &driverpb.CreateNetworkResponse{IsolationSpec: spec, Created: created}, nil
}

// DestroyNetwork asks the driver to remove a namespace.
func (s *server[C, T, H]) DestroyNetwork(ctx context.Context, req *driverpb.DestroyNetworkRequest) (*driverpb.DestroyNetworkResponse, error) {
	d, ok := s.d.(Networker)
	if !ok {
		return nil, fmt.Errorf("destroy network of alloc %s: %w", req.GetAllocId(), ErrNotSupported)
	}
	if err := d.DestroyNetwork(ctx, req.GetAllocId(), req.GetIsolationSpec()); err != nil {
		return nil, err
	}
	return &driverpb.DestroyNetworkResponse{}, nil
}
