package model

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"time"
)

// What a document leaves out is settled here, at the door: each type with
// defaults decodes over a value that holds them. A null leaves the default.

// UnmarshalJSON decodes a job over the defaults of its type. Groups inherit
// the blocks that the job has for them (update, reschedule, migrate), field by
// field, and tasks the restart policy of their group.
func (j *Job) UnmarshalJSON(b []byte) error {
	var peek struct{ Type string }
	if err := json.Unmarshal(b, &peek); err != nil {
		return err
	}
	if peek.Type == "" {
		peek.Type = JobTypeService
	}
	type plain Job
	in := struct {
		*plain
		TaskGroups                  []json.RawMessage
		Update, Reschedule, Migrate json.RawMessage
	}{plain: (*plain)(j)}
	j.Type, j.Region, j.Namespace, j.Priority = peek.Type, DefaultRegion, DefaultNamespace, DefaultJobPriority
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if j.Type == "" {
		j.Type = peek.Type
	}
	inherit := inherited{jobType: j.Type, reschedule: in.Reschedule, migrate: in.Migrate}
	if given(in.Update) {
		j.Update = &UpdateStrategy{}
		if rolls(j.Type) {
			*j.Update = defaultUpdate()
		}
		if err := json.Unmarshal(in.Update, j.Update); err != nil {
			return err
		}
		// The stored job keeps only two members, the rest reading back as
		// zero; a block that is nothing but zeros is not inherited.
		if *j.Update != (UpdateStrategy{}) {
			inherit.update = in.Update
		}
	}
	if in.TaskGroups != nil {
		j.TaskGroups = make([]*TaskGroup, len(in.TaskGroups))
	}
	for i, raw := range in.TaskGroups {
		g := &TaskGroup{}
		if err := g.decode(raw, inherit); err != nil {
			return err
		}
		j.TaskGroups[i] = g
	}
	dropNulls(reflect.ValueOf(j).Elem())
	return nil
}

// dropNulls removes null elements from every list of blocks, and null blocks
// from maps, so that nothing after the door meets one.
func dropNulls(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			dropNulls(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			dropNulls(v.Field(i))
		}
	case reflect.Slice:
		kind := v.Type().Elem().Kind()
		if kind != reflect.Pointer && kind != reflect.Struct {
			return
		}
		kept := 0
		for i := range v.Len() {
			e := v.Index(i)
			if kind == reflect.Pointer && e.IsNil() {
				continue
			}
			dropNulls(e)
			v.Index(kept).Set(e)
			kept++
		}
		v.SetLen(kept)
	case reflect.Map:
		if v.Type().Elem().Kind() != reflect.Pointer {
			return
		}
		for it := v.MapRange(); it.Next(); {
			if it.Value().IsNil() {
				v.SetMapIndex(it.Key(), reflect.Value{})
			} else {
				dropNulls(it.Value())
			}
		}
	}
}

// inherited is what a job gives to its groups.
type inherited struct {
	jobType                     string
	update, reschedule, migrate json.RawMessage
}

// UnmarshalJSON decodes a group outside of a job, as of a service job.
func (g *TaskGroup) UnmarshalJSON(b []byte) error {
	return g.decode(b, inherited{jobType: JobTypeService})
}

func (g *TaskGroup) decode(b []byte, from inherited) error {
	type plain TaskGroup
	in := struct {
		*plain
		Count                                            *int
		Tasks                                            []json.RawMessage
		RestartPolicy, ReschedulePolicy, Update, Migrate json.RawMessage
	}{plain: (*plain)(g)}
	g.EphemeralDisk = &EphemeralDisk{SizeMB: defaultDiskMB}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	switch {
	case in.Count != nil:
		g.Count = *in.Count
	case g.Scaling != nil && g.Scaling.Min > 0:
		g.Count = int(g.Scaling.Min)
	default:
		g.Count = 1
	}
	if g.EphemeralDisk == nil {
		g.EphemeralDisk = &EphemeralDisk{SizeMB: defaultDiskMB}
	}

	restart := defaultRestart(from.jobType)
	if err := overlay(&restart, in.RestartPolicy); err != nil {
		return err
	}
	g.RestartPolicy = &restart

	reschedule := defaultReschedule(from.jobType)
	if reschedule == nil && (given(from.reschedule) || given(in.ReschedulePolicy)) {
		reschedule = &ReschedulePolicy{}
	}
	if reschedule != nil {
		if err := overlay(reschedule, from.reschedule, in.ReschedulePolicy); err != nil {
			return err
		}
	}
	g.ReschedulePolicy = reschedule

	if rolls(from.jobType) || given(from.update) || given(in.Update) {
		update := defaultUpdate()
		if err := overlay(&update, from.update, in.Update); err != nil {
			return err
		}
		g.Update = &update
	}
	if from.jobType == JobTypeService || given(from.migrate) || given(in.Migrate) {
		migrate := defaultMigrate()
		if err := overlay(&migrate, from.migrate, in.Migrate); err != nil {
			return err
		}
		g.Migrate = &migrate
	}

	if in.Tasks != nil {
		g.Tasks = make([]*Task, len(in.Tasks))
	}
	for i, raw := range in.Tasks {
		t := &Task{}
		if err := t.decode(raw, restart); err != nil {
			return err
		}
		g.Tasks[i] = t
	}
	return nil
}

