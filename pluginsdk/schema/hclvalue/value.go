package hclvalue

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// maxExponent bounds numbers, as a power of two.
const maxExponent = 1100

// value turns a decoded value into one of type want. What does not fit becomes a fault, and null.
func (e *evaluator) value(v any, want cty.Type, path string) cty.Value {
	if e.depth++; e.depth > maxDepth {
		e.depth--
		e.fault(path, "nested deeper than %d levels", maxDepth)
		return cty.NullVal(want)
	}
	defer func() { e.depth-- }()
	switch v := v.(type) {
	case nil:
		return cty.NullVal(want)
	case map[string]any:
		return e.object(v, want, path)
	case []any:
		return e.list(v, want, path)
	}
	scalar, ok := e.scalar(v, path)
	if !ok {
		return cty.NullVal(want)
	}
	if !e.moderate(scalar, path) {
		return cty.NullVal(want)
	}
	if elem, many := elementType(want); many && !isMany(scalar.Type()) {
		return e.collect([]cty.Value{e.convert(scalar, elem, path)}, want, path)
	}
	return e.convert(scalar, want, path)
}

// object takes a map for a map, an object, anything, or a list of such.
func (e *evaluator) object(m map[string]any, want cty.Type, path string) cty.Value {
	if elem, many := elementType(want); many {
		return e.collect([]cty.Value{e.value(m, elem, path)}, want, path)
	}
	out := make(map[string]cty.Value, len(m))
	for _, key := range sortedKeys(m) {
		p := join(path, key)
		t := cty.DynamicPseudoType
		switch {
		case want.IsMapType():
			t = want.ElementType()
		case want.IsObjectType():
			if !want.HasAttribute(key) {
				e.fault(p, "no argument is named %q", key)
				continue
			}
			t = want.AttributeType(key)
		case want != cty.DynamicPseudoType:
			e.fault(path, "want %s, have %s", want.FriendlyName(), describe(m))
			return cty.NullVal(want)
		}
		out[e.key(key, p)] = e.value(m[key], t, p)
	}
	if want.IsObjectType() {
		for name := range want.AttributeTypes() {
			if _, ok := out[name]; !ok {
				if !want.AttributeOptional(name) {
					e.fault(join(path, name), "required and not given")
				}
				out[name] = cty.NullVal(want.AttributeType(name))
			}
		}
	} else if want != cty.DynamicPseudoType && !want.IsMapType() {
		e.fault(path, "want %s, have %s", want.FriendlyName(), describe(m))
		return cty.NullVal(want)
	}
	return cty.ObjectVal(out)
}

// list takes a slice for a list, a set, a tuple or anything, and a slice of one for its element.
func (e *evaluator) list(list []any, want cty.Type, path string) cty.Value {
	elem, many := elementType(want)
	switch {
	case many, want == cty.DynamicPseudoType:
		if !many {
			elem = cty.DynamicPseudoType
		}
		out := make([]cty.Value, len(list))
		for i, v := range list {
			out[i] = e.value(v, elem, path+"["+strconv.Itoa(i)+"]")
		}
		return e.collect(out, want, path)
	case want.IsTupleType():
		types := want.TupleElementTypes()
		if len(types) != len(list) {
			e.fault(path, "want %d values, have %d", len(types), len(list))
			return cty.NullVal(want)
		}
		out := make([]cty.Value, len(list))
		for i, v := range list {
			out[i] = e.value(v, types[i], path+"["+strconv.Itoa(i)+"]")
		}
		return cty.TupleVal(out)
	case len(list) == 1:
		return e.value(list[0], want, path)
	case len(list) == 0 && (want.IsMapType() || want.IsObjectType()):
		return cty.NullVal(want)
	}
	e.fault(path, "want %s, have %s", want.FriendlyName(), describe(list))
	return cty.NullVal(want)
}

// collect makes a list of values that have their types already. Only sets need more than the values in order.
func (e *evaluator) collect(values []cty.Value, want cty.Type, _ string) cty.Value {
	if want.IsSetType() {
		values = distinct(values)
	}
	return cty.TupleVal(values)
}

// elementType is the type of the elements where a type holds any number of them in a row.
func elementType(t cty.Type) (cty.Type, bool) {
	if t.IsListType() || t.IsSetType() {
		return t.ElementType(), true
	}
	return cty.NilType, false
}

func isMany(t cty.Type) bool { return t.IsListType() || t.IsSetType() || t.IsTupleType() }

// scalar makes a value of a string, a bool or a number.
func (e *evaluator) scalar(v any, path string) (cty.Value, bool) {
	switch v := v.(type) {
	case string:
		return e.template(v, path)
	case bool:
		return cty.BoolVal(v), true
	case int64:
		return cty.NumberIntVal(v), true
	case uint64:
		return cty.NumberUIntVal(v), true
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			e.fault(path, "%v is not a number", v)
			return cty.NilVal, false
		}
		return cty.NumberFloatVal(v), true
	case json.Number:
		n, err := cty.ParseNumberVal(v.String())
		if err != nil {
			e.fault(path, "%q is not a number", v)
			return cty.NilVal, false
		}
		return n, true
	}
	e.fault(path, "a value of type %T cannot be configured", v)
	return cty.NilVal, false
}

