package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// decoder applies one file (or one command line value) to a Config. It goes on
// after a fault, so that all of them are told at once.
type decoder struct {
	errs     []error
	warnings []string
}

// tag is a field's parsed hcl tag; see the package documentation.
type tag struct {
	key string

	tri, zero, appends, replace bool
	label, rest, selfNamed      bool
	lenient, inert, secret      bool
}

func parseTag(f reflect.StructField) tag {
	words := strings.Split(f.Tag.Get("hcl"), ",")
	t := tag{key: words[0]}
	for _, w := range words[1:] {
		switch w {
		case "tri":
			t.tri = true
		case "zero":
			t.zero = true
		case "append":
			t.appends = true
		case "replace":
			t.replace = true
		case "label":
			t.label = true
		case "rest":
			t.rest = true
		case "selfnamed":
			t.selfNamed = true
		case "lenient":
			t.lenient = true
		case "inert":
			t.inert = true
		case "secret":
			t.secret = true
		default:
			panic("config: unknown word in tag of " + f.Name + ": " + w)
		}
	}
	return t
}

func (d *decoder) fail(pos position, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("%s: %s", pos, fmt.Sprintf(format, args...)))
}

func (d *decoder) warn(pos position, format string, args ...any) {
	d.warnings = append(d.warnings, fmt.Sprintf("%s: %s", pos, fmt.Sprintf(format, args...)))
}

