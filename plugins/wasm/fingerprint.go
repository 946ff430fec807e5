package wasm

import (
	"context"
	"os"
	"strings"

	"github.com/seraiproject/serai/plugins/wasm/engine"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

// wasiVersion is the version of the system interface that guests are offered.
const wasiVersion = "preview1"

// Fingerprint implements driver.Driver.
func (d *Driver) Fingerprint(context.Context) (driver.Fingerprint, error) {
	_, settings, _ := d.settings()
	if !settings.Enabled {
		return driver.Fingerprint{Health: driver.Undetected, Description: "disabled by the plugin's configuration"}, nil
	}
	if err := engine.Supported(); err != nil {
		return driver.Fingerprint{Health: driver.Undetected, Description: err.Error()}, nil
	}
	for _, dir := range []string{settings.CacheDir, settings.StateDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return driver.Fingerprint{Health: driver.Unhealthy, Description: err.Error()}, nil
		}
	}
	description := "Healthy"
	switch {
	case os.Geteuid() != 0:
		description = "not root: tasks run as the plugin's user, without cgroup limits"
	case process.CgroupVersion() == 0:
		description = "no cgroups: tasks run without CPU and memory limits"
	}
	return driver.Fingerprint{
		Health:      driver.Healthy,
		Description: description,
		Attributes: map[string]*driver.Attribute{
			"driver.wasm.engine":   driver.TextAttribute("wazero"),
			"driver.wasm.version":  driver.TextAttribute(engine.Version()),
			"driver.wasm.wasi":     driver.TextAttribute(wasiVersion),
			"driver.wasm.features": driver.TextAttribute(strings.Join(engine.Features(), ",")),
		},
	}, nil
}
