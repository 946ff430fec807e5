package mock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seraiproject/serai/pluginsdk/driver"
)

// Fingerprint answers by script.
func (d *Driver) Fingerprint(context.Context) (driver.Fingerprint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.config.FingerprintError != "" {
		return driver.Fingerprint{}, errors.New(d.config.FingerprintError)
	}
	h, err := health(d.config.Health)
	if err != nil {
		return driver.Fingerprint{}, err
	}
	f := driver.Fingerprint{Health: h, Description: d.config.Health, Attributes: map[string]*driver.Attribute{}}
	if d.config.HealthFor > 0 && time.Since(d.configuredAt) >= d.config.HealthFor {
		f.Health, f.Description = driver.Unhealthy, "its time of health is over"
	}
	for name, value := range d.config.Attributes {
		f.Attributes["driver.mock."+name] = driver.TextAttribute(value)
	}
	return f, nil
}

// health reads a configured health; none is healthy.
func health(s string) (driver.Health, error) {
	switch s {
	case "", "healthy":
		return driver.Healthy, nil
	case "unhealthy":
		return driver.Unhealthy, nil
	case "undetected":
		return driver.Undetected, nil
	}
	return driver.Undetected, fmt.Errorf("health: want healthy, unhealthy or undetected, have %q", s)
}
