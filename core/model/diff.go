package model

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DiffJobs compares two versions of a job, either of which may be nil. With
// annotations from a dry run, the result also says what the change does: counts
// per group, and notes on fields and tasks.
func DiffJobs(old, updated *Job, annotations *PlanAnnotations) *JobDiff {
	d := &JobDiff{Type: diffType(old == nil, updated == nil)}
	if updated != nil {
		d.ID = updated.ID
	} else if old != nil {
		d.ID = old.ID
	}
	a, b := indirect(old), indirect(updated)
	d.Fields = fieldDiffs(a, b, jobFields, false)
	d.Objects = objectDiffs(a, b)
	var oldGroups, newGroups []*TaskGroup
	if old != nil {
		oldGroups = old.TaskGroups
	}
	if updated != nil {
		newGroups = updated.TaskGroups
	}
	for _, pair := range pairUp(oldGroups, newGroups, func(g *TaskGroup) string { return g.Name }) {
		d.TaskGroups = append(d.TaskGroups, diffGroups(pair[0], pair[1]))
	}
	if d.Type == DiffEdited && len(d.Fields) == 0 && len(d.Objects) == 0 &&
		!slices.ContainsFunc(d.TaskGroups, func(g *TaskGroupDiff) bool { return g.Type != DiffNone }) {
		d.Type = DiffNone
	}
	annotate(d, annotations)
	return d
}

func diffGroups(old, updated *TaskGroup) *TaskGroupDiff {
	d := &TaskGroupDiff{Type: diffType(old == nil, updated == nil)}
	var oldTasks, newTasks []*Task
	if old != nil {
		d.Name, oldTasks = old.Name, old.Tasks
	}
	if updated != nil {
		d.Name, newTasks = updated.Name, updated.Tasks
	}
	a, b := indirect(old), indirect(updated)
	d.Fields = fieldDiffs(a, b, fieldRule{}, false)
	d.Objects = objectDiffs(a, b)
	for _, pair := range pairUp(oldTasks, newTasks, func(t *Task) string { return t.Name }) {
		d.Tasks = append(d.Tasks, diffTasks(pair[0], pair[1]))
	}
	if d.Type == DiffEdited && len(d.Fields) == 0 && len(d.Objects) == 0 &&
		!slices.ContainsFunc(d.Tasks, func(t *TaskDiff) bool { return t.Type != DiffNone }) &&
		reflect.DeepEqual(old.Spreads, updated.Spreads) {
		d.Type = DiffNone
	}
	return d
}

func diffTasks(old, updated *Task) *TaskDiff {
	d := &TaskDiff{Type: diffType(old == nil, updated == nil)}
	if old != nil {
		d.Name = old.Name
	}
	if updated != nil {
		d.Name = updated.Name
	}
	a, b := indirect(old), indirect(updated)
	d.Fields = fieldDiffs(a, b, fieldRule{}, false)
	d.Objects = objectDiffs(a, b)
	if d.Type == DiffEdited && len(d.Fields) == 0 && len(d.Objects) == 0 && !quietTaskChange(old, updated) {
		d.Type = DiffNone
	}
	return d
}

// quietTaskChange reports a change that is annotated though nothing of it is
// shown.
func quietTaskChange(old, updated *Task) bool {
	return !reflect.DeepEqual(old.RestartPolicy, updated.RestartPolicy) ||
		!reflect.DeepEqual(old.ScalingPolicies, updated.ScalingPolicies) ||
		!reflect.DeepEqual(old.CSIPluginConfig, updated.CSIPluginConfig)
}

// fieldRule says which plain members of a struct are left out of a diff.
type fieldRule struct{ skip []string }

var jobFields = fieldRule{skip: []string{
	"ID", "Status", "StatusDescription", "Version", "Stable", "CreateIndex", "ModifyIndex", "JobModifyIndex",
	"SubmitTime", "NomadTokenID", "Payload", "ConsulNamespace", "VaultNamespace", "Dispatched", "DispatchIdempotencyToken",
}}

// How the elements of a list are matched.
const (
	single  = iota // one block, or none
	asSet          // equal elements match; the rest is added or deleted
	byKey          // elements with the same key member match
	strList        // a list of strings
	opaque         // a driver's own configuration
)

