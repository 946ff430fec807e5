package model

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Canonicalize settles what registration adds to a job: names that default to
// other names, empty lists and maps that mean nothing, members that the
// servers drop, and the constraints that other blocks imply. It changes j.
// Doing it twice changes nothing more.
func (j *Job) Canonicalize() {
	orDefault(&j.Name, string(j.ID))
	orDefault(&j.Namespace, DefaultNamespace)
	orDefault(&j.Region, DefaultRegion)
	orDefault(&j.Type, JobTypeService)
	orDefault(&j.NodePool, DefaultNodePool)
	if j.Priority == 0 {
		j.Priority = DefaultJobPriority
	}
	if len(j.Datacenters) == 0 {
		j.Datacenters = []string{"*"}
	}
	nilEmptyMap(&j.Meta)
	nilEmpty(&j.Constraints)
	nilEmpty(&j.Affinities)
	nilEmpty(&j.Spreads)
	if rolls(j.Type) {
		u := defaultUpdate()
		if j.Update != nil {
			u = *j.Update
		}
		j.Update = &UpdateStrategy{Stagger: u.Stagger, MaxParallel: u.MaxParallel}
	}
	for _, g := range j.TaskGroups {
		g.canonicalize(j)
	}
}

func (g *TaskGroup) canonicalize(j *Job) {
	nilEmptyMap(&g.Meta)
	nilEmptyMap(&g.Volumes)
	nilEmpty(&g.Constraints)
	nilEmpty(&g.Affinities)
	nilEmpty(&g.Spreads)
	nilEmpty(&g.Services)
	nilEmpty(&g.Networks)
	g.StopAfterClientDisconnect, g.MaxClientDisconnect = nil, nil
	if g.EphemeralDisk == nil {
		g.EphemeralDisk = &EphemeralDisk{SizeMB: defaultDiskMB}
	}
	if g.RestartPolicy == nil {
		p := defaultRestart(j.Type)
		g.RestartPolicy = &p
	}
	if g.ReschedulePolicy == nil {
		g.ReschedulePolicy = defaultReschedule(j.Type)
	}
	if g.Update == nil && rolls(j.Type) {
		u := defaultUpdate()
		g.Update = &u
	}
	if g.Migrate == nil && j.Type == JobTypeService {
		m := defaultMigrate()
		g.Migrate = &m
	}
	for name, v := range g.Volumes {
		orDefault(&v.Name, name)
	}
	if g.Scaling != nil {
		g.Scaling.Target = map[string]string{"Namespace": j.Namespace, "Job": string(j.ID), "Group": g.Name}
		orDefault(&g.Scaling.Type, "horizontal")
	}
	for _, t := range g.Tasks {
		t.canonicalize(j, g)
	}
	for _, s := range g.Services {
		s.canonicalize(j, j.Name+"-"+g.Name)
	}
	g.imply()
}

func (t *Task) canonicalize(j *Job, g *TaskGroup) {
	nilEmptyMap(&t.Meta)
	nilEmptyMap(&t.Env)
	nilEmpty(&t.Constraints)
	nilEmpty(&t.Affinities)
	nilEmpty(&t.Services)
	nilEmpty(&t.Templates)
	nilEmpty(&t.Artifacts)
	nilEmpty(&t.VolumeMounts)
	maps.DeleteFunc(t.Config, func(_ string, v any) bool { return v == nil })
	nilEmptyMap(&t.Config)
	if t.KillTimeout == 0 {
		t.KillTimeout = defaultKillTimeout
	}
	if t.Resources == nil {
		t.Resources = defaultResources()
	}
	if t.LogConfig == nil {
		t.LogConfig = defaultLogConfig()
	}
	if t.RestartPolicy == nil {
		t.RestartPolicy = g.RestartPolicy.Clone()
	}
	if t.Identity == nil {
		t.Identity = &WorkloadIdentity{}
	}
	t.Identity.Name, t.Identity.Audience = "default", []string{"nomadproject.io"}
	if t.Vault != nil {
		t.Vault.Policies = nil
		if t.Vault.ChangeMode == "signal" {
			orDefault(&t.Vault.ChangeSignal, "SIGHUP")
		}
	}
	for _, tm := range t.Templates {
		if tm.ChangeMode == "signal" {
			orDefault(&tm.ChangeSignal, "SIGHUP")
		}
		tm.ChangeSignal = strings.ToUpper(tm.ChangeSignal)
	}
	for _, a := range t.Artifacts {
		if a.RelativeDest == "" {
			a.RelativeDest = "local/"
			if a.GetterMode == "file" {
				a.RelativeDest += a.GetterSource[strings.LastIndexByte(a.GetterSource, '/')+1:]
			}
		}
	}
	for _, s := range t.Services {
		s.canonicalize(j, j.Name+"-"+g.Name+"-"+t.Name)
		orDefault(&s.TaskName, t.Name)
	}
}