// UnmarshalJSON decodes a task outside of a group, as of a service job.
func (t *Task) UnmarshalJSON(b []byte) error { return t.decode(b, defaultRestart(JobTypeService)) }

func (t *Task) decode(b []byte, restart RestartPolicy) error {
	type plain Task
	in := struct {
		*plain
		RestartPolicy json.RawMessage
	}{plain: (*plain)(t)}
	t.KillTimeout = defaultKillTimeout
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	if err := overlay(&restart, in.RestartPolicy); err != nil {
		return err
	}
	t.RestartPolicy = &restart
	if t.Resources == nil {
		t.Resources = defaultResources()
	}
	if t.LogConfig == nil {
		t.LogConfig = defaultLogConfig()
	}
	for k, v := range t.Config {
		t.Config[k] = settleNumbers(v)
	}
	return nil
}

// given reports whether a document has a value at a place.
func given(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null"))
}

// overlay decodes each of the given documents over v.
func overlay(v any, docs ...json.RawMessage) error {
	for _, d := range docs {
		if !given(d) {
			continue
		}
		if err := json.Unmarshal(d, v); err != nil {
			return err
		}
	}
	return nil
}

// settleNumbers turns whole numbers of an opaque document into integers, so
// that 600 does not become 600.0 on its way through the API.
func settleNumbers(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case map[string]any:
		for k, e := range v {
			v[k] = settleNumbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = settleNumbers(e)
		}
	}
	return v
}

