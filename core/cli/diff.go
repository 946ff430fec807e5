package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seraiproject/serai/core/model"
)

// diffText renders the difference between two versions of a job: a mark per
// line, two more spaces per level.
type diffText struct {
	*session
	verbose     bool // show all of what is new or gone
	annotations bool
}

// mark is the sign of a kind of difference.
func mark(kind string) string {
	switch kind {
	case model.DiffAdded:
		return "+"
	case model.DiffDeleted:
		return "-"
	case model.DiffEdited:
		return "+/-"
	}
	return ""
}

// widestMark is the width that lines the text of siblings up: the widest mark
// and a space, or nothing when no sibling changed.
func widestMark(kinds ...string) int {
	widest := 0
	for _, k := range kinds {
		widest = max(widest, len(mark(k)))
	}
	if widest == 0 {
		return 0
	}
	return widest + 1
}

// marked pads a coloured mark to the given width.
func (d *diffText) marked(kind string, columns int) string {
	m := mark(kind)
	code := ""
	switch kind {
	case model.DiffAdded:
		code = green
	case model.DiffDeleted:
		code = red
	case model.DiffEdited:
		code = yellow
	}
	return d.paint(code, m) + strings.Repeat(" ", max(columns-len(m), 0))
}

// job renders a whole difference. It ends without a newline.
func (d *diffText) job(j *model.JobDiff) string {
	kinds := []string{j.Type}
	kinds = append(kinds, kindsOf(j.Fields, j.Objects)...)
	for _, g := range j.TaskGroups {
		kinds = append(kinds, g.Type)
	}
	columns := widestMark(kinds...)
	lines := []string{d.marked(j.Type, columns) + d.paint(bold, fmt.Sprintf("Job: %q", j.ID))}
	// A new or removed job is one line, with its groups below.
	if j.Type == model.DiffEdited || d.verbose {
		lines = append(lines, d.fields(j.Fields, 0, columns)...)
		lines = append(lines, d.objects(j.Objects, 0, columns)...)
	}
	for i, g := range j.TaskGroups {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, d.group(g, columns)...)
	}
	return strings.Join(lines, "\n")
}

func kindsOf(fields []*model.FieldDiff, objects []*model.ObjectDiff) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.Type)
	}
	for _, o := range objects {
		out = append(out, o.Type)
	}
	return out
}

// updateOrder is the order in which a group's updates are told; others follow.
var updateOrder = []string{"create", "destroy", "create/destroy update", "in-place update", "canary", "migrate", "ignore"}

func (d *diffText) group(g *model.TaskGroupDiff, columns int) []string {
	head := d.marked(g.Type, columns) + d.paint(bold, fmt.Sprintf("Task Group: %q", g.Name))
	if d.annotations && len(g.Updates) > 0 {
		names := sortedKeys(g.Updates)
		slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
		var parts []string
		for _, name := range names {
			if n := g.Updates[name]; n > 0 {
				parts = append(parts, d.paint(updateColor(name), fmt.Sprintf("%d %s", n, name)))
			}
		}
		if len(parts) > 0 {
			head += " (" + strings.Join(parts, ", ") + ")"
		}
	}
	lines := []string{head}
	var kinds []string
	if d.expand(g.Type) {
		kinds = kindsOf(g.Fields, g.Objects)
	}
	for _, t := range g.Tasks {
		kinds = append(kinds, t.Type)
	}
	inner := widestMark(kinds...)
	if inner == 0 {
		inner = columns // an unchanged group among changed ones
	}
	if d.expand(g.Type) {
		lines = append(lines, d.fields(g.Fields, 2, inner)...)
		lines = append(lines, d.objects(g.Objects, 2, inner)...)
	}
	for _, t := range g.Tasks {
		lines = append(lines, d.task(t, inner)...)
	}
	return lines
}

func rank(update string) int {
	if i := slices.Index(updateOrder, update); i >= 0 {
		return i
	}
	return len(updateOrder)
}

func updateColor(update string) string {
	switch update {
	case "create":
		return green
	case "destroy":
		return red
	case "create/destroy update", "canary", "migrate":
		return yellow
	}
	return ""
}

// expand reports whether the inside of a group or task is shown.
func (d *diffText) expand(kind string) bool { return kind == model.DiffEdited || d.verbose }

func (d *diffText) task(t *model.TaskDiff, columns int) []string {
	head := "  " + d.marked(t.Type, columns) + d.paint(bold, fmt.Sprintf("Task: %q", t.Name))
	if d.annotations && len(t.Annotations) > 0 {
		head += " (" + d.paintAnnotations(t.Annotations) + ")"
	}
	lines := []string{head}
	if t.Type == model.DiffNone || !d.expand(t.Type) {
		return lines
	}
	inner := widestMark(kindsOf(t.Fields, t.Objects)...)
	lines = append(lines, d.fields(t.Fields, 4, inner)...)
	return append(lines, d.objects(t.Objects, 4, inner)...)
}

func (d *diffText) paintAnnotations(all []string) string {
	parts := make([]string, len(all))
	for i, a := range all {
		code := ""
		switch a {
		case "forces create":
			code = green
		case "forces destroy":
			code = red
		case "forces create/destroy update":
			code = yellow
		}
		parts[i] = d.paint(code, a)
	}
	return strings.Join(parts, ", ")
}

// fields renders values, one per line, their texts lined up.
func (d *diffText) fields(fields []*model.FieldDiff, spaces, columns int) []string {
	longest := 0
	for _, f := range fields {
		longest = max(longest, len(f.Name))
	}
	var out []string
	for _, f := range fields {
		line := strings.Repeat(" ", spaces) + d.marked(f.Type, columns) + f.Name + ":" + strings.Repeat(" ", longest-len(f.Name)+1)
		switch f.Type {
		case model.DiffAdded:
			line += fmt.Sprintf("%q", f.New)
		case model.DiffDeleted:
			line += fmt.Sprintf("%q", f.Old)
		case model.DiffEdited:
			line += fmt.Sprintf("%q => %q", f.Old, f.New)
		default:
			line += fmt.Sprintf("%q", f.New)
		}
		if d.annotations && len(f.Annotations) > 0 {
			line += " (" + d.paintAnnotations(f.Annotations) + ")"
		}
		out = append(out, line)
	}
	return out
}

// objects renders blocks with everything in them.
func (d *diffText) objects(objects []*model.ObjectDiff, spaces, columns int) []string {
	var out []string
	for _, o := range objects {
		pad := strings.Repeat(" ", spaces)
		out = append(out, pad+d.marked(o.Type, columns)+o.Name+" {")
		inner := widestMark(kindsOf(o.Fields, o.Objects)...)
		out = append(out, d.fields(o.Fields, spaces+2, inner)...)
		out = append(out, d.objects(o.Objects, spaces+2, inner)...)
		out = append(out, pad+strings.Repeat(" ", columns)+"}")
	}
	return out
}
