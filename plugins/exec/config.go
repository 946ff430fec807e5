package exec

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seraiproject/serai/pluginsdk/process/supervised"
)

// Config is the plugin's configuration.
type Config struct {
	// DefaultPIDMode and DefaultIPCMode hold for tasks that say nothing:
	// "private" or "host".
	DefaultPIDMode string `config:"default_pid_mode" default:"private"`
	DefaultIPCMode string `config:"default_ipc_mode" default:"private"`
	// AllowCaps are the capabilities that tasks may have.
	AllowCaps []string `config:"allow_caps" default:"[\"audit_write\",\"chown\",\"dac_override\",\"fowner\",\"fsetid\",\"kill\",\"mknod\",\"net_bind_service\",\"setfcap\",\"setgid\",\"setpcap\",\"setuid\",\"sys_chroot\"]"`
	// NoPivotRoot is for machines whose root is an initial RAM disk.
	NoPivotRoot bool `config:"no_pivot_root" default:"false"`
	// DeniedHostUIDs and DeniedHostGIDs are numbers and ranges ("0,1000-1999")
	// that no task may run as.
	DeniedHostUIDs string `config:"denied_host_uids"`
	DeniedHostGIDs string `config:"denied_host_gids"`
	// ChrootEnv maps host paths to where tasks see them, read-only. It
	// replaces the default table.
	ChrootEnv map[string]string `config:"chroot_env"`
	// PIDsLimit is the most processes and threads that a task may have; 0 is
	// no limit.
	PIDsLimit int64 `config:"pids_limit" default:"16384"`
}

// TaskConfig is the config block of a task.
type TaskConfig struct {
	// Command is a path inside the task's root, or a name that is looked for
	// in local/, the task's directory, its mounts, and the bin directories.
	Command string `config:"command,required"`
	// Args are the command's arguments, as they are: there is no shell.
	Args []string `config:"args"`
	// PIDMode and IPCMode are "private" or "host"; empty means the plugin's
	// default.
	PIDMode string `config:"pid_mode"`
	IPCMode string `config:"ipc_mode"`
	// CapAdd and CapDrop change the capabilities, within allow_caps.
	CapAdd  []string `config:"cap_add"`
	CapDrop []string `config:"cap_drop"`
	// WorkDir is the working directory inside the task's root, absolute.
	WorkDir string `config:"work_dir"`
}

// hostTree is the chroot table without a chroot_env.
var hostTree = map[string]string{
	"/bin": "/bin", "/etc": "/etc", "/lib": "/lib", "/lib32": "/lib32", "/lib64": "/lib64",
	"/run/resolvconf": "/run/resolvconf", "/sbin": "/sbin", "/usr": "/usr",
}

// settings are a checked Config.
type settings struct {
	Config
	allowed []string // capabilities in canonical form
	denied  supervised.Denied
	chroot  map[string]string
}

func (c *Config) settings() (*settings, error) {
	s := &settings{Config: *c, chroot: c.ChrootEnv}
	var errs []error
	check := func(field, mode string) {
		if err := checkMode(mode); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	check("default_pid_mode", c.DefaultPIDMode)
	check("default_ipc_mode", c.DefaultIPCMode)
	var err error
	if s.allowed, err = capabilitySet(c.AllowCaps, allCapabilities()); err != nil {
		errs = append(errs, fmt.Errorf("allow_caps: %w", err))
	}
	if s.denied, err = supervised.ParseDenied(c.DeniedHostUIDs, c.DeniedHostGIDs); err != nil {
		errs = append(errs, err)
	}
	if len(s.chroot) == 0 {
		s.chroot = hostTree
	}
	for host := range s.chroot {
		if !filepath.IsAbs(host) {
			errs = append(errs, fmt.Errorf("chroot_env: %q is not an absolute path", host))
		}
	}
	if c.PIDsLimit < 0 {
		errs = append(errs, fmt.Errorf("pids_limit: %d is negative", c.PIDsLimit))
	}
	return s, errors.Join(errs...)
}

func checkMode(mode string) error {
	switch mode {
	case "private", "host":
		return nil
	}
	return fmt.Errorf("%q is unknown: use private or host", mode)
}

// plan is a checked TaskConfig.
type plan struct {
	hostPID, hostIPC bool
	// capabilities is what the task may have, added what its job asked for.
	capabilities, added []string
	dir                 string
}

func (c *TaskConfig) plan(s *settings) (plan, error) {
	var p plan
	var errs []error
	host := func(field, mode, fallback string) bool {
		if mode == "" {
			mode = fallback
		}
		if err := checkMode(mode); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
		return mode == "host"
	}
	if c.Command == "" {
		errs = append(errs, errors.New("command: must not be empty"))
	}
	p.hostPID = host("pid_mode", c.PIDMode, s.DefaultPIDMode)
	p.hostIPC = host("ipc_mode", c.IPCMode, s.DefaultIPCMode)
	p.dir = "/"
	if c.WorkDir != "" {
		p.dir = c.WorkDir
		if !filepath.IsAbs(c.WorkDir) {
			errs = append(errs, fmt.Errorf("work_dir: %q is not an absolute path", c.WorkDir))
		}
	}
	added, err := capabilitySet(c.CapAdd, s.allowed)
	if err != nil {
		errs = append(errs, fmt.Errorf("cap_add: %w", err))
	}
	dropped, err := capabilitySet(c.CapDrop, allCapabilities())
	if err != nil {
		errs = append(errs, fmt.Errorf("cap_drop: %w", err))
	}
	for _, name := range added {
		if !slices.Contains(s.allowed, name) {
			errs = append(errs, fmt.Errorf("cap_add: %s is not among the plugin's allow_caps (%s)",
				shortCapability(name), strings.Join(shortCapabilities(s.allowed), ", ")))
		}
	}
	p.capabilities, p.added = taskCapabilities(s.allowed, added, dropped)
	return p, errors.Join(errs...)
}