func (s *Service) canonicalize(j *Job, base string) {
	s.Name = strings.NewReplacer("${JOB}", j.Name, "${BASE}", base).Replace(s.Name)
	orDefault(&s.Name, base)
	orDefault(&s.Provider, ProviderConsul)
	orDefault(&s.AddressMode, "auto")
	orDefault(&s.OnUpdate, "require_healthy")
	orDefault(&s.Cluster, "default")
	s.Namespace = j.Namespace
	if s.Provider == ProviderConsul {
		s.Namespace = orEmpty(j.ConsulNamespace, "default")
	}
	nilEmpty(&s.Tags)
	nilEmpty(&s.CanaryTags)
	nilEmpty(&s.Checks)
	nilEmptyMap(&s.Meta)
	nilEmptyMap(&s.CanaryMeta)
	for _, c := range s.Checks {
		orDefault(&c.Name, `service: "`+s.Name+`" check`)
		orDefault(&c.OnUpdate, s.OnUpdate)
		if c.TaskName == "" {
			c.TaskName = s.TaskName
		}
		c.SuccessBeforePassing = max(c.SuccessBeforePassing, 0)
		c.FailuresBeforeCritical = max(c.FailuresBeforeCritical, 0)
		c.FailuresBeforeWarning = max(c.FailuresBeforeWarning, 0)
	}
	if w := s.Weights; w != nil {
		w.Passing, w.Warning = max(w.Passing, 1), max(w.Warning, 1)
	}
}

// imply appends the constraints that a group's blocks need of a node.
func (g *TaskGroup) imply() {
	signals := map[string]bool{}
	for _, t := range g.Tasks {
		if t.KillSignal != "" {
			signals[t.KillSignal] = true
		}
		for _, tm := range t.Templates {
			if tm.ChangeMode == "signal" {
				signals[tm.ChangeSignal] = true
			}
		}
		if t.Vault != nil {
			if t.Vault.ChangeMode == "signal" {
				signals[t.Vault.ChangeSignal] = true
			}
			g.need("${attr.vault.version}", OpSemver, ">= 0.6.1")
		}
		for _, s := range t.Secrets {
			g.need("${attr.plugins.secrets."+s.Provider+".version}", OpIsSet, "")
		}
		if len(t.Identities) > 0 {
			g.need("${attr.nomad.version}", OpSemver, ">= 1.7.0-a")
		}
		for _, s := range t.Services {
			if s.Provider == ProviderConsul {
				addConstraint(&t.Constraints, "${attr.consul.version}", OpSemver, ">= 1.8.0")
			} else {
				g.needService(s)
			}
		}
		if t.Consul != nil && t.Consul.Partition != "" {
			addConstraint(&t.Constraints, "${attr.consul.partition}", "=", t.Consul.Partition)
		}
	}
	if len(signals) > 0 {
		g.need("${attr.os.signals}", OpSetContains, strings.Join(slices.Sorted(maps.Keys(signals)), ","))
	}
	for _, s := range g.Services {
		if s.Provider == ProviderConsul {
			g.need("${attr.consul.version}", OpSemver, ">= 1.8.0")
		} else {
			g.needService(s)
		}
	}
	for _, n := range g.Networks {
		if n.Mode == "bridge" {
			for _, p := range []string{"bridge", "firewall", "host-local", "loopback", "portmap"} {
				g.need("${attr.plugins.cni.version."+p+"}", OpSemver, ">= 0.4.0")
			}
		}
	}
}

func (g *TaskGroup) needService(s *Service) {
	g.need("${attr.nomad.service_discovery}", "=", "true")
	if len(s.Checks) > 0 {
		g.need("${attr.nomad.version}", OpSemver, ">= 1.4.0")
	}
}

func (g *TaskGroup) need(target, operand, value string) {
	addConstraint(&g.Constraints, target, operand, value)
}

func addConstraint(to *[]*Constraint, target, operand, value string) {
	want := Constraint{LTarget: target, RTarget: value, Operand: operand}
	for _, c := range *to {
		if *c == want {
			return
		}
	}
	*to = append(*to, &want)
}

func orDefault[T ~string](v *T, def T) {
	if *v == "" {
		*v = def
	}
}

func orEmpty(v, def string) string {
	if v == "" {
		return def
	}
	return v
}

func nilEmpty[T any](s *[]T) {
	if len(*s) == 0 {
		*s = nil
	}
}

func nilEmptyMap[K comparable, V any](m *map[K]V) {
	if len(*m) == 0 {
		*m = nil
	}
}

// LongestKillTimeout is the time that stopping the group may take, without
// shutdown delays.
func (g *TaskGroup) LongestKillTimeout() time.Duration {
	var d time.Duration
	for _, t := range g.Tasks {
		d = max(d, t.KillTimeout)
	}
	return d
}
