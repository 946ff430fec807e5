package jobspec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// evalJSON evaluates an expression of the JSON form of HCL: every string in
// it, keys included, is a template.
func (d *decoder) evalJSON(e hcl.Expression, sc *scope) (cty.Value, bool) {
	raw, diags := e.Value(nil) // without a context strings stay as written
	d.hcl(diags)
	if diags.HasErrors() {
		return cty.DynamicVal, false
	}
	switch t := raw.Type(); {
	case raw.IsNull():
		return raw, true
	case t == cty.String:
		return d.template(raw.AsString(), e.StartRange(), sc)
	case t.IsTupleType():
		exprs, diags := hcl.ExprList(e)
		d.hcl(diags)
		ok := !diags.HasErrors()
		vals := make([]cty.Value, 0, len(exprs))
		for _, x := range exprs {
			v, good := d.evalJSON(x, sc)
			vals, ok = append(vals, v), ok && good
		}
		return cty.TupleVal(vals), ok
	case t.IsObjectType():
		kvs, diags := hcl.ExprMap(e)
		d.hcl(diags)
		ok := !diags.HasErrors()
		vals := make(map[string]cty.Value, len(kvs))
		for _, kv := range kvs {
			key, good := d.evalJSON(kv.Key, sc)
			if !good {
				ok = false
				continue
			}
			name, err := text(key)
			if err != nil {
				d.errorf(kv.Key.Range(), "a key must be a string")
				ok = false
				continue
			}
			v, good := d.evalJSON(kv.Value, sc)
			vals[name], ok = v, ok && good
		}
		return cty.ObjectVal(vals), ok
	}
	if tooLarge(raw) {
		d.errorf(e.StartRange(), "the number is too large or infinite")
		return cty.DynamicVal, false
	}
	return raw, true
}

// template evaluates the text of a JSON string.
func (d *decoder) template(s string, rng hcl.Range, sc *scope) (cty.Value, bool) {
	// The string begins one column after its quote. Escapes make later
	// columns approximate.
	start := hcl.Pos{Line: rng.Start.Line, Column: rng.Start.Column + 1}
	src := []byte(s)
	tokens, diags := hclsyntax.LexTemplate(src, rng.Filename, start)
	if !diags.HasErrors() && !d.checkTokens(tokens) {
		return cty.DynamicVal, false
	}
	e, diags := hclsyntax.ParseTemplate(src, rng.Filename, start)
	d.hcl(diags)
	if diags.HasErrors() || !d.literals(e) {
		return cty.DynamicVal, false
	}
	return d.evalNative(e, src, sc)
}
