package rawexec

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Config is the plugin's configuration.
type Config struct {
	// Enabled lets tasks run. Without it the driver is undetected: a task of
	// this driver can do whatever the agent's user can.
	Enabled bool `config:"enabled" default:"false"`
	// DeniedHostUIDs and DeniedHostGIDs are numbers and ranges ("0,1000-1999")
	// that no task may run as.
	DeniedHostUIDs string `config:"denied_host_uids"`
	DeniedHostGIDs string `config:"denied_host_gids"`
	// DeniedEnvvars are names, or patterns with * at an end, of environment
	// variables that no task gets to see.
	DeniedEnvvars []string `config:"denied_envvars"`
}

// TaskConfig is the config block of a task.
type TaskConfig struct {
	// Command is a path, or a name that is looked for in the task's local
	// directory, its own directory, and the agent's PATH.
	Command string `config:"command,required"`
	// Args are the command's arguments, as they are: there is no shell.
	Args []string `config:"args"`
	// CgroupV1Override maps cgroup v1 controllers to existing cgroups
	// (relative to the controller's mount) to run in instead of the task's own.
	CgroupV1Override []map[string]string `config:"cgroup_v1_override"`
	// CgroupV2Override is the same for cgroup v2.
	CgroupV2Override string `config:"cgroup_v2_override"`
	// OOMScoreAdj (0 to 1000) makes the kernel choose the task earlier when
	// memory runs out.
	OOMScoreAdj int `config:"oom_score_adj" default:"0"`
	// WorkDir is the working directory, absolute; the task's own if empty.
	WorkDir string `config:"work_dir"`
	// DeniedEnvvars adds to the plugin's list.
	DeniedEnvvars []string `config:"denied_envvars"`
}

func (c *TaskConfig) validate() error {
	var errs []error
	if c.Command == "" {
		errs = append(errs, errors.New("command: must not be empty"))
	}
	if len(c.CgroupV1Override) > 0 && c.CgroupV2Override != "" {
		errs = append(errs, errors.New("cgroup_v1_override: excludes cgroup_v2_override, set only one"))
	}
	if c.OOMScoreAdj < 0 || c.OOMScoreAdj > 1000 {
		errs = append(errs, fmt.Errorf("oom_score_adj: %d is outside 0..1000", c.OOMScoreAdj))
	}
	if c.WorkDir != "" && !filepath.IsAbs(c.WorkDir) {
		errs = append(errs, fmt.Errorf("work_dir: %q is not an absolute path", c.WorkDir))
	}
	return errors.Join(errs...)
}
