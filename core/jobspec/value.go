package jobspec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
)

var errNull = errors.New("null is not allowed here; leave the attribute out instead")

// typed converts the value of an attribute to what the document holds.
func typed(a *attr, v cty.Value) (any, error) {
	if v.IsNull() {
		if a.kind == kindDuration || !a.nullable && a.kind.zero() != nil {
			return nil, errNull
		}
		return nil, nil
	}
	switch a.kind {
	case kindString:
		return text(v)
	case kindInt:
		return whole(v, math.MinInt64, math.MaxInt64)
	case kindInt8:
		return whole(v, math.MinInt8, math.MaxInt8)
	case kindUint8:
		return whole(v, 0, math.MaxUint8)
	case kindUint16:
		return whole(v, 0, math.MaxUint16)
	case kindUint32:
		return whole(v, 0, math.MaxUint32)
	case kindUint64:
		return whole(v, 0, math.MaxInt64)
	case kindBool:
		return truth(v)
	case kindDuration:
		return duration(v)
	case kindStrings:
		return elements(v, func(e cty.Value) (any, error) { return text(e) })
	case kindUint16s:
		return elements(v, func(e cty.Value) (any, error) { return whole(e, 0, math.MaxUint16) })
	case kindStringMap:
		return stringMap(v)
	}
	return plain(v)
}

// describe names the type of a value in messages.
func describe(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	switch t := v.Type(); {
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsListType() || t.IsTupleType():
		return "a list"
	case t.IsSetType():
		return "a set"
	case t.IsMapType() || t.IsObjectType():
		return "a map"
	}
	return "a value of another kind"
}

func mismatch(want string, v cty.Value) error {
	return fmt.Errorf("needs %s, not %s", want, describe(v))
}

// text converts a scalar to a string.
func text(v cty.Value) (string, error) {
	if v.IsNull() {
		return "", errors.New("null is not a string")
	}
	switch v.Type() {
	case cty.String:
		return v.AsString(), nil
	case cty.Bool:
		return strconv.FormatBool(v.True()), nil
	case cty.Number:
		f := v.AsBigFloat()
		if hugeNumber(f) {
			return "", errors.New("the number is too large or infinite")
		}
		if f.IsInt() {
			return f.Text('f', 0), nil
		}
		return f.Text('f', -1), nil
	}
	return "", mismatch(kindString.noun(), v)
}

// whole converts a number, or its text, to an integer within bounds.
func whole(v cty.Value, least, most int64) (any, error) {
	if v.IsNull() {
		return nil, errors.New("null is not a number")
	}
	switch v.Type() {
	case cty.String:
		n, err := cty.ParseNumberVal(v.AsString())
		if err != nil {
			return nil, fmt.Errorf("needs a whole number, not the string %s", quoted(v.AsString()))
		}
		v = n
	case cty.Number:
	default:
		return nil, mismatch("a whole number", v)
	}
	f := v.AsBigFloat()
	if !f.IsInt() {
		return nil, fmt.Errorf("needs a whole number, not %s", brief(f.Text('g', 10)))
	}
	n, accuracy := f.Int64()
	if accuracy != 0 || n < least || n > most {
		if least == 0 && f.Sign() < 0 {
			return nil, errors.New("must not be negative")
		}
		return nil, fmt.Errorf("must lie between %d and %d", least, most)
	}
	return n, nil
}

// truth converts a boolean, or its text.
func truth(v cty.Value) (any, error) {
	switch {
	case v.IsNull():
	case v.Type() == cty.Bool:
		return v.True(), nil
	case v.Type() == cty.String && v.AsString() == "true":
		return true, nil
	case v.Type() == cty.String && v.AsString() == "false":
		return false, nil
	case v.Type() == cty.String:
		return nil, fmt.Errorf("needs true or false, not the string %s", quoted(v.AsString()))
	}
	return nil, mismatch(kindBool.noun(), v)
}

// duration converts Go duration text, or a whole number of nanoseconds.
func duration(v cty.Value) (any, error) {
	if v.Type() == cty.String {
		d, err := time.ParseDuration(v.AsString())
		if err != nil {
			return nil, fmt.Errorf("needs a duration such as \"30s\" or \"1h30m\", not %s", quoted(v.AsString()))
		}
		return int64(d), nil
	}
	if v.Type() == cty.Number {
		n, err := whole(v, math.MinInt64, math.MaxInt64)
		if err != nil {
			return nil, errors.New("needs a duration such as \"30s\", or a whole number of nanoseconds")
		}
		return n, nil
	}
	return nil, mismatch(kindDuration.noun(), v)
}

// elements converts a list, set or tuple.
func elements(v cty.Value, each func(cty.Value) (any, error)) (any, error) {
	if t := v.Type(); !t.IsListType() && !t.IsTupleType() && !t.IsSetType() {
		return nil, mismatch("a list", v)
	}
	out := make([]any, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		x, err := each(e)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", len(out), err)
		}
		out = append(out, x)
	}
	return out, nil
}

// stringMap converts a map or object whose values are scalars.
func stringMap(v cty.Value) (any, error) {
	if t := v.Type(); !t.IsMapType() && !t.IsObjectType() {
		return nil, mismatch("a map", v)
	}
	out := make(map[string]any, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		s, err := text(e)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", quoted(k.AsString()), err)
		}
		out[k.AsString()] = s
	}
	return out, nil
}

// plain converts any value to what encoding/json writes.
func plain(v cty.Value) (any, error) {
	if v.IsNull() {
		return nil, nil
	}
	switch t := v.Type(); {
	case t == cty.String:
		return v.AsString(), nil
	case t == cty.Bool:
		return v.True(), nil
	case t == cty.Number:
		f := v.AsBigFloat()
		if hugeNumber(f) {
			return nil, errors.New("the number is too large or infinite")
		}
		if f.IsInt() {
			return json.Number(f.Text('f', 0)), nil
		}
		x, _ := f.Float64()
		if x == 0 || math.IsInf(x, 0) {
			return nil, errors.New("the number is too large or too small")
		}
		return x, nil
	case t.IsListType() || t.IsTupleType() || t.IsSetType():
		return elements(v, plain)
	case t.IsMapType() || t.IsObjectType():
		out := make(map[string]any, v.LengthInt())
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			x, err := plain(e)
			if err != nil {
				return nil, fmt.Errorf("key %s: %w", quoted(k.AsString()), err)
			}
			out[k.AsString()] = x
		}
		return out, nil
	}
	return nil, errors.New("the value has no JSON form")
}

func quoted(s string) string { return strconv.Quote(brief(s)) }

// brief keeps quoted input from flooding a message.
func brief(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:60], "") + "…"
}