// An objectRule says how one member of a struct is shown. Members that have no
// rule are not shown.
type objectRule struct {
	field, name string
	match       int
	key         string
	skip        []string // plain members that are not shown
}

// objectRules lists, in the order they are shown, the blocks of each struct.
var objectRules = map[reflect.Type][]objectRule{
	reflect.TypeFor[Job](): {
		{field: "Datacenters", name: "Datacenters", match: strList},
		{field: "Constraints", name: "Constraint", match: asSet},
		{field: "Affinities", name: "Affinity", match: asSet},
		{field: "Periodic", name: "Periodic"},
		{field: "ParameterizedJob", name: "ParameterizedJob"},
		{field: "Multiregion", name: "Multiregion"},
		{field: "UI", name: "UI"},
	},
	reflect.TypeFor[PeriodicConfig]():         {{field: "Specs", name: "Specs", match: strList}},
	reflect.TypeFor[ParameterizedJobConfig](): {{field: "MetaRequired", name: "MetaRequired", match: strList}, {field: "MetaOptional", name: "MetaOptional", match: strList}},
	reflect.TypeFor[JobUI]():                  {{field: "Links", name: "Link", match: asSet}},
	reflect.TypeFor[Multiregion](): {
		{field: "Strategy", name: "Strategy"},
		{field: "Regions", name: "Region", match: byKey, key: "Name"},
	},
	reflect.TypeFor[TaskGroup](): {
		{field: "Constraints", name: "Constraint", match: asSet},
		{field: "Affinities", name: "Affinity", match: asSet},
		{field: "RestartPolicy", name: "RestartPolicy"},
		{field: "ReschedulePolicy", name: "ReschedulePolicy"},
		{field: "Migrate", name: "Migrate"},
		{field: "Disconnect", name: "Disconnect"},
		{field: "EphemeralDisk", name: "EphemeralDisk"},
		{field: "Update", name: "Update", skip: []string{"Stagger"}},
		{field: "Networks", name: "Network", match: asSet},
		{field: "Services", name: "Service", match: byKey, key: "Name"},
		{field: "Volumes", name: "Volume", match: byKey, key: "Name"},
		{field: "Scaling", name: "Scaling", skip: []string{"ID", "CreateIndex", "ModifyIndex"}},
		{field: "Consul", name: "Consul"},
	},
	reflect.TypeFor[ScalingPolicy](): {{field: "Policy", name: "Policy", match: opaque}},
	reflect.TypeFor[NetworkResource](): {
		{field: "ReservedPorts", name: "Static Port", match: asSet},
		{field: "DynamicPorts", name: "Dynamic Port", match: asSet},
		{field: "DNS", name: "DNS"},
		{field: "CNI", name: "CNIConfig"},
	},
	reflect.TypeFor[DNSConfig](): {
		{field: "Servers", name: "Servers", match: strList},
		{field: "Searches", name: "Searches", match: strList},
		{field: "Options", name: "Options", match: strList},
	},
	reflect.TypeFor[VolumeRequest](): {{field: "MountOptions", name: "MountOptions"}},
	reflect.TypeFor[Service](): {
		{field: "CanaryTags", name: "CanaryTags", match: strList},
		{field: "Tags", name: "Tags", match: strList},
		{field: "Checks", name: "Check", match: byKey, key: "Name"},
		{field: "Connect", name: "ConsulConnect"},
		{field: "Identity", name: "Identity"},
		{field: "Weights", name: "Weights"},
	},
	reflect.TypeFor[ServiceCheck](): {
		{field: "Args", name: "Args", match: strList},
		{field: "CheckRestart", name: "CheckRestart"},
	},
	reflect.TypeFor[ConsulConnect](): {
		{field: "SidecarService", name: "SidecarService"},
		{field: "SidecarTask", name: "SidecarTask"},
		{field: "Gateway", name: "Gateway"},
	},
	reflect.TypeFor[ConsulSidecarService](): {
		{field: "Tags", name: "Tags", match: strList},
		{field: "Proxy", name: "ConsulProxy"},
	},
	reflect.TypeFor[ConsulProxy](): {
		{field: "Upstreams", name: "ConsulUpstreams", match: byKey, key: "DestinationName"},
		{field: "Expose", name: "Expose"},
		{field: "TransparentProxy", name: "TransparentProxy"},
		{field: "Config", name: "Config", match: opaque},
	},
	reflect.TypeFor[ConsulExpose](): {{field: "Paths", name: "Paths", match: asSet}},
	reflect.TypeFor[SidecarTask](): {
		{field: "Resources", name: "Resources"},
		{field: "LogConfig", name: "LogConfig"},
		{field: "Config", name: "Config", match: opaque},
	},
	reflect.TypeFor[ConsulGateway](): {
		{field: "Proxy", name: "Proxy"},
		{field: "Ingress", name: "Ingress"},
	},
	reflect.TypeFor[ConsulGatewayProxy](): {{field: "EnvoyGatewayBindAddresses", name: "EnvoyGatewayBindAddresses", match: byKey, key: "Name"}},
	reflect.TypeFor[ConsulIngress]():      {{field: "TLS", name: "TLS"}, {field: "Listeners", name: "Listener", match: asSet}},
	reflect.TypeFor[ConsulIngressListener](): {
		{field: "Services", name: "ConsulIngressService", match: byKey, key: "Name"},
	},
	reflect.TypeFor[ConsulIngressService](): {{field: "Hosts", name: "Hosts", match: strList}},
	reflect.TypeFor[Task](): {
		{field: "Config", name: "Config", match: opaque},
		{field: "Constraints", name: "Constraint", match: asSet},
		{field: "Affinities", name: "Affinity", match: asSet},
		{field: "Resources", name: "Resources"},
		{field: "LogConfig", name: "LogConfig"},
		{field: "DispatchPayload", name: "DispatchPayload"},
		{field: "Artifacts", name: "Artifact", match: asSet},
		{field: "Templates", name: "Template", match: asSet},
		{field: "VolumeMounts", name: "VolumeMount", match: asSet},
		{field: "Vault", name: "Vault"},
		{field: "Consul", name: "Consul"},
		{field: "Secrets", name: "Secret", match: byKey, key: "Name"},
		{field: "Identity", name: "Identity"},
		{field: "Identities", name: "Identity", match: byKey, key: "Name"},
		{field: "Actions", name: "Action", match: byKey, key: "Name"},
		{field: "Services", name: "Service", match: byKey, key: "Name"},
	},
	reflect.TypeFor[Resources](): {
		{field: "Networks", name: "Network", match: asSet},
		{field: "Devices", name: "Device", match: byKey, key: "Name"},
		{field: "NUMA", name: "NUMA"},
	},
	reflect.TypeFor[RequestedDevice](): {
		{field: "Constraints", name: "Constraint", match: asSet},
		{field: "Affinities", name: "Affinity", match: asSet},
	},
	reflect.TypeFor[Template](): {
		{field: "ChangeScript", name: "ChangeScript"},
		{field: "Wait", name: "Template"},
	},
	reflect.TypeFor[ChangeScript](): {{field: "Args", name: "Args", match: strList}},
	reflect.TypeFor[WorkloadIdentity](): {
		{field: "Audience", name: "Audience", match: strList},
		{field: "ExtraClaims", name: "ExtraClaims", match: strList},
	},
	reflect.TypeFor[Action](): {{field: "Args", name: "Args", match: strList}},
	reflect.TypeFor[Secret](): {{field: "Config", name: "Config", match: opaque}},
}

