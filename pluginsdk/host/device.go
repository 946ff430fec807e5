package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seraiproject/serai/pluginsdk/device"
	"github.com/seraiproject/serai/pluginsdk/proto/devicepb"
)

// Device gives the calls of a device plugin.
func (p *Plugin) Device() (*DeviceClient, error) {
	if p.info.Kind != KindDevice {
		return nil, fmt.Errorf("plugin %s is a %s, not a device plugin", p.info.Name, p.info.Kind)
	}
	return &DeviceClient{p: p, c: devicepb.NewDevicePluginClient(p.conn)}, nil
}

// DeviceClient calls a device plugin, on the terms of DriverClient.
type DeviceClient struct {
	p *Plugin
	c devicepb.DevicePluginClient
}

// Fingerprint yields the complete set of devices, at once and on change. Any end of it means that the plugin
// wants to be unloaded; device.ErrDisabled says so in words.
func (d *DeviceClient) Fingerprint(ctx context.Context) iter.Seq2[[]*device.Group, error] {
	return func(yield func([]*device.Group, error) bool) {
		open := func(ctx context.Context) (grpc.ServerStreamingClient[devicepb.FingerprintResponse], error) {
			return d.c.Fingerprint(ctx, &devicepb.FingerprintRequest{})
		}
		err := follow(ctx, d.p, "fingerprint", open, func(m *devicepb.FingerprintResponse) bool {
			return yield(m.GetDeviceGroup(), nil)
		})
		if err == nil {
			return
		}
		if strings.Contains(err.Error(), device.ErrDisabled.Error()) {
			err = fmt.Errorf("plugin %s: fingerprint: %w", d.p.info.Name, device.ErrDisabled)
		}
		yield(nil, err)
	}
}

// Reserve asks what tasks need to use devices; never nil without an error.
func (d *DeviceClient) Reserve(ctx context.Context, ids []string) (*device.Reservation, error) {
	resp, err := d.c.Reserve(ctx, &devicepb.ReserveRequest{DeviceIds: ids})
	if err != nil {
		return nil, d.p.callError(ctx, "reserve devices", err)
	}
	if r := resp.GetContainerRes(); r != nil {
		return r, nil
	}
	return &device.Reservation{}, nil
}

// Stats yields the figures of all devices, every interval. A clean end is final and no error.
func (d *DeviceClient) Stats(ctx context.Context, interval time.Duration) iter.Seq2[[]*device.GroupStats, error] {
	return func(yield func([]*device.GroupStats, error) bool) {
		open := func(ctx context.Context) (grpc.ServerStreamingClient[devicepb.StatsResponse], error) {
			return d.c.Stats(ctx, &devicepb.StatsRequest{CollectionInterval: durationpb.New(interval)})
		}
		err := follow(ctx, d.p, "stats", open, func(m *devicepb.StatsResponse) bool {
			return yield(m.GetGroups(), nil)
		})
		if err != nil && !errors.Is(err, errStreamEnd) {
			yield(nil, err)
		}
	}
}
