package feasible

import (
	"testing"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

func TestOperands(t *testing.T) {
	for _, c := range []struct {
		l, operand, r string
		want          bool
	}{
		{"a", "=", "a", true}, {"a", "==", "A", false}, {"a", "is", "a", true},
		{"a", "!=", "b", true}, {"a", "not", "a", false},
		{"5", "<", "10", true}, {"5", ">=", "05", true}, {"5", "<=", "5.0", true}, {"b", ">", "a", true}, {"10", "<", "9a", true},
		{"linux-6", "regexp", "^linux-[0-9]+$", true}, {"linux", "regexp", "in", true}, {"linux", "regexp", "(", false},
		{"1.2.3", "version", ">= 1.0, < 2.0", true}, {"1.2.3", "version", "~> 1.2.0", true}, {"1.3.0", "version", "~> 1.2.0", false},
		{"6.1.0-13-amd64", "version", ">= 0", false}, {"6.1.0-13-amd64", "semver", ">= 0.0.0", true}, {"x", "version", ">= 1", false},
		{"1.8.0-beta", "semver", "< 1.8.0", true}, {"1.8.0", "semver", ">= 1.8.0, < 2.0.0", true}, {"1.8.0", "semver", "!= 1.8.0", false},
		{"a, b,c", "set_contains", "c,a", true}, {"a,b", "set_contains_all", "a,d", false}, {"a,b", "set_contains", "a,", false},
		{"a,b", "set_contains_any", "d, b", true}, {"a,b", "set_contains_any", "d", false},
		{"a", "nonsense", "a", false},
	} {
		t.Run(c.l+" "+c.operand+" "+c.r, func(t *testing.T) {
			if got := Holds(c.operand, c.l, c.r, true, true); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestMissingValues(t *testing.T) {
	for _, c := range []struct {
		operand  string
		lok, rok bool
		want     bool
	}{
		{"=", false, true, false}, {"=", false, false, false},
		{"!=", false, true, true}, {"!=", true, false, true}, {"!=", false, false, false},
		{"<", false, true, false}, {"regexp", false, true, false}, {"set_contains_any", false, true, false},
		{"is_set", true, true, true}, {"is_set", false, true, false}, {"is_not_set", false, true, true}, {"is_not_set", true, true, false},
	} {
		if got := Holds(c.operand, "", "", c.lok, c.rok); got != c.want {
			t.Errorf("%s with %v, %v: %v", c.operand, c.lok, c.rok, got)
		}
	}
}

func TestTargets(t *testing.T) {
	n := &model.Node{
		ID: "id", Name: "name", Datacenter: "dc1", NodeClass: "big", NodePool: "pool",
		Attributes: map[string]string{"kernel.name": "linux", "unique.hostname": "h"}, Meta: map[string]string{"rack": "r1"},
	}
	for _, c := range []struct {
		text, want string
		ok, unique bool
	}{
		{"${node.unique.id}", "id", true, true}, {"${node.unique.name}", "name", true, true},
		{"${node.datacenter}", "dc1", true, false}, {"${node.class}", "big", true, false}, {"${node.pool}", "pool", true, false},
		{"${attr.kernel.name}", "linux", true, false}, {"${attr.unique.hostname}", "h", true, true},
		{"${meta.rack}", "r1", true, false}, {"${meta.none}", "", false, false}, {"${node.region}", "", false, false},
		{"x${meta.rack}", "x${meta.rack}", true, false}, {"plain", "plain", true, false},
	} {
		tg := parseTarget(c.text)
		if got, ok := tg.of(n); got != c.want || ok != c.ok || tg.unique != c.unique {
			t.Errorf("%s: %q %v unique %v", c.text, got, ok, tg.unique)
		}
	}
}

func TestReasons(t *testing.T) {
	node := func() *model.Node {
		return &model.Node{
			ID: "n", Attributes: map[string]string{"kernel.name": "linux"}, NodePool: "default",
			Drivers:     map[string]*model.DriverInfo{"exec": {Detected: true, Healthy: true}},
			HostVolumes: map[string]*model.HostVolumeConfig{"data": {}, "ro": {ReadOnly: true}},
			NodeResources: &model.NodeResources{NodeNetworks: []*model.NodeNetwork{
				{Mode: "bridge"}, {Mode: "host", Addresses: []model.NodeNetworkAddress{{Alias: "public", Address: "1.2.3.4"}}},
			}},
			Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
		}
	}
	for _, c := range []struct {
		name   string
		node   func(*model.Node)
		job    func(*model.Job)
		want   string
		escape bool
	}{
		{name: "fits"},
		{name: "constraint", want: "${attr.kernel.name} = windows", job: func(j *model.Job) {
			j.Constraints = []*model.Constraint{{LTarget: "${attr.kernel.name}", Operand: "=", RTarget: "windows"}}
		}},
		{name: "unique constraint", want: "${node.unique.id} = other", escape: true, job: func(j *model.Job) {
			j.TaskGroups[0].Constraints = []*model.Constraint{{LTarget: "${node.unique.id}", Operand: "=", RTarget: "other"}}
		}},
		{name: "task constraint", want: "${meta.x} is_set ", job: func(j *model.Job) {
			j.TaskGroups[0].Tasks[0].Constraints = []*model.Constraint{{LTarget: "${meta.x}", Operand: "is_set"}}
		}},
		{name: "unhealthy driver", want: ReasonDrivers, node: func(n *model.Node) { n.Drivers["exec"] = &model.DriverInfo{Detected: true} }},
		{name: "driver known as an attribute", node: func(n *model.Node) { n.Drivers = nil; n.Attributes["driver.exec"] = "1" }},
		{name: "volume", job: func(j *model.Job) {
			j.TaskGroups[0].Volumes = map[string]*model.VolumeRequest{"v": {Type: "host", Source: "data"}}
		}},
		{name: "read-only volume written", want: ReasonHostVolumes, job: func(j *model.Job) {
			j.TaskGroups[0].Volumes = map[string]*model.VolumeRequest{"v": {Type: "host", Source: "ro"}}
		}},
		{name: "network mode", job: func(j *model.Job) {
			j.TaskGroups[0].Networks = []*model.NetworkResource{{Mode: "bridge"}}
		}},
		{name: "missing network mode", want: ReasonNetwork, job: func(j *model.Job) {
			j.TaskGroups[0].Networks = []*model.NetworkResource{{Mode: "cni/x"}}
		}},
		{name: "host network", job: func(j *model.Job) {
			j.TaskGroups[0].Networks = []*model.NetworkResource{{DynamicPorts: []model.Port{{Label: "p", HostNetwork: "public"}}}}
		}},
		{name: "missing host network", want: `missing host network "secret" for port "p"`, job: func(j *model.Job) {
			j.TaskGroups[0].Networks = []*model.NetworkResource{{DynamicPorts: []model.Port{{Label: "p", HostNetwork: "secret"}}}}
		}},
		{name: "devices", want: ReasonDevices, job: func(j *model.Job) {
			j.TaskGroups[0].Tasks[0].Resources = &model.Resources{Devices: []*model.RequestedDevice{{Name: "gpu", Count: 1}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := node()
			if c.node != nil {
				c.node(n)
			}
			j := &model.Job{TaskGroups: []*model.TaskGroup{{Name: "g", Tasks: []*model.Task{{Name: "t", Driver: "exec"}}}}}
			if c.job != nil {
				c.job(j)
			}
			ed := cluster.New().Edit()
			ed.PutNode(n)
			v := ed.View()
			g := New(j, j.TaskGroups[0], v.Kinds())
			if got := g.Reason(0, v.At(0)); got != c.want || g.Escaped != c.escape {
				t.Errorf("reason %q, escaped %v", got, g.Escaped)
			}
		})
	}
}

func TestDeviceQuantities(t *testing.T) {
	text := "11 GiB"
	d := &model.NodeDevice{Vendor: "acme", Type: "gpu", Name: "x1", Attributes: map[string]*model.DeviceAttribute{"memory": {String: &text}}}
	for _, c := range []struct {
		l, operand, r string
		want          bool
	}{
		{"${device.attr.memory}", ">=", "10 GiB", true}, {"${device.attr.memory}", ">", "11263 MiB", true},
		{"${device.attr.memory}", ">", "12 GB", false}, {"${device.vendor}", "=", "acme", true}, {"${device.attr.none}", "=", "1", false},
	} {
		if got := deviceHolds(d, c.l, c.operand, c.r); got != c.want {
			t.Errorf("%s %s %s: %v", c.l, c.operand, c.r, got)
		}
	}
	for name, want := range map[string]bool{"gpu": true, "acme/gpu": true, "acme/gpu/x1": true, "acme/gpu/x2": false, "fpga": false} {
		if got := matchesDevice(&model.RequestedDevice{Name: name}, d); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzSemver(f *testing.F) {
	f.Add("1.2.3", ">= 1.0.0, < 2.0.0")
	f.Fuzz(func(t *testing.T, l, r string) { Holds(model.OpSemver, l, r, true, true) })
}
