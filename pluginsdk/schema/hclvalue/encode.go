package hclvalue

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"sort"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	// Path names the field: "volumes[1].source"; empty is the configuration itself.
	Path    string
	Message string
}

// Error holds all faults of a configuration.
type Error struct{ Faults []Fault }

// Error puts all faults into one line.
func (e *Error) Error() string {
	texts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		texts[i] = f.Message
		if f.Path != "" {
			texts[i] = f.Path + ": " + f.Message
		}
	}
	return strings.Join(texts, "; ")
}

// Encode evaluates config against spec and gives the bytes for a plugin. Config is what a decoder of JSON or HCL
// gives: maps with string keys, slices, strings, bools, numbers (json.Number included), and nil.
//
// With vars, strings are HCL templates over them; with vars nil they are taken as they are. A nil spec says that
// the plugin takes no configuration: there must be none, and there are no bytes. A faulty configuration gives
// an *Error; a faulty schema any other error.
func Encode(spec *hclspecpb.Spec, config any, vars map[string]cty.Value) ([]byte, error) {
	v, err := Evaluate(spec, config, vars)
	if err != nil || v == cty.NilVal {
		return nil, err
	}
	return Marshal(v)
}

// Evaluate is Encode without the last step; cty.NilVal stands for no bytes.
func Evaluate(spec *hclspecpb.Spec, config any, vars map[string]cty.Value) (cty.Value, error) {
	e := &evaluator{vars: vars}
	body, ok := e.body("", normal(config))
	if spec == nil {
		if ok && len(body) > 0 {
			e.fault("", "no configuration is taken here")
		}
		return cty.NilVal, e.err()
	}
	if !ok {
		return cty.NilVal, e.err()
	}
	v, err := e.spec(spec, body, "")
	if err != nil {
		return cty.NilVal, fmt.Errorf("evaluate configuration: faulty schema: %w", err)
	}
	if err := e.err(); err != nil {
		return cty.NilVal, err
	}
	if v.IsNull() || !(v.Type().IsObjectType() || v.Type().IsMapType()) {
		return cty.NilVal, fmt.Errorf("evaluate configuration: faulty schema: its root is %s, not an object", v.Type().FriendlyName())
	}
	return v, nil
}

// Marshal writes a value as plugins expect it: without types, names in order, numbers in their smallest form.
// Fractions are float64 even where that is not exact. A whole number beyond 64 bits becomes text.
func Marshal(v cty.Value) ([]byte, error) {
	return appendValue(nil, v)
}

func appendValue(b []byte, v cty.Value) ([]byte, error) {
	if v.IsMarked() {
		return nil, fmt.Errorf("encode configuration: value carries marks")
	}
	if v.IsNull() {
		return append(b, 0xc0), nil
	}
	if !v.IsKnown() {
		return nil, fmt.Errorf("encode configuration: value is not known yet")
	}
	t := v.Type()
	switch {
	case t == cty.Bool:
		if v.True() {
			return append(b, 0xc3), nil
		}
		return append(b, 0xc2), nil
	case t == cty.String:
		return appendText(b, v.AsString()), nil
	case t == cty.Number:
		return appendNumber(b, v.AsBigFloat()), nil
	case t.IsListType(), t.IsSetType(), t.IsTupleType():
		b = appendHead(b, v.LengthInt(), 0x90, 16, 0xdc)
		var err error
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			if b, err = appendValue(b, e); err != nil {
				return nil, err
			}
		}
		return b, nil
	case t.IsMapType(), t.IsObjectType():
		m := v.AsValueMap()
		names := make([]string, 0, len(m))
		for name := range m {
			names = append(names, name)
		}
		sort.Strings(names)
		b = appendHead(b, len(names), 0x80, 16, 0xde)
		var err error
		for _, name := range names {
			b = appendText(b, name)
			if b, err = appendValue(b, m[name]); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("encode configuration: %s cannot be sent to a plugin", t.FriendlyName())
}

// appendHead writes the head of a list or a map: small counts within the first byte, larger ones behind wide or
// wide+1.
func appendHead(b []byte, n int, small byte, limit int, wide byte) []byte {
	switch {
	case n < limit:
		return append(b, small|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, wide), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, wide+1), uint32(n))
}

func appendText(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		b = append(b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

func appendNumber(b []byte, f *big.Float) []byte {
	if !f.IsInt() {
		n, _ := f.Float64()
		return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(n))
	}
	n, acc := f.Int64()
	if acc != big.Exact {
		return appendText(b, f.Text('f', 0))
	}
	switch {
	case n >= 0 && n <= 0x7f, n < 0 && n >= -32:
		return append(b, byte(n))
	case n >= 0 && n <= math.MaxUint8:
		return append(b, 0xcc, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(n))
	case n >= 0 && n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(n))
	case n >= 0:
		return binary.BigEndian.AppendUint64(append(b, 0xcf), uint64(n))
	case n >= math.MinInt8:
		return append(b, 0xd0, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
}
