package hclvalue

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
)

// maxDepth bounds the nesting of schemas and of values.
const maxDepth = 64

// evaluator collects faults while it walks a schema. An error of one of its methods is a fault of the schema,
// not of the configuration.
type evaluator struct {
	vars   map[string]cty.Value
	faults []Fault
	depth  int
}

func (e *evaluator) fault(path, format string, args ...any) {
	e.faults = append(e.faults, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (e *evaluator) err() error {
	if len(e.faults) == 0 {
		return nil
	}
	return &Error{Faults: e.faults}
}

// body makes a block's content of a value: an object, a list of one, or nothing.
func (e *evaluator) body(path string, v any) (map[string]any, bool) {
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	switch v := v.(type) {
	case nil:
		return map[string]any{}, true
	case map[string]any:
		return v, true
	case []any:
		if len(v) == 0 {
			return map[string]any{}, true
		}
	}
	e.fault(path, "want one block, have %s", describe(v))
	return nil, false
}

// spec evaluates a node over the content of one block.
func (e *evaluator) spec(s *hclspecpb.Spec, body map[string]any, path string) (cty.Value, error) {
	if e.depth++; e.depth > maxDepth {
		return cty.NilVal, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	defer func() { e.depth-- }()
	names := map[string]bool{}
	if err := collect(s, "", names, 0); err != nil {
		return cty.NilVal, at(path, err)
	}
	e.unknown(body, names, path)
	return e.node(s, "", body, path)
}

// unknown faults what no part of the schema asks for.
func (e *evaluator) unknown(body map[string]any, names map[string]bool, path string) {
	var extra []string
	for name := range body {
		// In HCL's JSON form this name holds comments.
		if !names[name] && name != "//" {
			extra = append(extra, name)
		}
	}
	if len(extra) == 0 {
		return
	}
	sort.Strings(extra)
	known := make([]string, 0, len(names))
	for name := range names {
		known = append(known, name)
	}
	sort.Strings(known)
	advice := "nothing is taken here"
	if len(known) > 0 {
		advice = "there are " + strings.Join(known, ", ")
	}
	for _, name := range extra {
		e.fault(join(path, name), "no argument or block type is named %q; %s", name, advice)
	}
}

// collect finds the names that a node takes from its block. Implied is the name that an empty one stands for.
func collect(s *hclspecpb.Spec, implied string, names map[string]bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	name := ""
	switch b := s.GetBlock().(type) {
	case *hclspecpb.Spec_Object:
		for key, child := range b.Object.GetAttributes() {
			if err := collect(child, key, names, depth+1); err != nil {
				return err
			}
		}
		return nil
	case *hclspecpb.Spec_Array:
		for _, child := range b.Array.GetValues() {
			if err := collect(child, "", names, depth+1); err != nil {
				return err
			}
		}
		return nil
	case *hclspecpb.Spec_Default:
		if err := collect(b.Default.GetPrimary(), "", names, depth+1); err != nil {
			return err
		}
		return collect(b.Default.GetDefault(), "", names, depth+1)
	case *hclspecpb.Spec_Literal:
		return nil
	case *hclspecpb.Spec_Attr:
		name = b.Attr.GetName()
	case *hclspecpb.Spec_BlockValue:
		name = b.BlockValue.GetName()
	case *hclspecpb.Spec_BlockAttrs:
		name = b.BlockAttrs.GetName()
	case *hclspecpb.Spec_BlockList:
		name = b.BlockList.GetName()
	case *hclspecpb.Spec_BlockSet:
		name = b.BlockSet.GetName()
	case *hclspecpb.Spec_BlockMap:
		name = b.BlockMap.GetName()
	default:
		return errors.New("a node says nothing")
	}
	if name == "" {
		name = implied
	}
	if name == "" {
		return errors.New("a node has no name and none is implied")
	}
	names[name] = true
	return nil
}

func or(name, implied string) string {
	if name == "" {
		return implied
	}
	return name
}

func (e *evaluator) node(s *hclspecpb.Spec, implied string, body map[string]any, path string) (cty.Value, error) {
	switch b := s.GetBlock().(type) {
	case *hclspecpb.Spec_Object:
		out := make(map[string]cty.Value, len(b.Object.GetAttributes()))
		keys := make([]string, 0, len(b.Object.GetAttributes()))
		for key := range b.Object.GetAttributes() {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		for _, key := range keys {
			v, err := e.node(b.Object.GetAttributes()[key], key, body, path)
			if err != nil {
				return cty.NilVal, err
			}
			out[key] = v
		}
		return cty.ObjectVal(out), nil
	case *hclspecpb.Spec_Array:
		out := make([]cty.Value, len(b.Array.GetValues()))
		for i, child := range b.Array.GetValues() {
			v, err := e.node(child, "", body, path)
			if err != nil {
				return cty.NilVal, err
			}
			out[i] = v
		}
		return cty.TupleVal(out), nil
	case *hclspecpb.Spec_Default:
		before := len(e.faults)
		v, err := e.node(b.Default.GetPrimary(), "", body, path)
		if err != nil || !v.IsNull() || len(e.faults) > before {
			return v, err
		}
		return e.node(b.Default.GetDefault(), "", body, path)
	case *hclspecpb.Spec_Literal:
		v, err := literal(b.Literal.GetValue())
		return v, at(path, err)
	case *hclspecpb.Spec_Attr:
		return e.attr(or(b.Attr.GetName(), implied), b.Attr, body, path)
	case *hclspecpb.Spec_BlockAttrs:
		return e.blockAttrs(or(b.BlockAttrs.GetName(), implied), b.BlockAttrs, body, path)
	case *hclspecpb.Spec_BlockValue:
		return e.block(or(b.BlockValue.GetName(), implied), b.BlockValue, body, path)
	case *hclspecpb.Spec_BlockList:
		l := b.BlockList
		return e.blocks(or(l.GetName(), implied), l.GetNested(), l.GetMinItems(), l.GetMaxItems(), false, body, path)
	case *hclspecpb.Spec_BlockSet:
		l := b.BlockSet
		return e.blocks(or(l.GetName(), implied), l.GetNested(), l.GetMinItems(), l.GetMaxItems(), true, body, path)
	case *hclspecpb.Spec_BlockMap:
		name := or(b.BlockMap.GetName(), implied)
		if len(b.BlockMap.GetLabels()) == 0 {
			return cty.NilVal, at(join(path, name), errors.New("labelled blocks without a label"))
		}
		return e.labelled(b.BlockMap.GetLabels(), b.BlockMap.GetNested(), body[name], join(path, name))
	}
	return cty.NilVal, at(path, errors.New("a node says nothing"))
}

// absent is a value that counts as not given.
func absent(v any) bool { return v == nil }

func (e *evaluator) attr(name string, a *hclspecpb.Attr, body map[string]any, path string) (cty.Value, error) {
	path = join(path, name)
	t, err := typeOf(a.GetType())
	if err != nil {
		return cty.NilVal, at(path, err)
	}
	v := body[name]
	if absent(v) {
		if a.GetRequired() {
			e.fault(path, "required and not given")
		}
		return cty.NullVal(t), nil
	}
	return e.value(v, t, path), nil
}

func (e *evaluator) blockAttrs(name string, a *hclspecpb.BlockAttrs, body map[string]any, path string) (cty.Value, error) {
	path = join(path, name)
	t, err := typeOf(a.GetType())
	if err != nil {
		return cty.NilVal, at(path, err)
	}
	v := body[name]
	if list, ok := v.([]any); ok && len(list) == 0 {
		v = nil
	}
	if absent(v) {
		if a.GetRequired() {
			e.fault(path, "required and not given")
		}
		return cty.NullVal(cty.Map(t)), nil
	}
	free, ok := e.body(path, v)
	if !ok {
		return cty.NullVal(cty.Map(t)), nil
	}
	out := make(map[string]cty.Value, len(free))
	for _, key := range sortedKeys(free) {
		out[key] = e.value(free[key], t, join(path, key))
	}
	return cty.ObjectVal(out), nil
}

// items spreads a value over blocks: an object is one, a list is each of its own.
func (e *evaluator) items(v any, path string) []item {
	switch v := v.(type) {
	case nil:
		return nil
	case map[string]any:
		return []item{{v, path}}
	case []any:
		var out []item
		for i, x := range v {
			p := path + "[" + strconv.Itoa(i) + "]"
			if m, ok := x.(map[string]any); ok {
				out = append(out, item{m, p})
			} else if x != nil {
				e.fault(p, "want a block, have %s", describe(x))
			}
		}
		return out
	}
	e.fault(path, "want blocks, have %s", describe(v))
	return nil
}

type item struct {
	body map[string]any
	path string
}

func (e *evaluator) block(name string, b *hclspecpb.Block, body map[string]any, path string) (cty.Value, error) {
	path = join(path, name)
	items := e.items(body[name], path)
	switch {
	case len(items) > 1:
		e.fault(path, "only one block may be given, there are %d", len(items))
	case len(items) == 1:
		return e.spec(b.GetNested(), items[0].body, path)
	case b.GetRequired():
		e.fault(path, "required and not given")
	}
	return cty.NullVal(cty.DynamicPseudoType), nil
}

func (e *evaluator) blocks(name string, nested *hclspecpb.Spec, least, most uint64, set bool, body map[string]any, path string) (cty.Value, error) {
	path = join(path, name)
	items := e.items(body[name], path)
	if n := uint64(len(items)); n < least {
		e.fault(path, "at least %d blocks must be given, there are %d", least, n)
	} else if most > 0 && n > most {
		e.fault(path, "at most %d blocks may be given, there are %d", most, n)
	}
	values := make([]cty.Value, 0, len(items))
	for _, it := range items {
		v, err := e.spec(nested, it.body, it.path)
		if err != nil {
			return cty.NilVal, err
		}
		values = append(values, v)
	}
	if set {
		values = distinct(values)
	}
	return cty.TupleVal(values), nil
}

// distinct drops repeated values, and orders values of one type as sets do.
func distinct(values []cty.Value) []cty.Value {
	if len(values) == 0 {
		return values
	}
	alike := true
	for _, v := range values[1:] {
		alike = alike && v.Type().Equals(values[0].Type())
	}
	if alike {
		return cty.SetVal(values).AsValueSlice()
	}
	var out []cty.Value
	for _, v := range values {
		seen := false
		for _, o := range out {
			seen = seen || o.RawEquals(v)
		}
		if !seen {
			out = append(out, v)
		}
	}
	return out
}

// labelled gathers blocks by their labels, one level of map for each.
func (e *evaluator) labelled(labels []string, nested *hclspecpb.Spec, v any, path string) (cty.Value, error) {
	out := map[string]cty.Value{}
	given := map[string][]any{}
	for _, it := range e.items(v, path) {
		for _, label := range sortedKeys(it.body) {
			given[label] = append(given[label], spread(it.body[label])...)
		}
	}
	for _, label := range sortedKeys(given) {
		p := join(path, label)
		if len(labels) > 1 {
			v, err := e.labelled(labels[1:], nested, given[label], p)
			if err != nil {
				return cty.NilVal, err
			}
			out[label] = v
			continue
		}
		items := e.items(given[label], p)
		if len(items) != 1 {
			if len(items) > 1 {
				e.fault(p, "%d blocks have the same %s", len(items), labels[0])
			}
			continue
		}
		v, err := e.spec(nested, items[0].body, p)
		if err != nil {
			return cty.NilVal, err
		}
		out[label] = v
	}
	return cty.ObjectVal(out), nil
}

func spread(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// at puts the place into an error of the schema.
func at(path string, err error) error {
	if err == nil || path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
