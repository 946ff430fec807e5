package device_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seraiproject/serai/pluginsdk/device"
	"github.com/seraiproject/serai/pluginsdk/host"
	"github.com/seraiproject/serai/pluginsdk/schema/hclvalue"
)

// fake is the device plugin that this test's own binary becomes.
type fake struct {
	config fakeConfig
	rounds int
}

type fakeConfig struct {
	Enabled bool   `config:"enabled" default:"true"`
	Path    string `config:"path,required"`
}

func (f *fake) Configure(_ context.Context, _ *device.Env, c *fakeConfig) error {
	f.config = *c
	return nil
}

func (f *fake) Fingerprint(context.Context) ([]*device.Group, error) {
	if !f.config.Enabled {
		return nil, device.ErrDisabled
	}
	f.rounds++
	ids := []string{"a"}
	switch f.rounds {
	case 1, 3:
	case 2:
		return nil, errors.New("bus is busy")
	default:
		ids = append(ids, "b")
	}
	g := &device.Group{Vendor: "serai", DeviceType: "tpm", DeviceName: "one"}
	for _, id := range ids {
		g.Devices = append(g.Devices, &device.Detected{ID: id, Healthy: true})
	}
	return []*device.Group{g}, nil
}

func (f *fake) Reserve(_ context.Context, ids []string) (*device.Reservation, error) {
	if ids[0] == "none" {
		return nil, fmt.Errorf("device %s is not here", ids[0])
	}
	return &device.Reservation{
		Envs:    map[string]string{"TPM": strings.Join(ids, ",")},
		Devices: []*device.Spec{{TaskPath: "/dev/tpm", HostPath: f.config.Path, Permissions: "rw"}},
	}, nil
}

func (f *fake) Stats(context.Context) ([]*device.GroupStats, error) {
	return []*device.GroupStats{{Vendor: "serai", Type: "tpm", Name: "one", InstanceStats: map[string]*device.Stats{
		"a": {Summary: &device.StatValue{IntNumeratorVal: wrapperspb.Int64(3), Desc: "keys"}},
	}}}, nil
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		device.Serve(device.Info{Name: "fake", Version: "1.2.3", FingerprintEvery: 5 * time.Millisecond}, &fake{})
		return
	}
	os.Exit(m.Run())
}

func launch(t *testing.T, ctx context.Context, config map[string]any) *host.DeviceClient {
	t.Helper()
	p, err := host.Launch(ctx, host.Options{Path: os.Args[0], Args: []string{"plugin"}, SocketDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if info := p.Info(); info.Kind != host.KindDevice || info.Name != "fake" || info.Version != "1.2.3" {
		t.Errorf("info %+v", info)
	}
	if _, err := p.Driver(); err == nil {
		t.Error("a device plugin passes for a driver")
	}
	spec, err := p.ConfigSchema(ctx)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hclvalue.Encode(spec, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(ctx, data, nil); err != nil {
		t.Fatal(err)
	}
	d, err := p.Device()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDevicePlugin(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := launch(t, ctx, map[string]any{"path": "/dev/tpm0"})

	var counts []int
	for groups, err := range d.Fingerprint(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		n := len(groups[0].GetDevices())
		if counts = append(counts, n); n == 2 {
			break
		}
	}
	if fmt.Sprint(counts) != "[1 2]" {
		t.Errorf("devices found: %v; want only changes", counts)
	}

	r, err := d.Reserve(ctx, []string{"a", "b"})
	if err != nil || r.GetEnvs()["TPM"] != "a,b" || r.GetDevices()[0].GetHostPath() != "/dev/tpm0" {
		t.Errorf("reserve: %v, %v", r, err)
	}
	if _, err := d.Reserve(ctx, []string{"none"}); err == nil || !strings.Contains(err.Error(), "device none is not here") {
		t.Errorf("reserve: %v", err)
	}
	n := 0
	for groups, err := range d.Stats(ctx, time.Millisecond) {
		if err != nil {
			t.Fatal(err)
		}
		s := groups[0].GetInstanceStats()["a"]
		if s.GetSummary().GetIntNumeratorVal().GetValue() != 3 || s.GetTimestamp() == nil {
			t.Errorf("stats %v", s)
		}
		if n++; n == 3 {
			break
		}
	}
}

func TestDisabledDevicePlugin(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := launch(t, ctx, map[string]any{"path": "/dev/tpm0", "enabled": "false"})
	for _, err := range d.Fingerprint(ctx) {
		if !errors.Is(err, device.ErrDisabled) {
			t.Errorf("fingerprint: %v", err)
		}
	}
}
