package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// flatten lists the leaves of a redacted configuration, one "path = value" each.
func flatten(path string, v any, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(join(path, k), e, out)
		}
	case []any:
		for i, e := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), e, out)
		}
	default:
		if d, ok := v.(time.Duration); ok {
			v = d.String()
		}
		b, _ := json.Marshal(v)
		out[path] = string(b)
	}
}

// changes renders what differs from the defaults, and the warnings.
func changes(c *Config) string {
	before, after := map[string]string{}, map[string]string{}
	flatten("", Default().Redacted(), before)
	flatten("", c.Redacted(), after)
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(after)) {
		if before[k] != after[k] && !strings.HasPrefix(k, "Warnings") {
			fmt.Fprintf(&b, "%s = %s\n", k, after[k])
		}
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

func TestFiles(t *testing.T) {
	for _, dir := range []string{"good", "bad"} {
		files, err := filepath.Glob("testdata/" + dir + "/*")
		if err != nil || len(files) == 0 {
			t.Fatalf("no test files in %s: %v", dir, err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, ".golden") {
				continue
			}
			t.Run(path, func(t *testing.T) {
				c, err := Load(Options{Paths: []string{path}, Overrides: []Override{
					{"plugin_dir", "/opt/plugins"}, {"name", "node1"},
				}})
				got := ""
				if (err != nil) != (dir == "bad") {
					t.Fatalf("error: %v", err)
				}
				if err != nil {
					got = err.Error() + "\n"
				} else {
					got = changes(c)
				}
				golden(t, path+".golden", got)
			})
		}
	}
}

func TestFolderMerges(t *testing.T) {
	c, err := Load(Options{Paths: []string{"testdata/folder"}, Overrides: []Override{
		{"advertise.http", "10.0.0.1"}, {"advertise.rpc", "10.0.0.1"}, {"advertise.serf", "10.0.0.1"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"testdata/folder/10-base.hcl", "testdata/folder/20-more.json"}
	if diff := cmp.Diff(want, c.Files); diff != "" {
		t.Error("files:", diff)
	}
	if !c.Server.Enabled {
		t.Error("a later false switched a plain bool off")
	}
	if c.LogLevel != "WARN" {
		t.Error("an empty string overwrote the log level:", c.LogLevel)
	}
	if diff := cmp.Diff([]string{"one", "two"}, c.Client.Servers); diff != "" {
		t.Error("servers are appended:", diff)
	}
	p := c.Plugin("p")
	if diff := cmp.Diff(&Plugin{Name: "p", Args: []string{"1"}, Config: map[string]any{"b": int64(2)}}, p); diff != "" {
		t.Error("a later plugin config replaces, args stay:", diff)
	}
	if diff := cmp.Diff([]string{"x"}, c.Server.Join.StartJoin); diff != "" {
		t.Error("the old spelling moved to server_join:", diff)
	}
	if c.AdvertiseAddrs.RPC != "10.0.0.1:4647" {
		t.Error("advertise got no port:", c.AdvertiseAddrs.RPC)
	}
}

func TestSearchIsReplacedWhole(t *testing.T) {
	c := Default()
	if err := c.Apply("a.hcl", []byte(`server { search { limit_query = 5 } }`)); err != nil {
		t.Fatal(err)
	}
	if got := (Search{LimitQuery: 5}); c.Server.Search != got {
		t.Errorf("search is %+v", c.Server.Search)
	}
}

func TestOverrides(t *testing.T) {
	_, err := Load(Options{Dev: true, Overrides: []Override{
		{"client.meta.rack.row", "7"}, {"client.servers", "a"}, {"client.servers", "b:1"}, {"consul.address", "c:8500"},
		{"enable_debug", "false"}, {"client.gc_interval", "3m"}, {"server.join.bad", "x"},
	}})
	if err == nil || !strings.Contains(err.Error(), "unknown key server.join.bad") {
		t.Fatalf("error: %v", err)
	}
	c, err := Load(Options{Dev: true, Overrides: []Override{
		{"client.meta.rack.row", "7"}, {"client.servers", "a"}, {"client.servers", "b:1"}, {"consul.address", "c:8500"},
		{"enable_debug", "false"}, {"client.gc_interval", "3m"}, {"server.raft_multiplier", "2"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Client.Meta["rack.row"] != "7" || len(c.Client.Servers) != 2 || c.Consuls[0].Address != "c:8500" ||
		c.EnableDebug || c.Client.GCInterval != 3*time.Minute || c.Server.RaftMultiplier != 2 {
		t.Errorf("overrides were not applied: %+v", c.Client)
	}
}

func TestDev(t *testing.T) {
	c, err := Load(Options{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	if c.AdvertiseAddrs != (Addresses{"127.0.0.1:4646", "127.0.0.1:4647", "127.0.0.1:4648"}) {
		t.Errorf("advertise is %+v", c.AdvertiseAddrs)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings in development mode: %q", c.Warnings)
	}
	if filepath.Base(c.PluginDir) != "plugins" || !filepath.IsAbs(c.PluginDir) {
		t.Errorf("plugin_dir is %q", c.PluginDir)
	}
	c.DataDir = "/tmp/x"
	c.ResolveDirs()
	if c.Client.AllocDir != "/tmp/x/alloc" || c.Client.AllocMountsDir != "/tmp/alloc_mounts" {
		t.Errorf("folders are %q and %q", c.Client.AllocDir, c.Client.AllocMountsDir)
	}
}

func TestAddresses(t *testing.T) {
	for _, tc := range []struct{ name, hcl, want, err string }{
		{name: "loopback is refused", hcl: `bind_addr = "127.0.0.1"`, err: "Defaulting advertise to localhost is unsafe, please set advertise manually"},
		{name: "loopback with advertise", hcl: `bind_addr = "127.0.0.1"
			advertise { http = "127.0.0.1" rpc = "127.0.0.1:5000" serf = "127.0.0.1" }`, want: "127.0.0.1:4646 127.0.0.1:5000 127.0.0.1:4648"},
		{name: "template", hcl: `bind_addr = "{{ GetAllInterfaces | include \"flags\" \"loopback\" | include \"type\" \"IPv4\" | limit 1 | attr \"address\" }}"
			advertise { http = "h:1" rpc = "r:2" serf = "{{ \"10.1.1.1\" }}" }`, want: "h:1 r:2 10.1.1.1:4648"},
		{name: "bad template", hcl: `bind_addr = "{{ Nothing }}"`, err: "bind_addr: evaluate the template"},
		{name: "IPv6", hcl: `bind_addr = "2001:db8::1"`, want: "[2001:db8::1]:4646 [2001:db8::1]:4647 [2001:db8::1]:4648"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.hcl")
			if err := os.WriteFile(path, []byte("data_dir = \"/d\"\nserver { enabled = true }\n"+tc.hcl), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := Load(Options{Paths: []string{path}})
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := c.AdvertiseAddrs.HTTP + " " + c.AdvertiseAddrs.RPC + " " + c.AdvertiseAddrs.Serf; got != tc.want {
				t.Errorf("advertise is %s, want %s", got, tc.want)
			}
		})
	}
}

func TestRedacted(t *testing.T) {
	c := Default()
	c.Server.EncryptKey = "key"
	c.ACL.ReplicationToken = "token"
	text := fmt.Sprint(c.Redacted())
	if strings.Contains(text, "EncryptKey:key") || !strings.Contains(text, "EncryptKey:<redacted>") || strings.Contains(text, "ReplicationToken:token") {
		t.Error("secrets show:", text)
	}
	if b, err := json.Marshal(c.Redacted()); err != nil || len(b) < 1000 {
		t.Errorf("marshal: %v (%d bytes)", err, len(b))
	}
}

func TestGossipKey(t *testing.T) {
	s := Server{EncryptKey: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
	if len(s.GossipKey()) != 32 {
		t.Errorf("key is %v", s.GossipKey())
	}
}

// TestTags holds that every field can be reached from a file, or says why not,
// and that every tag is well formed.
func TestTags(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		keys := map[string]bool{}
		for i := range typ.NumField() {
			f := typ.Field(i)
			tg := parseTag(f)
			if tg.key == "" && !tg.label && !tg.rest {
				t.Errorf("%s.%s has no key", typ.Name(), f.Name)
			}
			if tg.key != "" && tg.key != "-" && keys[tg.key] {
				t.Errorf("%s: key %s twice", typ.Name(), tg.key)
			}
			keys[tg.key] = true
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[Config]())
	if len(seen) < 30 {
		t.Errorf("walked only %d types", len(seen))
	}
}

func FuzzApply(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*", "testdata/bad/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range files {
			if b, err := os.ReadFile(path); err == nil && !strings.HasSuffix(path, ".golden") {
				f.Add(b, strings.HasSuffix(path, ".json"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, asJSON bool) {
		name := "f.hcl"
		if asJSON {
			name = "f.json"
		}
		c := Default()
		err := c.Apply(name, src)
		if err != nil && !strings.HasPrefix(err.Error(), name) {
			t.Errorf("error without a position: %v", err)
		}
		if _, err := json.Marshal(c.Redacted()); err != nil {
			t.Errorf("result cannot be shown: %v", err)
		}
	})
}
