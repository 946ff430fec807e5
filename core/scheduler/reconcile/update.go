package reconcile

import (
	"maps"
	"reflect"
	"slices"
	"sort"

	"github.com/seraiproject/serai/core/model"
)

// Destructive reports whether the allocation has to be replaced for its group
// to become that of job, tg. Otherwise it can take the new version in place,
// if its node still qualifies.
func Destructive(a *model.Allocation, job *model.Job, tg *model.TaskGroup) bool {
	old := a.Group()
	if old == nil {
		return true
	}
	if len(old.Tasks) != len(tg.Tasks) ||
		!same(old.EphemeralDisk, tg.EphemeralDisk) ||
		!same(networks(old.Networks), networks(tg.Networks)) ||
		!same(old.Volumes, tg.Volumes) ||
		!same(mesh(old.Services), mesh(tg.Services)) {
		return true
	}
	for _, t := range tg.Tasks {
		was := old.Task(t.Name)
		if was == nil || taskDiffers(was, t) {
			return true
		}
		if !maps.Equal(merged(a.Job, old, was), merged(job, tg, t)) {
			return true
		}
		if renders(old, was) != renders(tg, t) {
			return true
		}
	}
	return false
}

// taskDiffers compares what a running task cannot be given anew.
func taskDiffers(a, b *model.Task) bool {
	return a.Driver != b.Driver || a.User != b.User ||
		!equalConfig(a.Config, b.Config) ||
		!same(a.Env, b.Env) ||
		!same(a.Lifecycle, b.Lifecycle) ||
		!same(a.Artifacts, b.Artifacts) ||
		!same(a.Vault, b.Vault) ||
		!same(a.Secrets, b.Secrets) ||
		!same(a.Templates, b.Templates) ||
		!same(a.CSIPluginConfig, b.CSIPluginConfig) ||
		!same(a.VolumeMounts, b.VolumeMounts) ||
		!same(a.Identity, b.Identity) || !same(a.Identities, b.Identities) ||
		(a.LogConfig != nil && a.LogConfig.Disabled) != (b.LogConfig != nil && b.LogConfig.Disabled) ||
		resourcesDiffer(a.Resources, b.Resources)
}

func resourcesDiffer(a, b *model.Resources) bool {
	if a == nil || b == nil {
		return a != b
	}
	return a.CPU != b.CPU || a.Cores != b.Cores || a.MemoryMB != b.MemoryMB || a.MemoryMaxMB != b.MemoryMaxMB ||
		a.SecretsMB != b.SecretsMB || !same(a.Devices, b.Devices) || !same(a.NUMA, b.NUMA) ||
		!same(networks(a.Networks), networks(b.Networks))
}

// same compares two values of one type; an empty list or map is as good as
// none.
func same(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	switch x.Kind() {
	case reflect.Map, reflect.Slice:
		if x.Len() == 0 && y.Len() == 0 {
			return true
		}
	}
	return reflect.DeepEqual(a, b)
}

// networks returns what of networks matters, in an order of its own.
func networks(all []*model.NetworkResource) []model.NetworkResource {
	out := make([]model.NetworkResource, 0, len(all))
	for _, n := range all {
		c := *n
		c.ReservedPorts = portsOf(n.ReservedPorts)
		c.DynamicPorts = portsOf(n.DynamicPorts)
		out = append(out, c)
	}
	return out
}

func portsOf(ports []model.Port) []model.Port {
	c := slices.Clone(ports)
	for i := range c {
		c[i].IgnoreCollision = false // takes effect with the next placement
		if c[i].HostNetwork == "" {
			c[i].HostNetwork = "default"
		}
	}
	sort.Slice(c, func(i, j int) bool { return c[i].Label < c[j].Label })
	if len(c) == 0 {
		return nil
	}
	return c
}

// mesh returns the service mesh settings of services by name.
func mesh(services []*model.Service) map[string]*model.ConsulConnect {
	var m map[string]*model.ConsulConnect
	for _, s := range services {
		if s.Connect != nil {
			if m == nil {
				m = map[string]*model.ConsulConnect{}
			}
			m[s.Name] = s.Connect
		}
	}
	return m
}

// merged is the meta that a task sees.
func merged(job *model.Job, tg *model.TaskGroup, t *model.Task) map[string]string {
	m := make(map[string]string, len(job.Meta)+len(tg.Meta)+len(t.Meta))
	maps.Copy(m, job.Meta)
	maps.Copy(m, tg.Meta)
	maps.Copy(m, t.Meta)
	return m
}

func renders(tg *model.TaskGroup, t *model.Task) bool {
	if t.RestartPolicy != nil {
		return t.RestartPolicy.RenderTemplates
	}
	return tg.RestartPolicy != nil && tg.RestartPolicy.RenderTemplates
}

// equalConfig compares driver configuration. A key without value is as good as
// none; numbers are equal by value, whatever Go type decoding gave them.
func equalConfig(a, b map[string]any) bool {
	for k, v := range a {
		if !equalValue(v, b[k]) {
			return false
		}
	}
	for k, v := range b {
		if _, ok := a[k]; !ok && v != nil {
			return false
		}
	}
	return true
}

func equalValue(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && equalConfig(a, b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalValue)
	}
	return reflect.DeepEqual(a, b)
}

func number(v any) (float64, bool) {
	r := reflect.ValueOf(v)
	switch {
	case !r.IsValid():
		return 0, false
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanUint():
		return float64(r.Uint()), true
	case r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}
