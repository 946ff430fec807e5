package exec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/plugins/exec/container"
)

func TestTaskCapabilities(t *testing.T) {
	cases := []struct {
		name                    string
		allowed, added, dropped []string
		may, ambient            []string
	}{
		{"default", defaultCapabilities, nil, nil, defaultCapabilities, []string{"CAP_NET_BIND_SERVICE"}},
		{"nothing allowed", nil, nil, nil, nil, nil},
		{"allowed is not yet given", []string{"CAP_SYS_TIME"}, nil, nil, nil, nil},
		{"asked for", []string{"CAP_KILL", "CAP_SYS_TIME"}, []string{"CAP_SYS_TIME"}, nil, []string{"CAP_KILL", "CAP_SYS_TIME"}, []string{"CAP_SYS_TIME"}},
		{"dropped wins", []string{"CAP_KILL"}, []string{"CAP_KILL"}, []string{"CAP_KILL"}, nil, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			may, ambient := taskCapabilities(c.allowed, c.added, c.dropped)
			if d := cmp.Diff(c.may, may); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.ambient, ambient); d != "" {
				t.Errorf("ambient: %s", d)
			}
		})
	}
	got, err := capabilitySet([]string{"chown", "CAP_KILL", " Net_Raw ", "kill"}, nil)
	if d := cmp.Diff([]string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"}, got); err != nil || d != "" {
		t.Error(err, d)
	}
	if got, err := capabilitySet([]string{"all"}, []string{"CAP_KILL"}); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
}

func TestSettingsReportAllFaults(t *testing.T) {
	_, err := (&Config{DefaultPIDMode: "x", DefaultIPCMode: "y", AllowCaps: []string{"fly"}, DeniedHostUIDs: "z",
		ChrootEnv: map[string]string{"bin": "/bin"}, PIDsLimit: -1}).settings()
	for _, field := range []string{"default_pid_mode", "default_ipc_mode", "allow_caps", "denied_host_uids", "chroot_env", "pids_limit"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("no %s in %v", field, err)
		}
	}
}

func TestLookup(t *testing.T) {
	root, tools, data := t.TempDir(), t.TempDir(), t.TempDir()
	program := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	program(root+"/local/mine", 0o755)
	program(root+"/local/data.txt", 0o644)
	program(root+"/here", 0o755)
	program(tools+"/bin/tool", 0o755)
	program(tools+"/bin/mine", 0o755)
	program(data+"/mounted", 0o755)
	l := lookup{Root: root, Chroot: map[string]string{tools: "/usr"}, Mounts: []container.Mount{{Host: data, Task: "/data"}}}
	cases := []struct{ command, want string }{
		{"/any/path", "/any/path"}, {"mine", "/local/mine"}, {"here", "/here"}, {"local/mine", "/local/mine"},
		{"tool", "/usr/bin/tool"}, {"mounted", "/data/mounted"}, {"data.txt", ""}, {"absent", ""},
	}
	for _, c := range cases {
		got, err := l.find(c.command)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, %v", c.command, got, err)
		}
	}
}

func TestInsideChroot(t *testing.T) {
	table := map[string]string{"/etc": "/etc", "/opt/tools": "/usr"}
	for host, want := range map[string]string{"/etc/hosts": "/etc/hosts", "/opt/tools/x": "/usr/x", "/run/x": "", "/etcetera": ""} {
		got, ok := insideChroot(table, host)
		if got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", host, got, ok)
		}
	}
}
