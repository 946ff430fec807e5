package jobspec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// An inertRow names something that the agent stores and shows but does not act
// on yet.
type inertRow struct {
	// path ends the path of names in the job file: "vault" is any vault block,
	// "group.network.dns" only the dns block of a group's network.
	path string
	// values, if given, limits the row to these values of an attribute, in
	// which a final * stands for anything.
	values []string
	// note says what that means, when it is not plain.
	note string
}

// refused is said of what a node cannot provide yet.
const refused = "tasks that need it are not started"

// inert lists what is stored but not acted on in this release. Delete a row
// when the feature arrives.
var inert = []inertRow{
	{path: "job.multiregion"},
	{path: "disconnect"},
	{path: "scaling", note: "min and max bound nothing, and no policy is followed"},
	{path: "stop_after_client_disconnect"},
	{path: "max_client_disconnect"},
	{path: "prevent_reschedule_on_lost"},
	{path: "ephemeral_disk.migrate", note: "data does not move between nodes"},
	{path: "group.volume"},
	{path: "group.consul"},
	{path: "network.mode", values: []string{"bridge", "none", "cni/*"}, note: refused},
	{path: "network.hostname"},
	{path: "network.dns"},
	{path: "network.cni"},
	{path: "group.service", note: "services are not registered and their checks do not run"},
	{path: "task.service", note: "services are not registered and their checks do not run"},
	{path: "task.artifact", note: refused},
	{path: "task.template", note: refused},
	{path: "task.volume_mount", note: refused},
	{path: "task.secret", note: refused},
	{path: "task.vault", note: refused},
	{path: "task.csi_plugin", note: refused},
	{path: "resources.device", note: refused},
	{path: "task.consul"},
	{path: "task.identity"},
	{path: "task.action"},
	{path: "task.schedule"},
	{path: "resources.numa"},
	{path: "resources.network", note: "ports belong to the group's network"},
	{path: "restart.render_templates"},
}

// A Warning is something a job says that is stored but not acted on.
type Warning struct {
	Path    string // such as group "cache" / task "redis" / vault
	Message string
}

// String is the warning in one line.
func (w Warning) String() string { return w.Path + ": " + w.Message }

// Inert lists what a job says that is stored but not acted on yet.
func Inert(doc *Document) []Warning {
	w := &inertWalk{}
	w.object(jobSpec, doc.job, "", "job")
	return w.found
}

// InertJSON does so for a job in the JSON of the HTTP API.
func InertJSON(job []byte) ([]Warning, error) {
	d := &decoder{report: newReport(), src: job}
	out := d.apiJob("job", job)
	if d.failed() {
		return nil, d.sorted()
	}
	return Inert(&Document{job: out}), nil
}

type inertWalk struct{ found []Warning }

// object walks one object; shown is its path for the reader, names the path
// that the table is matched against.
func (w *inertWalk) object(s *spec, out map[string]any, shown, names string) {
	for i := range s.attrs {
		a := &s.attrs[i]
		v := out[a.key]
		if a.name == "" || a.key == "" {
			continue
		}
		row := inertFor(names + "." + a.name)
		if row == nil {
			continue
		}
		if row.values != nil {
			if text, ok := v.(string); ok && slices.ContainsFunc(row.values, func(p string) bool { return matches(p, text) }) {
				w.add(join(shown, a.name), fmt.Sprintf("%q", text), row)
			}
			continue
		}
		if v != nil && !same(v, a.unset()) && !same(v, a.kind.zero()) {
			w.add(join(shown, a.name), "", row)
		}
	}
	for i := range s.blocks {
		b := &s.blocks[i]
		if b.key == "" {
			continue
		}
		name := b.name
		if name == "" {
			name = unnamed[b.key]
		}
		w.block(b, out[b.key], join(shown, name), names+"."+name)
	}
}

// unnamed are the names in job files of what the table only knows by its key.
var unnamed = map[string]string{"DynamicPorts": "port", "Identity": "identity", "Identities": "identity"}

func (w *inertWalk) block(b *block, v any, shown, names string) {
	row := inertFor(names)
	inside := func(x any, shown string) {
		if row != nil {
			w.add(shown, "", row)
		} else if m, ok := x.(map[string]any); ok && b.spec.open == closed {
			w.object(b.spec, m, shown, names)
		}
	}
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			which := fmt.Sprint(i + 1)
			if m, ok := x.(map[string]any); ok {
				for _, key := range []string{b.spec.labelKey, "Name"} {
					if name, _ := m[key].(string); name != "" {
						which = fmt.Sprintf("%q", name)
						break
					}
				}
			}
			inside(x, shown+" "+which)
		}
	case map[string]any:
		if b.form != formTable {
			inside(v, shown)
			return
		}
		for _, k := range sortedKeys(v) {
			inside(v[k], fmt.Sprintf("%s %q", shown, k))
		}
	}
}

func (w *inertWalk) add(path, value string, row *inertRow) {
	message := "stored but not acted on yet"
	if value != "" {
		message = value + " is " + message
	}
	if row.note != "" {
		message += ": " + row.note
	}
	w.found = append(w.found, Warning{Path: path, Message: message})
}

// inertFor is the row of the table for a path of names.
func inertFor(names string) *inertRow {
	for i := range inert {
		if names == inert[i].path || strings.HasSuffix(names, "."+inert[i].path) {
			return &inert[i]
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + " / " + name
}

// matches reports whether text is a value of an inert row.
func matches(pattern, text string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(text, prefix)
	}
	return text == pattern
}

// same compares values of the document.
func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
