package taskenv

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/seraiproject/serai/core/model"
)

var update = flag.Bool("update", false, "rewrite golden files")

func config() *Config {
	task := &model.Task{
		Name: "web", Driver: "raw_exec",
		Meta: map[string]string{"dash-key": "${node.class}", "dotted.key": "d", "owner": "task"},
		Env: map[string]string{
			"A": "a:${B}", "B": "b:${C}", "C": "c", "SELF": "x${SELF}", "LOOP1": "${LOOP2}", "LOOP2": "${LOOP1}",
			"NODE":  "${node.unique.name} in ${node.datacenter}, ${attr.kernel.name}, ${meta.rack}",
			"PORT":  "${NOMAD_PORT_my-port} ${NOMAD_PORT_my_port} ${NOMAD_META_dash-key}",
			"SPACE": `${ A } ${env["A"]} ${unknown.name} $${A}`, "E-F": "verbatim", "INHERITED": "${PATH}",
			"NESTED": "${meta.${node.class}}", "NOMAD_REGION": "overridden",
		},
	}
	job := &model.Job{
		ID: "shop/dispatch-1", Name: "shop", Namespace: "default", ParentID: "shop",
		Meta: map[string]string{"owner": "job", "tier": "gold"},
		TaskGroups: []*model.TaskGroup{{
			Name: "front", Meta: map[string]string{"owner": "group"}, Tasks: []*model.Task{task},
		}},
	}
	return &Config{
		Region: "eu", Task: task,
		Node: &model.Node{
			ID: "11111111-2222-3333-4444-555555555555", Name: "n1", Datacenter: "dc1", NodeClass: "big", NodePool: "default",
			Attributes: map[string]string{
				"kernel.name": "linux", "driver.docker": "1", "driver.docker.version": "27.0", "unique.network.ip-address": "10.0.0.1",
			},
			Meta: map[string]string{"rack": "r1", "big": "yes"},
		},
		Alloc: &model.Allocation{
			ID: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", Name: "shop/dispatch-1.front[3]", Namespace: "default",
			JobID: job.ID, Job: job, TaskGroup: "front",
			AllocatedResources: &model.AllocatedResources{
				Tasks: map[string]*model.AllocatedTaskResources{
					"web": {
						Cpu:    model.AllocatedCPU{CpuShares: 500, ReservedCores: []uint16{7, 0, 1, 2}},
						Memory: model.AllocatedMemory{MemoryMB: 256, MemoryMaxMB: 512},
					},
					"db": {Networks: []*model.NetworkResource{{IP: "10.0.0.1", DynamicPorts: []model.Port{{Label: "sql", Value: 23000}}}}},
				},
				Shared: model.AllocatedSharedResources{Ports: []model.PortMapping{
					{Label: "http", Value: 20001, To: 8080, HostIP: "10.0.0.1"},
					{Label: "my-port", Value: 20002, To: -1, HostIP: "10.0.0.1"},
					{Label: "v6", Value: 20003, HostIP: "fd00::1"},
				}},
			},
		},
		AllocDir: "/alloc", TaskDir: "/local", SecretsDir: "/secrets", ParentCgroup: "nomad.slice",
		Host:   map[string]string{"PATH": "/bin:/usr/bin", "HOME": "/root"},
		Device: map[string]string{"GPU": "0"},
	}
}

func TestEnvironment(t *testing.T) {
	plain := config()
	plain.Alloc.AllocatedResources.Tasks["web"].Cpu.ReservedCores = nil
	plain.Alloc.AllocatedResources.Tasks["web"].Memory.MemoryMaxMB = 0
	plain.Alloc.AllocatedResources.Shared.Ports = nil
	plain.Alloc.AllocatedResources.Shared.Networks = []*model.NetworkResource{{IP: "10.9.9.9", ReservedPorts: []model.Port{{Label: "db", Value: 5432}}}}
	plain.Alloc.Job.ParentID = ""
	plain.Host = nil
	for name, c := range map[string]*Config{"full": config(), "plain": plain} {
		t.Run(name, func(t *testing.T) {
			m := New(c).Map()
			var b strings.Builder
			for _, k := range slices.Sorted(maps.Keys(m)) {
				fmt.Fprintf(&b, "%s=%q\n", k, m[k])
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestVariables(t *testing.T) {
	vars := New(config()).Variables()
	for _, c := range []struct{ in, want, fails string }{
		{in: `${NOMAD_PORT_http}:${node.class}`, want: "8080:big"},
		{in: `${attr.driver.docker.version} ${attr.unique.network.ip-address}`, want: "27.0 10.0.0.1"},
		{in: `${env["E-F"]} ${env.NOMAD_DC} ${ A }`, want: "verbatim dc1 a:b:c"},
		{in: `${NOMAD_PORT_my-port} ${NOMAD_PORT_my_port} ${NOMAD_META_dotted.key}`, want: "20002 20002 d"},
		{in: `${node.datacenter == "dc1" ? "yes" : "no"}`, want: "yes"},
		{in: `${PATH}`, want: "/bin:/usr/bin"},
		{in: `$${literal}`, want: "${literal}"},
		{in: `${nothing}`, fails: "no variable named"},
		{in: `${attr.nothing}`, fails: "does not have an attribute named"},
	} {
		t.Run(c.in, func(t *testing.T) {
			expr, diags := hclsyntax.ParseTemplate([]byte(c.in), "config", hcl.InitialPos)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			v, diags := expr.Value(&hcl.EvalContext{Variables: vars})
			if c.fails != "" {
				if !strings.Contains(diags.Error(), c.fails) {
					t.Errorf("got %v, want error with %q", diags, c.fails)
				}
				return
			}
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if got := v.AsString(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestReplaceLeavesTheRestAlone(t *testing.T) {
	e := New(config())
	for in, want := range map[string]string{
		"":                           "",
		"${":                         "${",
		"${}":                        "${}",
		"$${node.class}":             "$big",
		"${NOMAD_TASK_NAME}-${nope}": "web-${nope}",
		"${meta.${node.class}}":      "${meta.big}",
	} {
		if got := e.Replace(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
