package exec

import (
	"context"
	"os"
	"path/filepath"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

// Fingerprint says whether containers can be made here.
func (d *Driver) Fingerprint(context.Context) (driver.Fingerprint, error) {
	if os.Geteuid() != 0 {
		return driver.Fingerprint{Health: driver.Undetected, Description: "Driver must run as root"}, nil
	}
	if process.CgroupVersion() == 0 {
		return driver.Fingerprint{Health: driver.Unhealthy, Description: "no cgroup hierarchy is mounted"}, nil
	}
	for _, ns := range []string{"mnt", "pid", "ipc", "uts", "cgroup"} {
		if _, err := os.Stat(filepath.Join("/proc/self/ns", ns)); err != nil {
			return driver.Fingerprint{Health: driver.Unhealthy, Description: "the kernel has no " + ns + " namespaces"}, nil
		}
	}
	return driver.Fingerprint{
		Health: driver.Healthy, Description: "Healthy",
		Attributes: map[string]*driver.Attribute{"driver." + Name: driver.BoolAttribute(true)},
	}, nil
}