// objectDiffs compares the blocks of two structs of one type. Either may be
// invalid, that is, not there.
func objectDiffs(a, b reflect.Value) []*ObjectDiff {
	t := typeOf(a, b)
	var out []*ObjectDiff
	for _, r := range objectRules[t] {
		af, bf := member(a, r.field), member(b, r.field)
		switch r.match {
		case single:
			if d := diffObject(r, deref(af), deref(bf)); d != nil {
				out = append(out, d)
			}
		case strList:
			if d := diffStrings(r.name, af, bf); d != nil {
				out = append(out, d)
			}
		case opaque:
			old, updated := map[string]string{}, map[string]string{}
			flattenAny(old, "", anyOf(af))
			flattenAny(updated, "", anyOf(bf))
			if d := diffMaps(r.name, old, updated, false); d != nil {
				out = append(out, d)
			}
		case asSet:
			out = append(out, diffSet(r, elements(af), elements(bf))...)
		case byKey:
			out = append(out, diffKeyed(r, elements(af), elements(bf))...)
		}
	}
	return out
}

// diffObject compares one block; nil when there is no difference.
func diffObject(r objectRule, a, b reflect.Value) *ObjectDiff {
	if !a.IsValid() && !b.IsValid() {
		return nil
	}
	d := &ObjectDiff{Type: diffType(!a.IsValid(), !b.IsValid()), Name: r.name}
	d.Objects = objectDiffs(a, b)
	changed := fieldDiffs(a, b, fieldRule{r.skip}, false)
	if d.Type == DiffEdited {
		if len(changed) == 0 && len(d.Objects) == 0 {
			return nil
		}
		d.Fields = fieldDiffs(a, b, fieldRule{r.skip}, true)
		return d
	}
	d.Fields = changed
	return d
}

