package schema

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
)

// Spec derives the schema of the struct type T. It is nil for a struct without any config field, which in the
// protocol says that no configuration is taken. The error names every field that cannot be described.
func Spec[T any]() (*hclspecpb.Spec, error) {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("derive schema of %s: not a struct", t)
	}
	s, err := structSpec(t, t.Name(), nil)
	if err != nil {
		return nil, fmt.Errorf("derive schema of %s: %w", t, err)
	}
	if len(s.GetObject().GetAttributes()) == 0 {
		return nil, nil
	}
	return s, nil
}

// structSpec describes the fields of t. Open holds the structs around it: a struct within itself has no finite
// schema.
func structSpec(t reflect.Type, path string, open []reflect.Type) (*hclspecpb.Spec, error) {
	for _, o := range open {
		if o == t {
			return nil, fmt.Errorf("%s: type %s contains itself", path, t)
		}
	}
	open = append(open, t)
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	attrs := make(map[string]*hclspecpb.Spec, len(fields))
	var faults []error
	for _, f := range fields {
		s, err := fieldSpec(f, path+"."+f.name, open)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if _, twice := attrs[f.name]; twice {
			faults = append(faults, fmt.Errorf("%s.%s: name used twice", path, f.name))
		}
		attrs[f.name] = s
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return &hclspecpb.Spec{Block: &hclspecpb.Spec_Object{Object: &hclspecpb.Object{Attributes: attrs}}}, nil
}

func fieldSpec(f field, path string, open []reflect.Type) (*hclspecpb.Spec, error) {
	t := f.typ
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var nested *hclspecpb.Spec
	if f.shape != shapeAttr && f.shape != shapeFree {
		var err error
		if nested, err = structSpec(structOf(t), path, open); err != nil {
			return nil, err
		}
	}
	switch f.shape {
	case shapeBlock:
		return &hclspecpb.Spec{Block: &hclspecpb.Spec_BlockValue{BlockValue: &hclspecpb.Block{
			Name: f.name, Required: f.required, Nested: nested}}}, nil
	case shapeBlocks:
		if f.set {
			return &hclspecpb.Spec{Block: &hclspecpb.Spec_BlockSet{BlockSet: &hclspecpb.BlockSet{
				Name: f.name, MinItems: f.min, MaxItems: f.max, Nested: nested}}}, nil
		}
		return &hclspecpb.Spec{Block: &hclspecpb.Spec_BlockList{BlockList: &hclspecpb.BlockList{
			Name: f.name, MinItems: f.min, MaxItems: f.max, Nested: nested}}}, nil
	case shapeLabelled:
		return &hclspecpb.Spec{Block: &hclspecpb.Spec_BlockMap{BlockMap: &hclspecpb.BlockMap{
			Name: f.name, Labels: []string{f.label}, Nested: nested}}}, nil
	case shapeFree:
		elem, err := typeExpression(t.Elem())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return &hclspecpb.Spec{Block: &hclspecpb.Spec_BlockAttrs{BlockAttrs: &hclspecpb.BlockAttrs{
			Name: f.name, Type: elem, Required: f.required}}}, nil
	}
	expr, err := typeExpression(t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	attr := &hclspecpb.Spec{Block: &hclspecpb.Spec_Attr{Attr: &hclspecpb.Attr{
		Name: f.name, Type: expr, Required: f.required}}}
	if f.fallback == nil {
		return attr, nil
	}
	literal, err := defaultExpression(t, *f.fallback)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &hclspecpb.Spec{Block: &hclspecpb.Spec_Default{Default: &hclspecpb.Default{
		Primary: attr,
		Default: &hclspecpb.Spec{Block: &hclspecpb.Spec_Literal{Literal: &hclspecpb.Literal{Value: literal}}},
	}}}, nil
}

// typeExpression is how the schema language writes a Go type.
func typeExpression(t reflect.Type) (string, error) {
	if t == durationType {
		return "string", nil
	}
	switch t.Kind() {
	case reflect.String:
		return "string", nil
	case reflect.Bool:
		return "bool", nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return "number", nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return "any", nil
		}
	case reflect.Slice:
		elem, err := typeExpression(t.Elem())
		if err == nil {
			return "list(" + elem + ")", nil
		}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			elem, err := typeExpression(t.Elem())
			if err == nil {
				return "map(" + elem + ")", nil
			}
		}
	}
	return "", fmt.Errorf("type %s cannot be configured; use text, numbers, bools, lists, maps or structs of them", t)
}

// defaultExpression is a default as an HCL expression, checked against the field's type.
func defaultExpression(t reflect.Type, text string) (string, error) {
	v := reflect.New(t).Elem()
	if err := setDefault(v, text); err != nil {
		return "", err
	}
	switch {
	case t == durationType || t.Kind() == reflect.String:
		return quote(text), nil
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map, t.Kind() == reflect.Interface:
		return escapeTemplates(text), nil
	}
	return text, nil
}

// quote writes an HCL string. HCL knows fewer escapes than Go, and opens templates with ${ and %{.
func quote(s string) string {
	out := []rune{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', r)
		case r == '\n':
			out = append(out, '\\', 'n')
		case r == '\r':
			out = append(out, '\\', 'r')
		case r == '\t':
			out = append(out, '\\', 't')
		case r < 0x20 || r == 0x7f:
			out = append(out, []rune(fmt.Sprintf("\\u%04x", r))...)
		default:
			out = append(out, r)
		}
	}
	return escapeTemplates(string(append(out, '"')))
}

// escapeTemplates doubles the signs that would open an HCL template.
func escapeTemplates(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		out = append(out, s[i])
		if (s[i] == '$' || s[i] == '%') && i+1 < len(s) && s[i+1] == '{' {
			out = append(out, s[i])
		}
	}
	return string(out)
}

func parseLimit(option, text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("option %s=%s: not a count", option, text)
	}
	return n, nil
}
