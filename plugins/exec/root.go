package exec

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seraiproject/serai/plugins/exec/container"
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process/supervised"
)

// containerOptions puts together what the container is to be. Files made for
// it (resolv.conf, hosts) go to stateDir.
func containerOptions(s *settings, plan plan, task *driver.TaskConfig, config *TaskConfig, stateDir string) (*container.Options, error) {
	dirs := driver.Dirs(task)
	o := &container.Options{
		Root: dirs.Task, Chroot: s.chroot, Dir: plan.dir,
		Capabilities: plan.capabilities, Ambient: plan.added,
		HostPID: plan.hostPID, HostIPC: plan.hostIPC,
		NetworkNamespace: task.GetNetworkIsolationSpec().GetPath(),
		Hostname:         task.GetNetworkIsolationSpec().GetHostsConfig().GetHostname(),
		CgroupPath:       supervised.CgroupName(Name, stateDir),
		Limits:           supervised.Limits(task),
	}
	o.Limits.PIDs = s.PIDsLimit
	user, err := supervised.LookupUser(cmp.Or(task.GetUser(), "nobody"), "/etc/passwd", "/etc/group")
	if err != nil {
		return nil, err
	}
	if err := s.denied.Check(user.Credential); err != nil {
		return nil, err
	}
	o.User = user.Credential
	o.Env = environment(task, user)
	o.Mounts = []container.Mount{
		{Host: dirs.Shared, Task: "/alloc"},
		{Host: dirs.Logs, Task: "/alloc/logs"},
	}
	for _, m := range task.GetMounts() {
		o.Mounts = append(o.Mounts, container.Mount{Host: m.GetHostPath(), Task: m.GetTaskPath(), ReadOnly: m.GetReadonly(), Propagation: m.GetPropagationMode()})
	}
	for _, d := range task.GetDevices() {
		o.Devices = append(o.Devices, container.Device{Host: d.GetHostPath(), Task: d.GetTaskPath(), Permissions: d.GetCgroupPermissions()})
	}
	files, err := networkFiles(task, s.chroot, stateDir)
	if err != nil {
		return nil, err
	}
	o.Mounts = append(o.Mounts, files...)
	path, err := lookup{Root: o.Root, Chroot: o.Chroot, Mounts: o.Mounts}.find(config.Command)
	if err != nil {
		return nil, err
	}
	o.Args = append([]string{path}, config.Args...)
	return o, nil
}

// environment adds what a login would set.
func environment(task *driver.TaskConfig, user *supervised.User) []string {
	env := supervised.Environment(task, "HOME", "USER", "LOGNAME")
	home := cmp.Or(user.Home, "/")
	env = append(env, "HOME="+home)
	if user.Name != "" {
		env = append(env, "LOGNAME="+user.Name, "USER="+user.Name)
	}
	if !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "PATH=") }) {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return env
}

// networkFiles makes the task's resolv.conf and hosts where they differ from
// the host's, as mounts over those.
func networkFiles(task *driver.TaskConfig, chroot map[string]string, stateDir string) ([]container.Mount, error) {
	var mounts []container.Mount
	add := func(name, content string) error {
		path := filepath.Join(stateDir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return fmt.Errorf("write the task's %s: %w", name, err)
		}
		// State is out of the task's reach, this file is not.
		if err := os.Chmod(path, 0o644); err != nil {
			return err
		}
		mounts = append(mounts, container.Mount{Host: path, Task: "/etc/" + name, ReadOnly: true})
		return nil
	}
	if dns := task.GetDns(); len(dns.GetServers())+len(dns.GetSearches())+len(dns.GetOptions()) > 0 {
		var b strings.Builder
		for _, server := range dns.GetServers() {
			fmt.Fprintf(&b, "nameserver %s\n", server)
		}
		if len(dns.GetSearches()) > 0 {
			fmt.Fprintf(&b, "search %s\n", strings.Join(dns.GetSearches(), " "))
		}
		if len(dns.GetOptions()) > 0 {
			fmt.Fprintf(&b, "options %s\n", strings.Join(dns.GetOptions(), " "))
		}
		if err := add("resolv.conf", b.String()); err != nil {
			return nil, err
		}
	} else if real, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil && real != "/etc/resolv.conf" && chroot["/etc"] == "/etc" {
		if _, inside := insideChroot(chroot, real); !inside {
			mounts = append(mounts, container.Mount{Host: real, Task: "/etc/resolv.conf", ReadOnly: true})
		}
	}
	if hosts := task.GetNetworkIsolationSpec().GetHostsConfig(); hosts.GetAddress() != "" {
		content := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n" + hosts.GetAddress() + " " + hosts.GetHostname() + "\n"
		if err := add("hosts", content); err != nil {
			return nil, err
		}
	}
	return mounts, nil
}

// insideChroot translates a host path to the task's, if the table shows it.
func insideChroot(chroot map[string]string, host string) (string, bool) {
	for from, to := range chroot {
		if rel, err := filepath.Rel(from, host); err == nil && !strings.HasPrefix(rel, "..") {
			return filepath.Join("/", to, rel), true
		}
	}
	return "", false
}

// lookup finds commands as job files mean them.
type lookup struct {
	Root   string            `json:"root"`
	Chroot map[string]string `json:"chroot"`
	Mounts []container.Mount `json:"mounts"`
}

// errNotFound says that a command is nowhere in the container.
var errNotFound = errors.New("no such executable file in the task's root")

// find returns the path of a command inside the container. Symbolic links
// are not followed into the task's own directory from outside, so a hit is a
// promise only for the host's programs; the execution itself has the last
// word.
func (l lookup) find(command string) (string, error) {
	if filepath.IsAbs(command) {
		return command, nil
	}
	candidates := []string{filepath.Join("/local", command), filepath.Join("/", command)}
	for _, m := range l.Mounts {
		candidates = append(candidates, filepath.Join("/", m.Task, command))
	}
	for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/bin"} {
		candidates = append(candidates, filepath.Join(dir, command))
	}
	for _, path := range candidates {
		if info, err := os.Stat(l.host(path)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("command %q: %w: looked in local/, the task's directory, its mounts, /usr/local/bin, /usr/bin and /bin", command, errNotFound)
}

// host translates a path inside the container to the host's: the longest
// matching mount decides.
func (l lookup) host(path string) string {
	best, real := -1, filepath.Join(l.Root, path)
	consider := func(at, host string) {
		at = filepath.Join("/", at)
		if rel, err := filepath.Rel(at, path); err == nil && !strings.HasPrefix(rel, "..") && len(at) > best {
			best, real = len(at), filepath.Join(host, rel)
		}
	}
	for host, at := range l.Chroot {
		consider(at, host)
	}
	for _, m := range l.Mounts {
		consider(m.Task, m.Host)
	}
	return real
}