func diffSet(r objectRule, a, b []reflect.Value) []*ObjectDiff {
	left := slices.Clone(a)
	var added []reflect.Value
	for _, n := range b {
		i := slices.IndexFunc(left, func(o reflect.Value) bool {
			return reflect.DeepEqual(o.Interface(), n.Interface())
		})
		if i < 0 {
			added = append(added, n)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	var none reflect.Value
	var out []*ObjectDiff
	for _, n := range added {
		out = append(out, diffObject(r, none, n))
	}
	for _, o := range left {
		out = append(out, diffObject(r, o, none))
	}
	return out
}

func diffKeyed(r objectRule, a, b []reflect.Value) []*ObjectDiff {
	key := func(v reflect.Value) string { return v.FieldByName(r.key).String() }
	var added, edited, deleted []*ObjectDiff
	var none reflect.Value
	left := slices.Clone(a)
	for _, n := range b {
		i := slices.IndexFunc(left, func(o reflect.Value) bool { return key(o) == key(n) })
		if i < 0 {
			added = append(added, diffObject(r, none, n))
			continue
		}
		if d := diffObject(r, left[i], n); d != nil {
			edited = append(edited, d)
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, o := range left {
		deleted = append(deleted, diffObject(r, o, none))
	}
	return append(append(added, edited...), deleted...)
}

func diffStrings(name string, a, b reflect.Value) *ObjectDiff {
	old, updated := stringsOf(a), stringsOf(b)
	var added, kept, deleted []*FieldDiff
	left := slices.Clone(old)
	for _, n := range updated {
		if i := slices.Index(left, n); i >= 0 {
			left = slices.Delete(left, i, i+1)
			kept = append(kept, &FieldDiff{Type: DiffNone, Name: name, Old: n, New: n})
			continue
		}
		added = append(added, &FieldDiff{Type: DiffAdded, Name: name, New: n})
	}
	for _, o := range left {
		deleted = append(deleted, &FieldDiff{Type: DiffDeleted, Name: name, Old: o})
	}
	if len(added)+len(deleted) == 0 {
		return nil
	}
	d := &ObjectDiff{Type: diffType(len(old) == 0, len(updated) == 0), Name: name}
	for _, list := range [][]*FieldDiff{added, kept, deleted} {
		slices.SortStableFunc(list, func(x, y *FieldDiff) int { return cmp.Compare(x.Old+x.New, y.Old+y.New) })
		d.Fields = append(d.Fields, list...)
	}
	return d
}

// fieldDiffs compares the plain members of two structs. With context the
// unchanged are there too.
func fieldDiffs(a, b reflect.Value, rule fieldRule, context bool) []*FieldDiff {
	d := diffMaps("", flatten(a, rule), flatten(b, rule), context)
	if d == nil {
		return nil
	}
	return d.Fields
}

func diffMaps(name string, old, updated map[string]string, context bool) *ObjectDiff {
	keys := slices.Collect(maps.Keys(old))
	for k := range updated {
		if _, ok := old[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	d, changed := &ObjectDiff{Name: name}, false
	for _, k := range keys {
		o, wasThere := old[k]
		n, isThere := updated[k]
		f := &FieldDiff{Name: k, Old: o, New: n, Type: diffType(!wasThere || o == "", !isThere || n == "")}
		if o == n {
			f.Type = DiffNone
			if !context {
				continue
			}
		} else {
			changed = true
		}
		d.Fields = append(d.Fields, f)
	}
	if !changed && !context {
		return nil
	}
	d.Type = diffType(len(old) == 0, len(updated) == 0)
	return d
}

// flatten renders the plain members of a struct, and its maps of strings, as
// text by name.
func flatten(v reflect.Value, rule fieldRule) map[string]string {
	out := map[string]string{}
	if !v.IsValid() {
		return out
	}
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if slices.Contains(rule.skip, f.Name) || strings.HasPrefix(f.Tag.Get("json"), "-") {
			continue
		}
		fv := v.Field(i)
		if fv.Kind() == reflect.Map {
			switch m := fv.Interface().(type) {
			case map[string]string:
				for k, e := range m {
					out[f.Name+"["+k+"]"] = e
				}
			case map[string][]string:
				for k, list := range m {
					out[f.Name+"["+k+"]"] = strings.Join(list, ",")
				}
			}
			continue
		}
		if text, ok := plainText(fv); ok {
			out[f.Name] = text
		}
	}
	return out
}

// plainText renders a value that is not a block.
func plainText(v reflect.Value) (string, bool) {
	if v.Kind() == reflect.Pointer {
		switch v.Type().Elem().Kind() {
		case reflect.Struct:
			return "", false
		}
		if v.IsNil() {
			return "", true
		}
		v = v.Elem()
	}
	if d, ok := v.Interface().(time.Duration); ok {
		return strconv.FormatInt(int64(d), 10), true
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), true
	case reflect.Bool:
		return strconv.FormatBool(v.Bool()), true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10), true
	}
	return "", false
}

// flattenAny renders an opaque value: args[0], labels[0][key].
func flattenAny(out map[string]string, name string, v any) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for k, e := range v {
			if name == "" {
				flattenAny(out, k, e)
			} else {
				flattenAny(out, name+"["+k+"]", e)
			}
		}
	case []any:
		for i, e := range v {
			flattenAny(out, name+"["+strconv.Itoa(i)+"]", e)
		}
	default:
		out[name] = fmt.Sprint(v)
	}
}

// pairUp matches two lists by name, sorted; a missing side is nil.
func pairUp[T any](old, updated []*T, name func(*T) string) [][2]*T {
	byName := map[string]*[2]*T{}
	for _, o := range old {
		byName[name(o)] = &[2]*T{o, nil}
	}
	for _, n := range updated {
		if p := byName[name(n)]; p != nil {
			p[1] = n
		} else {
			byName[name(n)] = &[2]*T{nil, n}
		}
	}
	out := make([][2]*T, 0, len(byName))
	for _, k := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, *byName[k])
	}
	return out
}