// UnmarshalJSON gives a task that says nothing 100 MHz (unless it asks for
// cores) and 300 MB.
func (r *Resources) UnmarshalJSON(b []byte) error {
	type plain Resources
	in := struct {
		*plain
		CPU, Cores, MemoryMB *int
	}{plain: (*plain)(r)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	r.CPU, r.Cores, r.MemoryMB = defaultCPU, 0, defaultMemoryMB
	if in.Cores != nil {
		r.Cores, r.CPU = *in.Cores, 0
	}
	if in.CPU != nil {
		r.CPU = *in.CPU
	}
	if in.MemoryMB != nil {
		r.MemoryMB = *in.MemoryMB
	}
	return nil
}

// UnmarshalJSON decodes over the defaults.
func (d *EphemeralDisk) UnmarshalJSON(b []byte) error {
	type plain EphemeralDisk
	d.SizeMB = defaultDiskMB
	return json.Unmarshal(b, (*plain)(d))
}

// UnmarshalJSON decodes over the defaults.
func (l *LogConfig) UnmarshalJSON(b []byte) error {
	type plain LogConfig
	*l = *defaultLogConfig()
	return json.Unmarshal(b, (*plain)(l))
}

// UnmarshalJSON decodes over the defaults.
func (d *DisconnectStrategy) UnmarshalJSON(b []byte) error {
	type plain DisconnectStrategy
	d.Replace, d.Reconcile = true, "best_score"
	return json.Unmarshal(b, (*plain)(d))
}

// UnmarshalJSON decodes over the defaults.
func (c *Constraint) UnmarshalJSON(b []byte) error {
	type plain Constraint
	c.Operand = "="
	err := json.Unmarshal(b, (*plain)(c))
	if c.Operand == "" {
		c.Operand = "="
	}
	return err
}

// UnmarshalJSON decodes over the defaults.
func (a *Affinity) UnmarshalJSON(b []byte) error {
	type plain Affinity
	a.Operand, a.Weight = "=", 50
	return json.Unmarshal(b, (*plain)(a))
}

// UnmarshalJSON decodes over the defaults.
func (s *Spread) UnmarshalJSON(b []byte) error {
	type plain Spread
	s.Weight = 50
	return json.Unmarshal(b, (*plain)(s))
}

// UnmarshalJSON decodes over the defaults.
func (d *RequestedDevice) UnmarshalJSON(b []byte) error {
	type plain RequestedDevice
	d.Count = 1
	return json.Unmarshal(b, (*plain)(d))
}

// UnmarshalJSON decodes over the defaults.
func (p *Port) UnmarshalJSON(b []byte) error {
	type plain Port
	p.HostNetwork = "default"
	err := json.Unmarshal(b, (*plain)(p))
	if p.HostNetwork == "" {
		p.HostNetwork = "default"
	}
	return err
}

// UnmarshalJSON decodes over the defaults.
func (p *PeriodicConfig) UnmarshalJSON(b []byte) error {
	type plain PeriodicConfig
	p.Enabled, p.SpecType, p.TimeZone = true, "cron", "UTC"
	return json.Unmarshal(b, (*plain)(p))
}

// UnmarshalJSON decodes over the defaults.
func (p *ParameterizedJobConfig) UnmarshalJSON(b []byte) error {
	type plain ParameterizedJobConfig
	p.Payload = "optional"
	err := json.Unmarshal(b, (*plain)(p))
	if p.Payload == "" {
		p.Payload = "optional"
	}
	return err
}

// UnmarshalJSON decodes over the defaults.
func (s *ScalingPolicy) UnmarshalJSON(b []byte) error {
	type plain ScalingPolicy
	s.Enabled = true
	err := json.Unmarshal(b, (*plain)(s))
	for k, v := range s.Policy {
		s.Policy[k] = settleNumbers(v)
	}
	return err
}

// UnmarshalJSON decodes over the defaults.
func (v *VolumeMount) UnmarshalJSON(b []byte) error {
	type plain VolumeMount
	v.PropagationMode = "private"
	return json.Unmarshal(b, (*plain)(v))
}

// UnmarshalJSON decodes over the defaults.
func (c *CSIPluginConfig) UnmarshalJSON(b []byte) error {
	type plain CSIPluginConfig
	c.MountDir, c.StagePublishBaseDir, c.HealthTimeout = "/csi", "/local/csi", 30*time.Second
	return json.Unmarshal(b, (*plain)(c))
}

// UnmarshalJSON decodes over the defaults.
func (a *TaskArtifact) UnmarshalJSON(b []byte) error {
	type plain TaskArtifact
	a.GetterMode = "any"
	err := json.Unmarshal(b, (*plain)(a))
	if a.GetterMode == "" {
		a.GetterMode = "any"
	}
	return err
}

// UnmarshalJSON decodes over the defaults.
func (t *Template) UnmarshalJSON(b []byte) error {
	type plain Template
	t.ChangeMode, t.Splay, t.Perms, t.LeftDelim, t.RightDelim = "restart", 5*time.Second, "0644", "{{", "}}"
	return json.Unmarshal(b, (*plain)(t))
}

// UnmarshalJSON decodes over the defaults.
func (c *ChangeScript) UnmarshalJSON(b []byte) error {
	type plain ChangeScript
	c.Timeout = 5 * time.Second
	return json.Unmarshal(b, (*plain)(c))
}

// UnmarshalJSON decodes over the defaults.
func (v *Vault) UnmarshalJSON(b []byte) error {
	type plain Vault
	v.Env, v.ChangeMode, v.Cluster = true, "restart", "default"
	return json.Unmarshal(b, (*plain)(v))
}

// UnmarshalJSON decodes over the defaults.
func (c *Consul) UnmarshalJSON(b []byte) error {
	type plain Consul
	c.Cluster = "default"
	return json.Unmarshal(b, (*plain)(c))
}

// UnmarshalJSON decodes over the defaults and hands the service's
// CheckRestart, which is only ever written, down to its checks.
func (s *Service) UnmarshalJSON(b []byte) error {
	type plain Service
	s.Provider, s.AddressMode, s.OnUpdate, s.Cluster = ProviderConsul, "auto", "require_healthy", "default"
	in := struct {
		*plain
		CheckRestart *CheckRestart
	}{plain: (*plain)(s)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	for _, c := range s.Checks {
		if c.OnUpdate == "" {
			c.OnUpdate = s.OnUpdate
		}
		c.CheckRestart = mergeCheckRestart(in.CheckRestart, c.CheckRestart)
	}
	return nil
}

func mergeCheckRestart(service, check *CheckRestart) *CheckRestart {
	switch {
	case service == nil:
		return check
	case check == nil:
		return service.Clone()
	}
	m := *service
	if check.Limit > 0 {
		m.Limit = check.Limit
	}
	if check.Grace != 0 {
		m.Grace = check.Grace
	}
	m.IgnoreWarnings = m.IgnoreWarnings || check.IgnoreWarnings
	return &m
}

// UnmarshalJSON decodes over the defaults.
func (c *CheckRestart) UnmarshalJSON(b []byte) error {
	type plain CheckRestart
	c.Grace = time.Second
	return json.Unmarshal(b, (*plain)(c))
}

// UnmarshalJSON decodes over the defaults.
func (c *ConsulGatewayProxy) UnmarshalJSON(b []byte) error {
	type plain ConsulGatewayProxy
	timeout := 5 * time.Second
	c.ConnectTimeout = &timeout
	err := json.Unmarshal(b, (*plain)(c))
	for k, v := range c.Config {
		c.Config[k] = settleNumbers(v)
	}
	return err
}
