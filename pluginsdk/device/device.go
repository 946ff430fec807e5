// Package device is what an author of a device plugin writes against.
//
// A device plugin finds devices of a machine (Fingerprint), says how to make some of them visible in a task
// (Reserve), and may give figures (StatsReporter). It keeps no state of tasks: there is no release. Serve derives
// the schema of the plugin's configuration from its struct, as package schema reads tags, and speaks the
// plugin protocol:
//
//	func main() {
//		device.Serve(device.Info{Name: "tpm", Version: "0.1.0"}, &tpm{})
//	}
package device

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/seraiproject/serai/pluginsdk/proto/devicepb"
	"github.com/seraiproject/serai/pluginsdk/proto/structspb"
)

// ErrDisabled from Fingerprint takes the plugin out of service until its host restarts it.
var ErrDisabled = errors.New("device is not enabled")

// The messages of the wire are the data types of the contract; their getters work on nil.
type (
	// Group is a number of devices that are alike, with the attributes that jobs can ask for. Vendor, type, name
	// and all ids must be set.
	Group = devicepb.DeviceGroup
	// Detected is one device. Its ID stays the same over restarts.
	Detected = devicepb.DetectedDevice
	// Locality says where in the machine a device sits.
	Locality = devicepb.DeviceLocality
	// Reservation is what a task gets to use devices: variables, mounts and device files.
	Reservation = devicepb.ContainerReservation
	// Mount is a host path made visible in a task.
	Mount = devicepb.Mount
	// Spec is a device file made visible in a task; permissions are letters of rwm.
	Spec = devicepb.DeviceSpec
	// GroupStats are the figures of a group by device id.
	GroupStats = devicepb.DeviceGroupStats
	// Stats are the figures of one device.
	Stats = devicepb.DeviceStats
	// StatValue is one figure.
	StatValue = structspb.StatValue
	// Attribute is one typed fact of a group, with a unit where it is a quantity.
	Attribute = structspb.Attribute
)

// Device is a device plugin. C is the struct of its configuration; an empty struct takes none. All methods may be
// called at the same time, except that Configure is never called at the same time as itself.
type Device[C any] interface {
	// Configure takes the configuration. It is called several times with the same values and must be cheap and
	// start nothing.
	Configure(ctx context.Context, env *Env, config *C) error
	// Fingerprint gives the complete set of devices. It is called at once, then every Info.FingerprintEvery, and
	// on Env.Refingerprint; the host hears only of changes. An error is logged and leaves the last set valid,
	// except that ErrDisabled ends the service.
	Fingerprint(ctx context.Context) ([]*Group, error)
	// Reserve says what tasks need to use the devices with these ids, all of one group. It is called before every
	// start of an allocation.
	Reserve(ctx context.Context, ids []string) (*Reservation, error)
}

// StatsReporter is a Device with figures.
type StatsReporter interface {
	// Stats measures now. A missing timestamp is set.
	Stats(ctx context.Context) ([]*GroupStats, error)
}

// Info says what the plugin is.
type Info struct {
	Name string
	// Version is the plugin's own, as a semantic version.
	Version string
	// FingerprintEvery is the time between two calls of Fingerprint; 0 means 30 seconds.
	FingerprintEvery time.Duration
}

// Env is the SDK's side of a running plugin.
type Env struct {
	// Log reaches the host's log; the level is decided there.
	Log *slog.Logger
	// Refingerprint asks for Fingerprint to be called now.
	Refingerprint func()
}