func diffType(noOld, noNew bool) string {
	switch {
	case noOld && noNew:
		return DiffNone
	case noOld:
		return DiffAdded
	case noNew:
		return DiffDeleted
	}
	return DiffEdited
}

func indirect[T any](p *T) reflect.Value {
	if p == nil {
		return reflect.Value{}
	}
	return reflect.ValueOf(p).Elem()
}

func deref(v reflect.Value) reflect.Value {
	if v.IsValid() && v.Kind() == reflect.Pointer {
		return v.Elem() // invalid for nil
	}
	return v
}

func member(v reflect.Value, name string) reflect.Value {
	if !v.IsValid() {
		return v
	}
	return v.FieldByName(name)
}

func typeOf(a, b reflect.Value) reflect.Type {
	switch {
	case a.IsValid():
		return a.Type()
	case b.IsValid():
		return b.Type()
	}
	return nil
}

func anyOf(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	return v.Interface()
}

func stringsOf(v reflect.Value) []string {
	if !v.IsValid() {
		return nil
	}
	return v.Interface().([]string)
}

// elements lists the structs of a list or map, a map's by key.
func elements(v reflect.Value) []reflect.Value {
	if !v.IsValid() {
		return nil
	}
	var out []reflect.Value
	if v.Kind() == reflect.Map {
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, k := range keys {
			out = append(out, deref(v.MapIndex(k)))
		}
		return out
	}
	for i := range v.Len() {
		out = append(out, deref(v.Index(i)))
	}
	return out
}
