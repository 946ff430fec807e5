package jobspec

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// locals evaluates local values in the order of their references.
func (d *decoder) locals(items []item, sc *scope) {
	exprs := map[string]*hcl.Attribute{}
	for _, it := range items {
		if it.name != "locals" {
			continue
		}
		attrs, diags := it.body.JustAttributes()
		d.hcl(diags)
		for _, a := range sortedAttrs(attrs) {
			if first := exprs[a.Name]; first != nil {
				d.warnf(a.NameRange, "local value %q is defined twice; this one wins", a.Name)
			}
			exprs[a.Name] = a
		}
	}
	d.localNames = sortedKeys(exprs)
	done := map[string]cty.Value{}
	state := map[string]int{} // 1: under way, 2: done
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		a := exprs[name]
		if a == nil || state[name] == 2 {
			return
		}
		path = append(path, "local."+name)
		if state[name] == 1 {
			d.errorf(a.NameRange, "local value %q refers to itself: %s", name, strings.Join(path, " → "))
			return
		}
		state[name] = 1
		// Only what a value refers to is put before it, lest many of them
		// cost as much as their square.
		var needs []string
		all := false
		for _, t := range a.Expr.Variables() {
			if t.RootName() != "local" {
				continue
			}
			if m, ok := member(t); ok {
				visit(m, path)
				needs = append(needs, m)
				continue
			}
			all = true
			for _, other := range sortedKeys(exprs) {
				if other != name {
					visit(other, path)
				}
			}
		}
		inner := &scope{ctx: sc.ctx.NewChild()}
		before := done
		if !all {
			before = make(map[string]cty.Value, len(needs))
			for _, m := range needs {
				if v, ok := done[m]; ok {
					before[m] = v
				}
			}
		}
		inner.ctx.Variables = map[string]cty.Value{"local": cty.ObjectVal(before)}
		if !d.full(false) && !d.cyclic(name, exprs, state) {
			if v, ok := d.eval(a.Expr, inner); ok {
				done[name] = v
			}
		}
		if _, ok := done[name]; !ok {
			done[name] = cty.DynamicVal
		}
		state[name] = 2
	}
	for _, name := range sortedKeys(exprs) {
		visit(name, nil)
	}
	sc.ctx.Variables["local"] = cty.ObjectVal(done)
}

// member is the first attribute of a traversal.
func member(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	switch s := t[1].(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		if s.Key.Type() == cty.String && !s.Key.IsNull() {
			return s.Key.AsString(), true
		}
	}
	return "", false
}

// cyclic reports whether a local value waits for one that is under way, so
// that evaluating it would only repeat the fault already reported.
func (d *decoder) cyclic(name string, exprs map[string]*hcl.Attribute, state map[string]int) bool {
	for _, t := range exprs[name].Expr.Variables() {
		if m, ok := member(t); ok && t.RootName() == "local" && exprs[m] != nil && state[m] == 1 {
			return true
		}
	}
	return false
}