// template evaluates a string where there are variables.
func (e *evaluator) template(s, path string) (cty.Value, bool) {
	if e.vars == nil || !strings.Contains(s, "${") && !strings.Contains(s, "%{") {
		return cty.StringVal(s), true
	}
	expr, diags := hclsyntax.ParseTemplate([]byte(s), path, hcl.InitialPos)
	if !diags.HasErrors() {
		var v cty.Value
		v, diags = expr.Value(&hcl.EvalContext{Variables: e.vars, Functions: functions()})
		if !diags.HasErrors() {
			if !v.IsWhollyKnown() {
				e.fault(path, "%q has no value yet", s)
				return cty.NilVal, false
			}
			v, _ = v.UnmarkDeep()
			return v, true
		}
	}
	e.fault(path, "%q: %s", s, summary(diags))
	return cty.NilVal, false
}

func (e *evaluator) key(s, path string) string {
	v, ok := e.template(s, path)
	if !ok {
		return s
	}
	text := e.convert(v, cty.String, path)
	if text.IsNull() {
		return s
	}
	return text.AsString()
}

// convert applies the language's own conversions.
func (e *evaluator) convert(v cty.Value, want cty.Type, path string) cty.Value {
	out, err := convert.Convert(v, want)
	if err != nil {
		e.fault(path, "want %s, have %s", want.FriendlyName(), describeValue(v))
		return cty.NullVal(want)
	}
	if !e.moderate(out, path) {
		return cty.NullVal(want)
	}
	return out
}

// moderate refuses numbers far beyond float64: a few characters can name one of a billion digits, before the point
// or behind it, and writing it out would take all memory.
func (e *evaluator) moderate(v cty.Value, path string) bool {
	if v.IsNull() || v.Type() != cty.Number {
		return true
	}
	f := v.AsBigFloat()
	if exp := f.MantExp(nil); f.IsInf() || exp > maxExponent || exp < -maxExponent {
		e.fault(path, "number is out of range")
		return false
	}
	return true
}

func describeValue(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	switch v.Type() {
	case cty.String:
		return describe(v.AsString())
	case cty.Number:
		return v.AsBigFloat().Text('g', -1)
	case cty.Bool:
		return strconv.FormatBool(v.True())
	}
	return v.Type().FriendlyName()
}

func summary(diags hcl.Diagnostics) string {
	var texts []string
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			texts = append(texts, strings.TrimSuffix(d.Summary+": "+d.Detail, "."))
		}
	}
	return strings.Join(texts, "; ")
}

// typeOf reads a type expression of a schema.
func typeOf(text string) (cty.Type, error) {
	expr, diags := hclsyntax.ParseExpression([]byte(text), "type", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilType, fmt.Errorf("type %q: %s", text, summary(diags))
	}
	t, diags := typeexpr.TypeConstraint(expr)
	if diags.HasErrors() {
		return cty.NilType, fmt.Errorf("type %q: %s", text, summary(diags))
	}
	return t, nil
}

// literal evaluates an expression of a schema.
func literal(text string) (cty.Value, error) {
	expr, diags := hclsyntax.ParseExpression([]byte(text), "literal", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, fmt.Errorf("literal %q: %s", text, summary(diags))
	}
	v, diags := expr.Value(&hcl.EvalContext{Functions: functions()})
	if diags.HasErrors() {
		return cty.NilVal, fmt.Errorf("literal %q: %s", text, summary(diags))
	}
	if !v.IsWhollyKnown() {
		return cty.NilVal, errors.New("literal " + strconv.Quote(text) + " has no value")
	}
	return v, nil
}

// functions are those that schemas may use.
var functions = sync.OnceValue(func() map[string]function.Function {
	return map[string]function.Function{
		"abs":        stdlib.AbsoluteFunc,
		"coalesce":   stdlib.CoalesceFunc,
		"concat":     stdlib.ConcatFunc,
		"hasindex":   stdlib.HasIndexFunc,
		"int":        stdlib.IntFunc,
		"jsondecode": stdlib.JSONDecodeFunc,
		"jsonencode": stdlib.JSONEncodeFunc,
		"length":     stdlib.LengthFunc,
		"lower":      stdlib.LowerFunc,
		"max":        stdlib.MaxFunc,
		"min":        stdlib.MinFunc,
		"reverse":    stdlib.ReverseFunc,
		"strlen":     stdlib.StrlenFunc,
		"substr":     stdlib.SubstrFunc,
		"upper":      stdlib.UpperFunc,
	}
})

// normal brings decoded values down to a few types: nil, string, bool, int64, uint64, float64, json.Number,
// []any and map[string]any. Others are left for the evaluator to refuse.
func normal(v any) any {
	switch v := v.(type) {
	case nil, string, bool, int64, uint64, float64, json.Number:
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = normal(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = normal(x)
		}
		return out
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return r.Uint()
	case reflect.Float32, reflect.Float64:
		return r.Float()
	case reflect.String:
		return r.String()
	case reflect.Bool:
		return r.Bool()
	case reflect.Pointer:
		if r.IsNil() {
			return nil
		}
		return normal(r.Elem().Interface())
	case reflect.Slice, reflect.Array:
		out := make([]any, r.Len())
		for i := range out {
			out[i] = normal(r.Index(i).Interface())
		}
		return out
	case reflect.Map:
		if r.Type().Key().Kind() != reflect.String {
			return v
		}
		if r.IsNil() {
			return nil
		}
		out := make(map[string]any, r.Len())
		for it := r.MapRange(); it.Next(); {
			out[it.Key().String()] = normal(it.Value().Interface())
		}
		return out
	}
	return v
}

// describe names a decoded value in a message, shortened.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		if len(v) > 40 {
			v = v[:37] + "..."
		}
		return strconv.Quote(v)
	case map[string]any:
		return fmt.Sprintf("an object of %d", len(v))
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	}
	return fmt.Sprint(v)
}
