package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/seraiproject/serai/pluginsdk/internal/wire"
	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
	"github.com/seraiproject/serai/pluginsdk/proto/devicepb"
	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
	"github.com/seraiproject/serai/pluginsdk/schema"
)

// defaultStatsEvery is the interval of figures for a host that asks for none.
const defaultStatsEvery = time.Second

// Serve makes the process a plugin that serves d, and returns when the host asks it to end; main should then
// return too. Nothing may be written to stdout before. A process that was not started by a host prints a line to
// stderr and exits with status 1.
func Serve[C any](info Info, d Device[C]) {
	life, cancel := context.WithCancel(context.Background())
	s, err := newServer(life, info, d)
	if err != nil {
		cancel()
		wire.Fail(info.Name, err)
	}
	wire.Serve(s.base(), func(g grpc.ServiceRegistrar) { devicepb.RegisterDevicePluginServer(g, s) }, cancel)
}

// server puts the protocol's service in front of a Device.
type server[C any] struct {
	devicepb.UnimplementedDevicePluginServer

	life   context.Context
	info   Info
	d      Device[C]
	log    *slog.Logger
	schema *hclspecpb.Spec
	again  wire.Pulse

	configuring sync.Mutex
}

func newServer[C any](life context.Context, info Info, d Device[C]) (*server[C], error) {
	if info.Name == "" || info.Version == "" {
		return nil, errors.New("device.Info needs a name and a version")
	}
	if info.FingerprintEvery <= 0 {
		info.FingerprintEvery = 30 * time.Second
	}
	spec, err := schema.Spec[C]()
	if err != nil {
		return nil, err
	}
	return &server[C]{life: life, info: info, d: d, log: wire.Logger(), schema: spec}, nil
}

func (s *server[C]) base() *wire.Base {
	return &wire.Base{
		Type:    basepb.PluginType_DEVICE,
		Name:    s.info.Name,
		Version: s.info.Version,
		Schema:  s.schema,
		Configure: func(ctx context.Context, data []byte, _ *basepb.NomadDriverConfig) error {
			config := new(C)
			if err := schema.Decode(data, config); err != nil {
				return err
			}
			s.configuring.Lock()
			defer s.configuring.Unlock()
			return s.d.Configure(ctx, &Env{Log: s.log, Refingerprint: s.again.Send}, config)
		},
	}
}

// Fingerprint sends the set of devices at once and whenever it has changed. The end of this stream unloads the
// plugin, so it ends only for that.
func (s *server[C]) Fingerprint(_ *devicepb.FingerprintRequest, stream devicepb.DevicePlugin_FingerprintServer) error {
	ctx := stream.Context()
	tick := time.NewTicker(s.info.FingerprintEvery)
	defer tick.Stop()
	var sent *devicepb.FingerprintResponse
	for {
		again := s.again.Wait()
		groups, err := s.d.Fingerprint(ctx)
		if err == nil {
			err = validate(groups)
		}
		now := &devicepb.FingerprintResponse{DeviceGroup: groups}
		switch {
		case errors.Is(err, ErrDisabled):
			return ErrDisabled
		case err != nil:
			s.log.Error("find devices", "error", err)
		case sent == nil || !proto.Equal(now, sent):
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

// validate finds what a host would refuse.
func validate(groups []*Group) error {
	var faults []error
	for i, g := range groups {
		if g.GetVendor() == "" || g.GetDeviceType() == "" || g.GetDeviceName() == "" {
			faults = append(faults, fmt.Errorf("group %d: vendor %q, type %q, name %q: none may be empty",
				i, g.GetVendor(), g.GetDeviceType(), g.GetDeviceName()))
		}
		for j, d := range g.GetDevices() {
			if d.GetID() == "" {
				faults = append(faults, fmt.Errorf("group %d: device %d has no id", i, j))
			}
		}
		for name, a := range g.GetAttributes() {
			if a.GetValue() == nil {
				faults = append(faults, fmt.Errorf("group %d: attribute %s has no value", i, name))
			}
		}
	}
	return errors.Join(faults...)
}

// Reserve asks the plugin what tasks need to use devices.
func (s *server[C]) Reserve(ctx context.Context, req *devicepb.ReserveRequest) (*devicepb.ReserveResponse, error) {
	r, err := s.d.Reserve(ctx, req.GetDeviceIds())
	if err != nil {
		return nil, err
	}
	return &devicepb.ReserveResponse{ContainerRes: r}, nil
}

// Stats sends figures at the host's interval; for a plugin without any the stream stays silent.
func (s *server[C]) Stats(req *devicepb.StatsRequest, stream devicepb.DevicePlugin_StatsServer) error {
	ctx := stream.Context()
	every := req.GetCollectionInterval().AsDuration()
	if every <= 0 {
		every = defaultStatsEvery
	}
	reporter, reports := s.d.(StatsReporter)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if reports {
			groups, err := reporter.Stats(ctx)
			if err != nil {
				s.log.Error("measure devices", "error", err)
			} else {
				stamp(groups)
				if err := stream.Send(&devicepb.StatsResponse{Groups: groups}); err != nil {
					return err
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.life.Done():
			return nil
		}
	}
}

// stamp sets the timestamps that hosts insist on.
func stamp(groups []*GroupStats) {
	now := timestamppb.Now()
	for _, g := range groups {
		for _, d := range g.GetInstanceStats() {
			if d != nil && d.Timestamp == nil {
				d.Timestamp = now
			}
		}
	}
}
