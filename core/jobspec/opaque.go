package jobspec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// mapBody decodes a body of free names with scalar values (or, for headers,
// lists of them).
func (d *decoder) mapBody(body hcl.Body, row *block, sc *scope) map[string]any {
	if native, ok := body.(*hclsyntax.Body); ok {
		for _, b := range native.Blocks {
			d.errorf(b.TypeRange, "%s holds names and values only, no blocks", row.name)
		}
		body = &hclsyntax.Body{Attributes: native.Attributes, SrcRange: native.SrcRange, EndRange: native.EndRange}
	}
	attrs, diags := body.JustAttributes()
	d.hcl(diags)
	out := make(map[string]any, len(attrs))
	for _, a := range sortedAttrs(attrs) {
		v, ok := d.eval(a.Expr, sc)
		if !ok {
			continue
		}
		var x any
		var err error
		if row.spec.open == openLists {
			if v.IsNull() {
				err = errNull
			} else {
				x, err = typed(&attr{kind: kindStrings}, v)
			}
		} else {
			x, err = text(v)
		}
		if err != nil {
			d.errorf(a.Expr.Range(), "%s: %v", a.Name, err)
			continue
		}
		out[a.Name] = x
	}
	return out
}

// opaqueBody decodes a body whose meaning only its reader knows, such as a
// driver's config. Nested blocks become lists of maps; a literal object as the
// whole value of an attribute is written like a block, and so becomes one too.
// The word dynamic means nothing here.
func (d *decoder) opaqueBody(body hcl.Body, sc *scope) map[string]any {
	native, ok := body.(*hclsyntax.Body)
	if !ok {
		return d.opaqueJSON(body, sc)
	}
	out := map[string]any{}
	for _, a := range inSource(native.Attributes) {
		v, ok := d.eval(a.Expr, sc)
		if !ok || v.IsNull() {
			continue
		}
		x, err := plain(v)
		if err != nil {
			d.errorf(a.Expr.Range(), "%s: %v", a.Name, err)
			continue
		}
		if _, literal := a.Expr.(*hclsyntax.ObjectConsExpr); literal {
			x = []any{x}
		}
		out[a.Name] = x
	}
	blocks := map[string][]any{}
	for _, b := range native.Blocks {
		if a := native.Attributes[b.Type]; a != nil {
			d.warnf(a.NameRange, "%s is written both as an attribute and as a block; only the block counts", b.Type)
		}
		x := any(d.opaqueBody(b.Body, sc))
		for i := len(b.Labels) - 1; i >= 0; i-- {
			x = map[string]any{b.Labels[i]: []any{x}}
		}
		blocks[b.Type] = append(blocks[b.Type], x)
	}
	for name, list := range blocks {
		out[name] = list
	}
	return out
}

func (d *decoder) opaqueJSON(body hcl.Body, sc *scope) map[string]any {
	attrs, diags := body.JustAttributes()
	d.hcl(diags)
	out := make(map[string]any, len(attrs))
	for _, a := range sortedAttrs(attrs) {
		v, ok := d.eval(a.Expr, sc)
		if !ok || v.IsNull() {
			continue
		}
		x, err := plain(v)
		if err != nil {
			d.errorf(a.Expr.Range(), "%s: %v", a.Name, err)
			continue
		}
		out[a.Name] = x
	}
	return out
}