// block applies the object n to the struct v. path names v in messages.
func (d *decoder) block(v reflect.Value, n *node, path string, t tag) {
	if n.kind == listKind { // JSON may wrap a block in a list
		for _, e := range n.list {
			d.block(v, e, path, t)
		}
		return
	}
	if n.kind != objectKind {
		if n.scalar != nil {
			d.fail(n.pos, "%s: want a block, got %s", path, n.kind)
		}
		return
	}
	fields := map[string]int{}
	rest := -1
	for i := range v.NumField() {
		ft := parseTag(v.Type().Field(i))
		switch {
		case ft.rest:
			rest = i
		case ft.key != "" && ft.key != "-":
			fields[ft.key] = i
		}
	}
	for _, f := range n.fields {
		i, known := fields[f.key]
		fp := join(path, f.key)
		switch {
		case known:
			ft := parseTag(v.Type().Field(i))
			// What is said of a block as a whole need not be said of its parts.
			if ft.inert && !t.inert {
				d.warn(f.pos, "%s is accepted but not acted on yet", fp)
			}
			ft.inert = ft.inert || t.inert
			d.value(v.Field(i), f.value, fp, ft)
		case rest >= 0:
			d.value(v.Field(rest), object(f.pos, f), path, tag{})
		case t.lenient:
			d.warn(f.pos, "unknown key %s is ignored%s", fp, suggestion(f.key, fields))
		default:
			d.fail(f.pos, "unknown key %s%s", fp, suggestion(f.key, fields))
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

// value applies n to one field of a struct.
func (d *decoder) value(v reflect.Value, n *node, path string, t tag) {
	if n.kind == scalarKind && n.scalar == nil {
		return // JSON null
	}
	switch {
	case v.Kind() == reflect.Struct:
		if t.replace {
			v.SetZero()
		}
		d.block(v, n, path, t)
	case v.Kind() == reflect.Pointer:
		if v.IsNil() || t.replace {
			v.Set(newBlock(v.Type()))
		}
		d.block(v.Elem(), n, path, t)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Pointer:
		if t.selfNamed {
			d.selfNamed(v, n, path, t)
		} else {
			d.named(v, n, path, t)
		}
	case v.Kind() == reflect.Slice:
		d.strings(v, n, path, t)
	case v.Kind() == reflect.Map:
		d.mapping(v, n, path, t)
	default:
		d.scalar(v, n, path, t)
	}
}

func newBlock(ptr reflect.Type) reflect.Value {
	v := reflect.New(ptr.Elem())
	if f := fresh(v.Interface()); f != nil {
		return reflect.ValueOf(f)
	}
	return v
}

// named applies blocks with a label: n is an object whose keys are the labels.
func (d *decoder) named(v reflect.Value, n *node, path string, t tag) {
	switch {
	case n.kind == listKind:
		for _, e := range n.list {
			d.named(v, e, path, t)
		}
		return
	case n.kind != objectKind:
		d.fail(n.pos, "%s: want a block with a name, got %s", path, n.kind)
		return
	}
	for _, f := range n.fields {
		if f.value.kind == scalarKind {
			d.fail(f.pos, "%s: want a name before the block, got the key %s", path, f.key)
			continue
		}
		each := []*node{f.value}
		if f.value.kind == listKind {
			each = f.value.list
		}
		for _, e := range each {
			elem := d.element(v, f.key, t)
			d.block(elem.Elem(), e, path+"."+f.key, t)
		}
	}
}

// selfNamed applies blocks that carry their name in the attribute "name".
func (d *decoder) selfNamed(v reflect.Value, n *node, path string, t tag) {
	if n.kind == listKind {
		for _, e := range n.list {
			d.selfNamed(v, e, path, t)
		}
		return
	}
	name := "default"
	for _, f := range n.fields {
		if s, ok := f.value.scalar.(string); ok && f.key == "name" && s != "" {
			name = s
		}
	}
	d.block(d.element(v, name, t).Elem(), n, path, t)
}

// element returns the member of the list v called name, making it if need be.
func (d *decoder) element(v reflect.Value, name string, t tag) reflect.Value {
	nameOf := func(e reflect.Value) reflect.Value { return e.Elem().FieldByName(nameField(e.Type().Elem())) }
	if !t.appends {
		for i := range v.Len() {
			if e := v.Index(i); nameOf(e).String() == name {
				if t.replace {
					e.Set(newBlock(e.Type()))
					nameOf(e).SetString(name)
				}
				return e
			}
		}
	}
	e := newBlock(v.Type().Elem())
	nameOf(e).SetString(name)
	v.Set(reflect.Append(v, e))
	return e
}

// nameField is the field that holds a named block's name.
func nameField(t reflect.Type) string {
	for i := range t.NumField() {
		if parseTag(t.Field(i)).label {
			return t.Field(i).Name
		}
	}
	return "Name"
}

// strings applies a list of strings; a lone string is a list of one.
func (d *decoder) strings(v reflect.Value, n *node, path string, t tag) {
	elems := []*node{n}
	if n.kind == listKind {
		elems = n.list
	}
	var out []string
	for _, e := range elems {
		s, ok := text(e)
		if !ok {
			d.fail(e.pos, "%s: want a list of strings, got %s in it", path, e.kind)
			return
		}
		out = append(out, s)
	}
	if t.appends {
		out = append(v.Interface().([]string), out...)
	}
	v.Set(reflect.ValueOf(slices.Clip(out)))
}

// mapping applies a map: of strings (later keys win) or of anything.
func (d *decoder) mapping(v reflect.Value, n *node, path string, t tag) {
	if n.kind == listKind {
		for _, e := range n.list {
			d.mapping(v, e, path, tag{})
		}
		return
	}
	if n.kind != objectKind {
		d.fail(n.pos, "%s: want a block of keys and values, got %s", path, n.kind)
		return
	}
	if v.IsNil() || t.replace {
		v.Set(reflect.MakeMap(v.Type()))
	}
	if m, ok := v.Interface().(map[string]any); ok {
		for key, value := range plain(n).(map[string]any) {
			m[key] = value
		}
		return
	}
	for _, f := range n.fields {
		s, ok := text(f.value)
		if !ok {
			d.fail(f.pos, "%s: want a string, got %s", join(path, f.key), f.value.kind)
			continue
		}
		v.SetMapIndex(reflect.ValueOf(f.key), reflect.ValueOf(s))
	}
}

// plain turns a tree into maps, lists and scalars. A key given several times
// becomes a list.
func plain(n *node) any {
	switch n.kind {
	case listKind:
		out := make([]any, len(n.list))
		for i, e := range n.list {
			out[i] = plain(e)
		}
		return out
	case objectKind:
		out := map[string]any{}
		times := map[string]int{}
		for _, f := range n.fields {
			value := plain(f.value)
			switch times[f.key]++; times[f.key] {
			case 1:
				out[f.key] = value
			case 2:
				out[f.key] = []any{out[f.key], value}
			default:
				out[f.key] = append(out[f.key].([]any), value)
			}
		}
		return out
	}
	return n.scalar
}

// text is a scalar as a string.
func text(n *node) (string, bool) {
	switch s := n.scalar.(type) {
	case string:
		return s, n.kind == scalarKind
	case int64:
		return strconv.FormatInt(s, 10), true
	case float64:
		return strconv.FormatFloat(s, 'g', -1, 64), true
	case bool:
		return strconv.FormatBool(s), true
	}
	return "", false
}

// scalar applies a string, number, bool, duration or size. An empty string, and
// a zero where it does not mean anything of its own, leave the field alone.
func (d *decoder) scalar(v reflect.Value, n *node, path string, t tag) {
	s, ok := text(n)
	if !ok {
		d.fail(n.pos, "%s: want one value, got %s", path, n.kind)
		return
	}
	if s == "" {
		return
	}
	switch {
	case v.Type() == durationType:
		dur, err := time.ParseDuration(s)
		if err != nil && s != "0" {
			d.fail(n.pos, "%s: %q is not a duration such as \"30s\" or \"1h\"", path, s)
			return
		}
		if dur != 0 || t.zero || s != "0" {
			v.SetInt(int64(dur))
		}
	case v.Type() == sizeType:
		size, err := humanize.ParseBytes(s)
		if err != nil || size > 1<<62 {
			d.fail(n.pos, "%s: %q is not a size such as \"1M\" or \"100GB\"", path, s)
			return
		}
		if size != 0 || t.zero {
			v.SetInt(int64(size))
		}
	case v.Kind() == reflect.String:
		v.SetString(s)
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			d.fail(n.pos, "%s: %q is neither true nor false", path, s)
			return
		}
		if b || t.tri {
			v.SetBool(b)
		}
	case v.Kind() == reflect.Int:
		i, err := strconv.ParseInt(s, 0, 64)
		if err != nil {
			d.fail(n.pos, "%s: %q is not a whole number", path, s)
			return
		}
		if i != 0 || t.zero {
			v.SetInt(i)
		}
	case v.Kind() == reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			d.fail(n.pos, "%s: %q is not a number", path, s)
			return
		}
		if f != 0 || t.zero {
			v.SetFloat(f)
		}
	default:
		panic("config: field " + path + " has a type the decoder does not know")
	}
}

// suggestion is a hint at the known key nearest to a mistyped one.
func suggestion(key string, known map[string]int) string {
	best, distance := "", len(key)/2+1
	for k := range known {
		if n := editDistance(key, k); n < distance || n == distance && k < best {
			best, distance = k, n
		}
	}
	if best == "" || distance > 2 {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
