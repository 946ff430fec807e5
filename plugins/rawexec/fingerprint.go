package rawexec

import (
	"context"

	"github.com/seraiproject/serai/pluginsdk/driver"
)

// Fingerprint says that tasks can run as soon as the operator allows it.
func (d *Driver) Fingerprint(context.Context) (driver.Fingerprint, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if !d.config.Enabled {
		return driver.Fingerprint{Health: driver.Undetected, Description: "disabled"}, nil
	}
	return driver.Fingerprint{
		Health: driver.Healthy, Description: "Healthy",
		Attributes: map[string]*driver.Attribute{"driver." + Name: driver.BoolAttribute(true)},
	}, nil
}
