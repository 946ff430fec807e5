package container

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/process"
)

// Options describe a task as the driver knows it. All paths are the host's
// unless said otherwise.
type Options struct {
	// Root is the task's directory, which becomes "/". Host files come in as
	// read-only mounts below it.
	Root string
	// Chroot maps host paths to where the task sees them.
	Chroot map[string]string
	// Mounts and Devices are the job's own.
	Mounts  []Mount
	Devices []Device

	// Args is the command, its first element a path inside the container.
	Args []string
	Env  []string
	// Dir is the working directory inside.
	Dir  string
	User process.Credential
	// Capabilities are what root may have, and the most that another user can
	// gain; Ambient are those that another user has from the start.
	Capabilities, Ambient []string

	// HostPID and HostIPC share the host's namespaces.
	HostPID, HostIPC bool
	// NetworkNamespace is a path; empty means the host's network.
	NetworkNamespace string
	// Hostname of the container; empty means the host's.
	Hostname string

	// CgroupPath is relative to the mount of each hierarchy.
	CgroupPath  string
	Limits      process.Limits
	OOMScoreAdj *int
}

// Mount makes a host path visible in the container.
type Mount struct {
	Host, Task string
	ReadOnly   bool
	// Propagation is private, host-to-task or bidirectional; empty is private.
	Propagation string
}

// Device makes a host device usable in the container.
type Device struct {
	Host, Task string
	// Permissions are letters of rwm.
	Permissions string
}

// Spec builds the OCI runtime-spec.
func (o *Options) Spec() (*specs.Spec, error) {
	s := &specs.Spec{
		Version:  specs.Version,
		Root:     &specs.Root{Path: o.Root},
		Hostname: o.Hostname,
		Process: &specs.Process{
			Args: o.Args, Env: o.Env, Cwd: o.Dir,
			User:            specs.User{UID: o.User.UID, GID: o.User.GID, AdditionalGids: o.User.Groups},
			Capabilities:    o.capabilities(),
			NoNewPrivileges: true,
			OOMScoreAdj:     o.OOMScoreAdj,
		},
		Linux: &specs.Linux{
			Namespaces:        o.namespaces(),
			CgroupsPath:       "/" + strings.TrimPrefix(o.CgroupPath, "/"),
			Resources:         o.resources(),
			RootfsPropagation: "rslave",
			MaskedPaths: []string{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
				"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
				"/sys/devices/virtual/powercap", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	if s.Hostname == "" {
		s.Hostname, _ = os.Hostname()
	}
	mounts, err := o.mounts()
	if err != nil {
		return nil, err
	}
	s.Mounts = mounts
	for _, d := range o.Devices {
		if err := addDevice(s.Linux, d); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (o *Options) namespaces() []specs.LinuxNamespace {
	ns := []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.UTSNamespace}, {Type: specs.CgroupNamespace}}
	if !o.HostPID {
		ns = append(ns, specs.LinuxNamespace{Type: specs.PIDNamespace})
	}
	if !o.HostIPC {
		ns = append(ns, specs.LinuxNamespace{Type: specs.IPCNamespace})
	}
	if o.NetworkNamespace != "" {
		ns = append(ns, specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: o.NetworkNamespace})
	}
	return ns
}

// capabilities gives root all that is allowed. Another user starts with the
// ambient ones, and the rest only bounds what file capabilities could give.
func (o *Options) capabilities() *specs.LinuxCapabilities {
	c := &specs.LinuxCapabilities{Bounding: o.Capabilities}
	have := o.Ambient
	if o.User.UID == 0 {
		have = o.Capabilities
	} else {
		c.Inheritable, c.Ambient = have, have
	}
	c.Effective, c.Permitted = have, have
	return c
}

func (o *Options) resources() *specs.LinuxResources {
	r := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
	if o.Limits.CPUShares > 0 || o.Limits.CPUs != "" {
		r.CPU = &specs.LinuxCPU{Cpus: o.Limits.CPUs}
		if o.Limits.CPUShares > 0 {
			r.CPU.Shares = &o.Limits.CPUShares
		}
	}
	if limit := o.Limits.MemoryBytes; limit > 0 {
		r.Memory = &specs.LinuxMemory{Limit: &limit}
		if swapAccounted() {
			r.Memory.Swap = &limit // of memory and swap together
		}
		if reserve := o.Limits.MemoryReserveBytes; reserve > 0 {
			r.Memory.Reservation = &reserve
		}
	}
	if n := o.Limits.PIDs; n > 0 {
		r.Pids = &specs.LinuxPids{Limit: &n}
	}
	return r
}

// swapAccounted reports whether swap can be limited: cgroup v1 knows it only
// on request at boot.
func swapAccounted() bool {
	if process.CgroupVersion() == 2 {
		return true
	}
	dir, err := process.CgroupDir("memory", "/")
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(dir, "memory.memsw.limit_in_bytes"))
	return err == nil
}

func addDevice(l *specs.Linux, d Device) error {
	var st unix.Stat_t
	if err := unix.Stat(d.Host, &st); err != nil {
		return fmt.Errorf("device %s: %w", d.Host, err)
	}
	kind := ""
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		kind = "c"
	case unix.S_IFBLK:
		kind = "b"
	default:
		return fmt.Errorf("device %s: not a device file", d.Host)
	}
	major, minor := int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev)))
	mode := os.FileMode(st.Mode & 0o777)
	task, access := d.Task, d.Permissions
	if task == "" {
		task = d.Host
	}
	if access == "" {
		access = "rwm"
	}
	l.Devices = append(l.Devices, specs.LinuxDevice{
		Path: task, Type: kind, Major: major, Minor: minor, FileMode: &mode, UID: &st.Uid, GID: &st.Gid})
	l.Resources.Devices = append(l.Resources.Devices, specs.LinuxDeviceCgroup{
		Allow: true, Type: kind, Major: &major, Minor: &minor, Access: access})
	return nil
}

