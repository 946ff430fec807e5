package schema

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Decode fills the struct that into points to from a host's MessagePack. Fields that are absent or null get
// their defaults. No bytes at all are an empty configuration. The error names all faulty fields with their
// paths.
func Decode(data []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("decode configuration into %T: not a pointer to a struct", into)
	}
	if err := setDefaults(v.Elem()); err != nil {
		return fmt.Errorf("decode configuration: %w", err)
	}
	if len(data) == 0 {
		return nil
	}
	value, err := unpack(data)
	if err != nil {
		return fmt.Errorf("decode configuration: %w", err)
	}
	if value == nil {
		return nil
	}
	m, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("decode configuration: want named values, have %s", describe(value))
	}
	if err := assignStruct(v.Elem(), m, ""); err != nil {
		return fmt.Errorf("decode configuration: %w", err)
	}
	return nil
}

func assignStruct(v reflect.Value, m map[string]any, path string) error {
	fields, err := fieldsOf(v.Type())
	if err != nil {
		return err
	}
	var faults []error
	for _, f := range fields {
		value, ok := m[f.name]
		if !ok || value == nil {
			continue
		}
		if err := assign(v.FieldByIndex(f.index), value, join(path, f.name)); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// assign puts a decoded value into v. It takes what hosts are known to send for a type: a number that has no
// exact binary form comes as text, and one block may come as a list of one.
func assign(v reflect.Value, value any, path string) error {
	if value == nil {
		return nil
	}
	t := v.Type()
	if t == durationType {
		return assignDuration(v, value, path)
	}
	switch t.Kind() {
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		if p.Elem().Kind() == reflect.Struct {
			if err := setDefaults(p.Elem()); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		if err := assign(p.Elem(), value, path); err != nil {
			return err
		}
		v.Set(p)
		return nil
	case reflect.Interface:
		v.Set(reflect.ValueOf(value))
		return nil
	case reflect.Struct:
		if list, ok := value.([]any); ok && len(list) == 1 {
			value = list[0]
		}
		m, ok := value.(map[string]any)
		if !ok {
			return mismatch(path, "a block", value)
		}
		return assignStruct(v, m, path)
	case reflect.Slice:
		return assignSlice(v, value, path)
	case reflect.Map:
		return assignMap(v, value, path)
	case reflect.String:
		s, ok := value.(string)
		if !ok {
			return mismatch(path, "text", value)
		}
		v.SetString(s)
		return nil
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			return mismatch(path, "true or false", value)
		}
		v.SetBool(b)
		return nil
	}
	return assignNumber(v, value, path)
}

func assignDuration(v reflect.Value, value any, path string) error {
	s, ok := value.(string)
	if !ok {
		return mismatch(path, `a duration such as "10s"`, value)
	}
	if s == "" {
		v.SetInt(0)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return mismatch(path, `a duration such as "10s"`, value)
	}
	v.SetInt(int64(d))
	return nil
}

func assignSlice(v reflect.Value, value any, path string) error {
	list, ok := value.([]any)
	if !ok {
		return mismatch(path, "a list", value)
	}
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	var faults []error
	for i, e := range list {
		ev, epath := out.Index(i), fmt.Sprintf("%s[%d]", path, i)
		if ev.Kind() == reflect.Struct {
			if err := setDefaults(ev); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", epath, err))
			}
		}
		if err := assign(ev, e, epath); err != nil {
			faults = append(faults, err)
		}
	}
	v.Set(out)
	return errors.Join(faults...)
}

func assignMap(v reflect.Value, value any, path string) error {
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
	}
	m, ok := value.(map[string]any)
	if !ok {
		return mismatch(path, "named values", value)
	}
	t := v.Type()
	out := reflect.MakeMapWithSize(t, len(m))
	var faults []error
	for k, e := range m {
		ev := reflect.New(t.Elem()).Elem()
		if ev.Kind() == reflect.Struct {
			if err := setDefaults(ev); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", join(path, k), err))
			}
		}
		if err := assign(ev, e, join(path, k)); err != nil {
			faults = append(faults, err)
		}
		out.SetMapIndex(reflect.ValueOf(k).Convert(t.Key()), ev)
	}
	v.Set(out)
	return errors.Join(faults...)
}

func assignNumber(v reflect.Value, value any, path string) error {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		f, ok := toFloat(value)
		if !ok || v.OverflowFloat(f) {
			return mismatch(path, "a number", value)
		}
		v.SetFloat(f)
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, ok := toInt(value)
		if !ok || v.OverflowInt(i) {
			return mismatch(path, fmt.Sprintf("a whole number of %d bits", v.Type().Bits()), value)
		}
		v.SetInt(i)
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, ok := toUint(value)
		if !ok || v.OverflowUint(u) {
			return mismatch(path, fmt.Sprintf("a whole number of %d bits, not negative", v.Type().Bits()), value)
		}
		v.SetUint(u)
		return nil
	}
	return fmt.Errorf("%s: type %s cannot be configured", path, v.Type())
}

func toFloat(value any) (float64, bool) {
	switch n := value.(type) {
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float64:
		return n, true
	case string:
		f, err := strconv.ParseFloat(n, 64)
		return f, err == nil
	}
	return 0, false
}

func toInt(value any) (int64, bool) {
	switch n := value.(type) {
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= math.MaxInt64
	case float64:
		return int64(n), n == math.Trunc(n) && n >= -(1<<53) && n <= 1<<53
	case string:
		i, err := strconv.ParseInt(n, 10, 64)
		return i, err == nil
	}
	return 0, false
}

func toUint(value any) (uint64, bool) {
	switch n := value.(type) {
	case uint64:
		return n, true
	case string:
		u, err := strconv.ParseUint(n, 10, 64)
		return u, err == nil
	}
	i, ok := toInt(value)
	return uint64(i), ok && i >= 0
}

func mismatch(path, want string, have any) error {
	return fmt.Errorf("%s: want %s, have %s", path, want, describe(have))
}

// describe names a decoded value in a message, shortened.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case string:
		if len(v) > 40 {
			v = v[:37] + "..."
		}
		return strconv.Quote(v)
	case map[string]any:
		return fmt.Sprintf("%d named values", len(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	}
	return fmt.Sprint(value)
}

func join(path, name string) string {
	return strings.TrimPrefix(path+"."+name, ".")
}
