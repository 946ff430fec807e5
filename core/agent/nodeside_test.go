package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/agent/config"
	"github.com/seraiproject/serai/core/node/pluginhost"
)

func TestPluginBlocks(t *testing.T) {
	c := config.Default()
	c.Client.Options = map[string]string{"driver.raw_exec.enable": "true"}
	c.Client.ChrootEnv = map[string]string{"/bin": "/bin"}
	c.Plugins = []*config.Plugin{{Name: "exec", Config: map[string]any{"no_pivot_root": true}}}
	want := []pluginhost.Block{
		{Name: "exec", Config: map[string]any{"no_pivot_root": true, "chroot_env": map[string]any{"/bin": "/bin"}}},
		{Name: "raw_exec", Config: map[string]any{"enabled": true}},
	}
	if diff := cmp.Diff(want, pluginBlocks(c)); diff != "" {
		t.Error(diff)
	}
	c.Plugins = []*config.Plugin{{Name: "raw_exec", Config: map[string]any{"enabled": false}}}
	if got := pluginBlocks(c)[0].Config["enabled"]; got != false {
		t.Error("a client option won over a plugin block")
	}
	if len(c.Plugins[0].Config) != 1 {
		t.Error("the configuration was changed")
	}
}

func TestCPUList(t *testing.T) {
	got, err := cpuList("0-2, 7")
	if diff := cmp.Diff([]uint16{0, 1, 2, 7}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range []string{"x", "3-1", "1-", "-"} {
		if _, err := cpuList(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestWithPort(t *testing.T) {
	got := withPort([]string{"a", "1.2.3.4:5", "[::1]:6", "::1", "[::1]"}, 7)
	if diff := cmp.Diff([]string{"a:7", "1.2.3.4:5", "[::1]:6", "[::1]:7", "[::1]:7"}, got); diff != "" {
		t.Error(diff)
	}
}