// mounts lists them in the order in which they are made.
func (o *Options) mounts() ([]specs.Mount, error) {
	m := o.hostFiles()
	m = append(m,
		specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		specs.Mount{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
	)
	for _, mount := range o.Mounts {
		options := []string{"rbind"}
		switch mount.Propagation {
		case "", "private":
			options = append(options, "rprivate")
		case "host-to-task":
			options = append(options, "rslave")
		case "bidirectional":
			options = append(options, "rshared")
		default:
			return nil, fmt.Errorf("mount %s: unknown propagation %q: use private, host-to-task or bidirectional", mount.Host, mount.Propagation)
		}
		if mount.ReadOnly {
			options = append(options, "ro")
		}
		m = append(m, specs.Mount{Destination: filepath.Join("/", mount.Task), Type: "bind", Source: mount.Host, Options: options})
	}
	return m, nil
}

// hostFiles are the chroot table's entries as read-only mounts, outer ones
// first. What the host lacks is left out.
func (o *Options) hostFiles() []specs.Mount {
	readonly := []string{"rbind", "rprivate", "nosuid", "nodev", "rro"}
	if !mountSetattr() {
		readonly = []string{"bind", "private", "nosuid", "nodev", "ro"}
	}
	var m []specs.Mount
	for host, task := range o.Chroot {
		if _, err := os.Stat(host); err != nil {
			continue
		}
		m = append(m, specs.Mount{Destination: filepath.Join("/", task), Type: "bind", Source: host, Options: readonly})
	}
	slices.SortFunc(m, func(a, b specs.Mount) int { return strings.Compare(a.Destination, b.Destination) })
	return m
}

// mountSetattr reports whether mounts can be made read-only with all below
// them (Linux 5.12).
func mountSetattr() bool {
	return unix.MountSetattr(-1, "", 0, &unix.MountAttr{}) != unix.ENOSYS
}
