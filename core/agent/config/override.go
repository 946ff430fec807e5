package config

import (
	"reflect"
	"strings"
)

func valueOf(c *Config) reflect.Value { return reflect.ValueOf(c).Elem() }

// override applies one command line setting. It is decoded like a file that
// holds nothing else, after the field was made to accept any value.
func (d *decoder) override(c *Config, o Override) {
	pos := position{path: "command line"}
	keys := strings.Split(o.Path, ".")
	v := valueOf(c)
	t := tag{}
	for i, key := range keys {
		switch {
		case v.Kind() == reflect.Map:
			rest := strings.Join(keys[i:], ".")
			d.mapping(v, object(pos, field{rest, pos, &node{pos: pos, scalar: o.Value}}), o.Path, tag{})
			return
		case v.Kind() == reflect.Slice:
			v = d.element(v, "default", tag{}).Elem()
		}
		f, ft, ok := fieldByKey(v, key)
		if !ok {
			d.fail(pos, "unknown key %s", o.Path)
			return
		}
		t.inert = t.inert || ft.inert
		v = f
	}
	if t.inert {
		d.warn(pos, "%s is accepted but not acted on yet", o.Path)
	}
	d.value(v, &node{pos: pos, scalar: o.Value}, o.Path, tag{tri: true, zero: true, appends: v.Kind() == reflect.Slice})
}

func fieldByKey(v reflect.Value, key string) (reflect.Value, tag, bool) {
	if v.Kind() != reflect.Struct {
		return reflect.Value{}, tag{}, false
	}
	for i := range v.NumField() {
		if t := parseTag(v.Type().Field(i)); t.key == key && key != "-" && key != "" {
			return v.Field(i), t, true
		}
	}
	return reflect.Value{}, tag{}, false
}

// Redacted returns a copy of c, in maps and lists, with every secret that is
// set replaced by "<redacted>". Keys are the Go field names; durations are
// nanoseconds.
func (c *Config) Redacted() map[string]any {
	return redact(valueOf(c), tag{}).(map[string]any)
}

func redact(v reflect.Value, t tag) any {
	if t.secret && !v.IsZero() {
		return "<redacted>"
	}
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			out[f.Name] = redact(v.Field(i), parseTag(f))
		}
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return redact(v.Elem(), tag{})
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = redact(v.Index(i), tag{})
		}
		return out
	}
	return v.Interface()
}
