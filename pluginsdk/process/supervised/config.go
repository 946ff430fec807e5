package supervised

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

// StateFolder is where a driver's tasks keep their state: on a file system
// that need not survive the machine, out of the tasks' reach.
func StateFolder(driverName string) string {
	if os.Geteuid() == 0 {
		return filepath.Join("/run/serai", driverName)
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "serai", driverName)
	}
	return filepath.Join(os.TempDir(), "serai-"+strconv.Itoa(os.Geteuid()), driverName)
}

// CgroupName is the name of a task's cgroup, unique through its state
// directory.
func CgroupName(driverName, stateDir string) string {
	instance := filepath.Base(filepath.Dir(stateDir)) + "-" + filepath.Base(stateDir)
	if process.CgroupVersion() == 2 {
		return "serai.slice/" + driverName + "-" + instance + ".scope"
	}
	return "serai/" + driverName + "/" + instance
}

// Limits are the task's, from what the host sent. A negative memory_max means
// no limit.
func Limits(t *driver.TaskConfig) process.Limits {
	linux := t.GetResources().GetLinuxResources()
	allocated := t.GetResources().GetAllocatedResources().GetMemory()
	l := process.Limits{CPUShares: uint64(max(0, linux.GetCpuShares())), CPUs: linux.GetCpusetCpus()}
	if l.CPUShares > 0 {
		l.CPUShares = min(max(l.CPUShares, 2), 262144)
	}
	if allocated.GetMemoryMaxMb() >= 0 {
		l.MemoryBytes = max(0, linux.GetMemoryLimitBytes())
	}
	if reserve := allocated.GetMemoryMb() << 20; reserve > 0 && reserve < l.MemoryBytes {
		l.MemoryReserveBytes = reserve
	}
	return l
}

// NewCgroup makes a task's cgroup with its limits.
func NewCgroup(driverName, stateDir string, t *driver.TaskConfig) (*process.Cgroup, error) {
	c, err := process.NewCgroup(CgroupName(driverName, stateDir), Limits(t))
	if err != nil {
		return nil, err
	}
	// On cgroup v1 a host may prepare a cpuset. On v2 the list of processors
	// is a limit of the task's own cgroup.
	dir := t.GetResources().GetLinuxResources().GetCpusetCgroup()
	if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); dir != "" && err == nil && process.CgroupVersion() == 1 {
		c.Joined = append(c.Joined, dir)
	}
	return c, nil
}

// Environment is the task's, sorted, without the variables that a pattern of
// denied names ("AWS_*", "*_TOKEN", "HOME").
func Environment(t *driver.TaskConfig, denied ...string) []string {
	env := make([]string, 0, len(t.GetEnv()))
	for _, key := range slices.Sorted(maps.Keys(t.GetEnv())) {
		if !slices.ContainsFunc(denied, func(p string) bool { return matches(p, key) }) {
			env = append(env, key+"="+t.GetEnv()[key])
		}
	}
	return env
}

// matches knows a wildcard at the beginning and at the end.
func matches(pattern, key string) bool {
	before, prefixed := strings.CutSuffix(pattern, "*")
	after, suffixed := strings.CutPrefix(before, "*")
	switch {
	case prefixed && suffixed:
		return strings.Contains(key, after)
	case prefixed:
		return strings.HasPrefix(key, before)
	case suffixed:
		return strings.HasSuffix(key, after)
	}
	return pattern == key
}

// User is an entry of the user database.
type User struct {
	process.Credential
	// Name is empty for a number that the database does not know.
	Name, Home string
}

// LookupUser finds a user ("nobody", "1000", "www:video") in passwd and group
// files.
func LookupUser(name, passwd, group string) (*User, error) {
	u, err := user.GetExecUserPath(name, nil, passwd, group)
	if err != nil {
		return nil, fmt.Errorf("find user %q: %w", name, err)
	}
	found := &User{Credential: process.Credential{UID: uint32(u.Uid), GID: uint32(u.Gid)}, Home: u.Home}
	for _, g := range u.Sgids {
		found.Groups = append(found.Groups, uint32(g))
	}
	entries, err := user.ParsePasswdFileFilter(passwd, func(e user.User) bool { return e.Uid == u.Uid })
	if err == nil && len(entries) > 0 {
		found.Name = entries[0].Name
	}
	return found, nil
}

// IDRanges is a list of user or group numbers such as "0,1000-1999".
type IDRanges []struct{ First, Last uint32 }

// ParseIDRanges reads a list; an empty text is an empty list.
func ParseIDRanges(text string) (IDRanges, error) {
	var ranges IDRanges
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(strings.TrimSpace(from), 10, 32)
		last, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 32)
		if err1 != nil || err2 != nil || last < first {
			errs = append(errs, fmt.Errorf("%q is not a number or a range such as 1000-1999", part))
			continue
		}
		ranges = append(ranges, struct{ First, Last uint32 }{uint32(first), uint32(last)})
	}
	return ranges, errors.Join(errs...)
}

// Contains reports whether id is in the list.
func (r IDRanges) Contains(id uint32) bool {
	for _, v := range r {
		if v.First <= id && id <= v.Last {
			return true
		}
	}
	return false
}

// Denied are users and groups that tasks may not run as.
type Denied struct{ UIDs, GIDs IDRanges }

// ParseDenied reads the plugin options denied_host_uids and denied_host_gids.
func ParseDenied(uids, gids string) (Denied, error) {
	u, err1 := ParseIDRanges(uids)
	g, err2 := ParseIDRanges(gids)
	if err1 != nil {
		err1 = fmt.Errorf("denied_host_uids: %w", err1)
	}
	if err2 != nil {
		err2 = fmt.Errorf("denied_host_gids: %w", err2)
	}
	return Denied{UIDs: u, GIDs: g}, errors.Join(err1, err2)
}

// Check returns an error if a task may not run as c.
func (d Denied) Check(c process.Credential) error {
	if d.UIDs.Contains(c.UID) {
		return fmt.Errorf("running as user id %d is denied by the plugin option denied_host_uids", c.UID)
	}
	for _, g := range append([]uint32{c.GID}, c.Groups...) {
		if d.GIDs.Contains(g) {
			return fmt.Errorf("running as group id %d is denied by the plugin option denied_host_gids", g)
		}
	}
	return nil
}
