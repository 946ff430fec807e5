package fingerprint

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/model"
)

// Config says where to look and what the operator overrides. Zero values mean
// detect.
type Config struct {
	// Root is put before /proc, /sys and /etc, for tests.
	Root string

	AllocDir         string // the disk that counts
	NetworkInterface string
	// AddressFamily is "ipv4", "ipv6" or "" for no preference.
	AddressFamily   string
	HostNetworks    []model.HostNetworkConfig
	ReservedPorts   string // of the node, such as "22,8000-8010"
	CPUTotalMHz     int
	MemoryTotalMB   int
	DiskTotalMB     int
	ReservableCores []uint16 // nil: all
	MinDynamicPort  int
	MaxDynamicPort  int

	// Version is the agent's, NomadVersion the release whose behaviour job
	// files may count on.
	Version, NomadVersion string
	ServiceDiscovery      bool
	AdvertiseAddress      string // host:port of the HTTP API
}

// Result is what was found.
type Result struct {
	Attributes   map[string]string
	Resources    *model.NodeResources
	HostNetworks map[string]*model.HostNetworkConfig
}

// Run looks at the machine.
func Run(c *Config) (*Result, error) {
	r := &Result{
		Attributes:   map[string]string{},
		Resources:    &model.NodeResources{MinDynamicPort: c.MinDynamicPort, MaxDynamicPort: c.MaxDynamicPort},
		HostNetworks: map[string]*model.HostNetworkConfig{},
	}
	r.agent(c)
	r.kernel(c)
	r.host(c)
	r.processors(c)
	if err := r.memory(c); err != nil {
		return nil, err
	}
	if err := r.disk(c); err != nil {
		return nil, err
	}
	if err := r.network(c); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Result) agent(c *Config) {
	r.Attributes["nomad.version"] = c.NomadVersion
	r.Attributes["serai.version"] = c.Version
	r.Attributes["nomad.service_discovery"] = strconv.FormatBool(c.ServiceDiscovery)
	r.Attributes["nomad.bridge.hairpin_mode"] = "false"
	if c.AdvertiseAddress != "" {
		r.Attributes["unique.advertise.address"] = c.AdvertiseAddress
	}
}

func (c *Config) read(path string) string {
	b, err := os.ReadFile(c.Root + path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (r *Result) kernel(c *Config) {
	r.Attributes["kernel.name"] = runtime.GOOS
	r.Attributes["cpu.arch"] = runtime.GOARCH
	r.Attributes["os.signals"] = Signals
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		r.Attributes["kernel.version"] = unix.ByteSliceToString(u.Release[:])
		r.Attributes["kernel.arch"] = unix.ByteSliceToString(u.Machine[:])
	}
	// The kernel answers with the version of its Landlock interface.
	const askVersion = 1
	if abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, askVersion); errno == 0 {
		r.Attributes["kernel.landlock"] = fmt.Sprintf("v%d", abi)
	} else {
		r.Attributes["kernel.landlock"] = "unavailable"
	}
	if v := CgroupVersion(c.Root); v > 0 {
		r.Attributes["os.cgroups.version"] = strconv.Itoa(v)
	}
}

// CgroupVersion is 2 where only cgroup v2 is mounted, 1 where v1 is (alone or
// beside v2), 0 where there is none.
func CgroupVersion(root string) int {
	b, err := os.ReadFile(root + "/proc/self/mounts")
	if err != nil {
		return 0
	}
	version := 0
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		switch f[2] {
		case "cgroup":
			return 1
		case "cgroup2":
			version = 2
		}
	}
	return version
}

func (r *Result) host(c *Config) {
	if h, err := os.Hostname(); err == nil {
		r.Attributes["unique.hostname"] = h
	}
	for _, p := range []string{"/sys/class/dmi/id/product_uuid", "/etc/machine-id", "/proc/sys/kernel/random/boot_id"} {
		if id := strings.ToLower(c.read(p)); id != "" {
			r.Attributes["unique.host_id"] = id
			break
		}
	}
	release := map[string]string{}
	for line := range strings.Lines(c.read("/etc/os-release")) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			release[k] = strings.Trim(v, `"'`)
		}
	}
	name, version := release["ID"], release["VERSION_ID"]
	if name == "debian" {
		if v := c.read("/etc/debian_version"); v != "" {
			version = v
		}
	}
	if name == "" {
		name = runtime.GOOS
	}
	r.Attributes["os.name"], r.Attributes["os.version"] = name, version
}

func (r *Result) memory(c *Config) error {
	var bytes uint64
	for line := range strings.Lines(c.read("/proc/meminfo")) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			kib, err := strconv.ParseUint(f[1], 10, 64)
			if err != nil {
				return fmt.Errorf("fingerprint memory: %w", err)
			}
			bytes = kib << 10
		}
	}
	if c.MemoryTotalMB > 0 {
		bytes = uint64(c.MemoryTotalMB) << 20
	}
	if bytes == 0 {
		return fmt.Errorf("fingerprint memory: /proc/meminfo does not tell; set client.memory_total_mb")
	}
	r.Attributes["memory.totalbytes"] = strconv.FormatUint(bytes, 10)
	r.Resources.Memory.MemoryMB = int64(bytes >> 20)
	return nil
}

func (r *Result) disk(c *Config) error {
	var st unix.Statfs_t
	if err := unix.Statfs(c.AllocDir, &st); err != nil {
		return fmt.Errorf("fingerprint disk of %s: %w", c.AllocDir, err)
	}
	bytes := st.Blocks * uint64(st.Bsize)
	if c.DiskTotalMB > 0 {
		bytes = uint64(c.DiskTotalMB) << 20
	}
	r.Attributes["unique.storage.volume"] = c.volume()
	r.Attributes["unique.storage.bytestotal"] = strconv.FormatUint(bytes, 10)
	r.Resources.Disk.DiskMB = int64(bytes >> 20)
	return nil
}

// volume is the device that the alloc directory is on.
func (c *Config) volume() string {
	best, device := "", ""
	for line := range strings.Lines(c.read("/proc/self/mounts")) {
		f := strings.Fields(line)
		if len(f) < 2 || len(f[1]) < len(best) {
			continue
		}
		if c.AllocDir == f[1] || strings.HasPrefix(c.AllocDir, strings.TrimSuffix(f[1], "/")+"/") {
			best, device = f[1], f[0]
		}
	}
	return device
}

// Equal reports whether two results tell the servers the same.
func (r *Result) Equal(o *Result) bool {
	return maps.Equal(r.Attributes, o.Attributes)
}
