package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var durationType = reflect.TypeFor[time.Duration]()

// shape is how a field appears in a configuration file.
type shape int

const (
	shapeAttr     shape = iota // name = value
	shapeFree                  // name { free = value }
	shapeBlock                 // name { ... }
	shapeBlocks                // name { ... } any number of times
	shapeLabelled              // name "label" { ... }
)

// field is a struct field that takes part in configuration.
type field struct {
	index    []int
	name     string
	typ      reflect.Type
	shape    shape
	required bool
	set      bool
	min, max uint64
	label    string
	fallback *string
}

// fieldsOf reads the tags of a struct, embedded structs included.
func fieldsOf(t reflect.Type) ([]field, error) {
	var fields []field
	var faults []error
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("config")
		if !tagged {
			if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
				inner, err := fieldsOf(sf.Type)
				if err != nil {
					faults = append(faults, err)
				}
				for _, f := range inner {
					f.index = append([]int{i}, f.index...)
					fields = append(fields, f)
				}
			}
			continue
		}
		if tag == "-" {
			continue
		}
		f, err := parseField(sf, tag)
		if err != nil {
			faults = append(faults, fmt.Errorf("field %s: %w", sf.Name, err))
			continue
		}
		f.index = []int{i}
		fields = append(fields, f)
	}
	return fields, errors.Join(faults...)
}

func parseField(sf reflect.StructField, tag string) (field, error) {
	parts := strings.Split(tag, ",")
	f := field{name: parts[0], typ: sf.Type, shape: shapeOf(sf.Type), label: "name"}
	if !sf.IsExported() {
		return f, errors.New("tagged but not exported")
	}
	if f.name == "" {
		return f, errors.New("config tag without a name")
	}
	for _, option := range parts[1:] {
		key, value, _ := strings.Cut(option, "=")
		var err error
		switch key {
		case "required":
			f.required = true
		case "attr":
			if f.shape == shapeFree {
				f.shape = shapeAttr
			}
		case "set":
			f.set = true
		case "min":
			f.min, err = parseLimit(key, value)
		case "max":
			f.max, err = parseLimit(key, value)
		case "label":
			f.label = value
		default:
			err = fmt.Errorf("option %q is not known", key)
		}
		if err != nil {
			return f, err
		}
	}
	if text, ok := sf.Tag.Lookup("default"); ok {
		switch {
		case f.required:
			return f, errors.New("required and with a default")
		case f.shape != shapeAttr && f.shape != shapeFree:
			return f, errors.New("a block has no default; give its fields some")
		case f.shape == shapeFree:
			return f, errors.New("a map with a default needs the option attr")
		}
		f.fallback = &text
	}
	if f.required && (f.shape == shapeBlocks || f.shape == shapeLabelled) {
		return f, errors.New("repeated blocks take min=1, not required")
	}
	return f, nil
}

// shapeOf tells from a field's type how it is written.
func shapeOf(t reflect.Type) shape {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct:
		return shapeBlock
	case reflect.Slice:
		if structOf(t) != nil {
			return shapeBlocks
		}
	case reflect.Map:
		if structOf(t) != nil {
			return shapeLabelled
		}
		return shapeFree
	}
	return shapeAttr
}

// structOf is the struct that t is, or holds as an element, else nil.
func structOf(t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		t = t.Elem()
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		return t
	}
	return nil
}

// Defaults sets the fields of the struct that into points to, and of the structs in it, to their default tags.
// Structs behind nil pointers are left alone.
func Defaults(into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("set defaults of %T: not a pointer to a struct", into)
	}
	return setDefaults(v.Elem())
}

func setDefaults(v reflect.Value) error {
	fields, err := fieldsOf(v.Type())
	if err != nil {
		return err
	}
	for _, f := range fields {
		fv := v.FieldByIndex(f.index)
		switch {
		case f.fallback != nil:
			if fv.Kind() == reflect.Pointer {
				fv.Set(reflect.New(fv.Type().Elem()))
				fv = fv.Elem()
			}
			if err := setDefault(fv, *f.fallback); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		case fv.Kind() == reflect.Struct:
			if err := setDefaults(fv); err != nil {
				return fmt.Errorf("%s.%w", f.name, err)
			}
		}
	}
	return nil
}

// setDefault parses the text of a default tag into v.
func setDefault(v reflect.Value, text string) error {
	var value any
	switch {
	case v.Type() == durationType, v.Kind() == reflect.String:
		value = text
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("default %q: not a bool", text)
		}
		value = b
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Map, v.Kind() == reflect.Interface:
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			return fmt.Errorf("default %q: not JSON: %w", text, err)
		}
	default:
		value = text
	}
	if err := assign(v, value, "default"); err != nil {
		return fmt.Errorf("default %q does not fit %s: %w", text, v.Type(), err)
	}
	return nil
}
