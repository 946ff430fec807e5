package jobspec

import (
	"bytes"
	"fmt"
	"os"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// envPrefix marks environment variables that set variables of job files.
const envPrefix = "NOMAD_VAR_"

// A VarFile is a file of variable values, HCL or JSON by its content.
type VarFile struct {
	Name   string
	Source []byte
}

// ReadVarFiles reads variable files in order.
func ReadVarFiles(paths ...string) ([]VarFile, error) {
	var files []VarFile
	for _, p := range paths {
		src, err := os.ReadFile(p)
		if err != nil {
			return nil, fmt.Errorf("read variable file: %w", err)
		}
		files = append(files, VarFile{Name: p, Source: src})
	}
	return files, nil
}

// A variable is one declaration and the value it gets.
type variable struct {
	name   string
	rng    hcl.Range
	typ    cty.Type // cty.DynamicPseudoType if undeclared and without default
	value  cty.Value
	isSet  bool
	checks []check
}

// A check is a validation block of a variable.
type check struct {
	condition hcl.Expression
	message   hcl.Expression
}

var variableSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}, {Name: "description"}},
	Blocks:     []hcl.BlockHeaderSchema{{Type: "validation"}},
}

var validationSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "condition", Required: true}, {Name: "error_message", Required: true}},
}

// variables reads the declarations of a file.
func (d *decoder) variables(items []item) map[string]*variable {
	vars := map[string]*variable{}
	declare := func(v *variable) {
		if !hclsyntax.ValidIdentifier(v.name) {
			d.errorf(v.rng, "%s is not a name for a variable: letters, digits, _ and - only, not beginning with a digit", quoted(v.name))
			return
		}
		if first := vars[v.name]; first != nil {
			d.errorf(v.rng, "variable %q is declared twice; the first is in line %d", v.name, first.rng.Start.Line)
			return
		}
		vars[v.name] = v
	}
	for _, it := range items {
		switch it.name {
		case "variable":
			if len(it.labels) != 1 {
				d.errorf(it.rng, "variable needs one name: write variable \"name\" { … }")
				continue
			}
			declare(d.variable(it))
		case "variables":
			if len(it.labels) > 0 {
				d.errorf(it.rng, "variables takes no name")
			}
			attrs, diags := it.body.JustAttributes()
			d.hcl(diags)
			for _, a := range sortedAttrs(attrs) {
				v := &variable{name: a.Name, rng: a.NameRange, typ: cty.DynamicPseudoType, value: cty.NilVal}
				if value, ok := d.constant(a.Expr); ok {
					v.typ, v.value, v.isSet = value.Type(), value, true
				}
				declare(v)
			}
		}
	}
	return vars
}

func sortedAttrs(attrs hcl.Attributes) []*hcl.Attribute {
	list := make([]*hcl.Attribute, 0, len(attrs))
	for _, a := range attrs {
		list = append(list, a)
	}
	inOrder(list)
	return list
}

// constant evaluates an expression that may refer to nothing.
func (d *decoder) constant(e hcl.Expression) (cty.Value, bool) {
	if n, ok := e.(hclsyntax.Node); ok && !d.literals(n) {
		return cty.DynamicVal, false
	}
	return d.checked(e.Range(), e, nil)
}

func (d *decoder) variable(it item) *variable {
	v := &variable{name: it.labels[0], rng: it.rng, typ: cty.DynamicPseudoType}
	content, diags := it.body.Content(variableSchema)
	d.hcl(diags)
	typed := false
	if a := content.Attributes["type"]; a != nil {
		t, diags := typeexpr.Type(a.Expr)
		d.hcl(diags)
		if !diags.HasErrors() {
			v.typ, typed = t, true
		}
	}
	if a := content.Attributes["default"]; a != nil {
		if value, ok := d.constant(a.Expr); ok {
			if typed {
				converted, err := convert.Convert(value, v.typ)
				if err != nil {
					d.errorf(a.Expr.Range(), "the default of variable %q does not fit its type: %v", v.name, err)
				}
				value = converted
			} else if !value.IsNull() {
				v.typ = value.Type()
			}
			v.value, v.isSet = value, true
		} else {
			v.value, v.isSet = cty.DynamicVal, true
		}
	}
	if a := content.Attributes["description"]; a != nil {
		if value, ok := d.constant(a.Expr); ok && (value.IsNull() || value.Type() != cty.String) {
			d.errorf(a.Expr.Range(), "description needs a string")
		}
	}
	for _, b := range content.Blocks {
		c, diags := b.Body.Content(validationSchema)
		d.hcl(diags)
		if diags.HasErrors() {
			continue
		}
		condition := c.Attributes["condition"].Expr
		mentioned, foreign := false, false
		for _, t := range condition.Variables() {
			if t.RootName() == "var" && len(t) > 1 {
				if m, ok := t[1].(hcl.TraverseAttr); ok && m.Name == v.name {
					mentioned = true
					continue
				}
			}
			d.errorf(t.SourceRange(), "the condition of variable %q may only refer to var.%s", v.name, v.name)
			foreign = true
		}
		if foreign {
			continue
		}
		if !mentioned {
			d.errorf(condition.Range(), "the condition of variable %q must refer to var.%s", v.name, v.name)
			continue
		}
		v.checks = append(v.checks, check{condition: condition, message: c.Attributes["error_message"].Expr})
	}
	return v
}

// assign gives the variables the values of the options: environment, then
// files, then flags, later ones winning.
func (d *decoder) assign(vars map[string]*variable, opts Options) {
	env := map[string]string{}
	for _, kv := range opts.Env {
		name, value, ok := strings.Cut(kv, "=")
		if bare, has := strings.CutPrefix(name, envPrefix); ok && has && vars[bare] != nil {
			env[bare] = value
		}
	}
	d.env = env
	for _, name := range sortedKeys(env) {
		d.assignText(vars[name], env[name], "environment variable "+envPrefix+name)
	}
	for _, f := range opts.VarFiles {
		d.assignFile(vars, f, opts.Strict)
	}
	for _, flag := range opts.Vars {
		name, value, ok := strings.Cut(flag, "=")
		if !ok {
			continue
		}
		v := vars[name]
		if v == nil {
			if opts.Strict {
				d.errorf(hcl.Range{}, "-var %s: no variable named %s is declared%s", brief(name), quoted(name), suggest(name, sortedKeys(vars)))
			}
			continue
		}
		d.assignText(v, value, "-var "+name)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// assignText sets a variable from text given outside of a file.
func (d *decoder) assignText(v *variable, s, origin string) {
	v.isSet = true
	if !utf8.ValidString(s) || len(s) > maxSource {
		d.errorf(hcl.Range{}, "%s: needs UTF-8 text of at most %d MiB", origin, maxSource>>20)
		return
	}
	switch {
	case v.typ == cty.String || v.typ == cty.DynamicPseudoType:
		v.value = cty.StringVal(s)
	case v.typ == cty.Number:
		n, err := cty.ParseNumberVal(s)
		if err != nil || tooLarge(n) {
			d.errorf(hcl.Range{}, "%s: needs a number, not %s", origin, quoted(s))
			return
		}
		v.value = n
	case v.typ == cty.Bool:
		b, err := truth(cty.StringVal(s))
		if err != nil {
			d.errorf(hcl.Range{}, "%s: %v", origin, err)
			return
		}
		v.value = cty.BoolVal(b.(bool))
	default:
		src, start := []byte(s), hcl.Pos{Line: 1, Column: 1}
		d.sources[origin] = src
		tokens, diags := hclsyntax.LexExpression(src, origin, start)
		if !diags.HasErrors() && !d.checkTokens(tokens) {
			return
		}
		e, diags := hclsyntax.ParseExpression(src, origin, start)
		d.hcl(diags)
		if diags.HasErrors() {
			return
		}
		if value, ok := d.constant(e); ok {
			d.set(v, value, hcl.Range{}, origin)
		}
	}
}

// set converts a value to the type of the variable.
func (d *decoder) set(v *variable, value cty.Value, rng hcl.Range, origin string) {
	converted, err := convert.Convert(value, v.typ)
	if err != nil {
		d.errorf(rng, "%s: the value of variable %q does not fit its type: %v", origin, v.name, err)
		return
	}
	v.value, v.isSet = converted, true
}

func (d *decoder) assignFile(vars map[string]*variable, f VarFile, strict bool) {
	d.sources[f.Name] = f.Source
	if len(f.Source) > maxSource {
		d.errorf(hcl.Range{Filename: f.Name}, "the variable file is larger than %d MiB", maxSource>>20)
		return
	}
	if !d.isText(f.Name, f.Source) {
		return
	}
	body, ok := d.parseBody(f.Name, f.Source)
	if !ok {
		return
	}
	attrs, diags := body.JustAttributes()
	d.hcl(diags)
	for _, a := range sortedAttrs(attrs) {
		v := vars[a.Name]
		if v == nil {
			if strict {
				d.errorf(a.NameRange, "no variable named %q is declared%s", a.Name, suggest(a.Name, sortedKeys(vars)))
			}
			continue
		}
		if native, ok := a.Expr.(hclsyntax.Node); ok && !d.literals(native) {
			continue
		}
		if value, ok := d.checked(a.Expr.Range(), a.Expr, &hcl.EvalContext{}); ok {
			d.set(v, value, a.Expr.Range(), "variable file")
		} else {
			v.isSet = true
		}
	}
}

// parseBody reads HCL or its JSON form, by content.
func (d *decoder) parseBody(name string, src []byte) (hcl.Body, bool) {
	var f *hcl.File
	var diags hcl.Diagnostics
	if looksLikeJSON(src) {
		if !d.checkJSON(name, src) {
			return nil, false
		}
		f, diags = hcljson.Parse(src, name)
	} else {
		start := hcl.Pos{Line: 1, Column: 1}
		tokens, lexed := hclsyntax.LexConfig(src, name, start)
		if !lexed.HasErrors() && !d.checkTokens(tokens) {
			return nil, false
		}
		f, diags = hclsyntax.ParseConfig(src, name, start)
	}
	d.hcl(diags)
	if diags.HasErrors() || f == nil {
		return nil, false
	}
	if body, ok := f.Body.(*hclsyntax.Body); ok && !d.literals(body) {
		return nil, false
	}
	return f.Body, true
}

func looksLikeJSON(src []byte) bool {
	src = bytes.TrimLeft(src, " \t\r\n")
	return len(src) > 0 && src[0] == '{'
}

// values checks the variables and makes the object that var stands for.
func (d *decoder) values(vars map[string]*variable, funcs map[string]function.Function) cty.Value {
	all := map[string]cty.Value{}
	for _, name := range sortedKeys(vars) {
		v := vars[name]
		if !v.isSet {
			d.errorf(v.rng, "variable %q has no value: set it with -var %s=…, a variable file or %s%s, or declare a default", name, name, envPrefix, name)
		}
		if v.value == cty.NilVal {
			all[name] = cty.DynamicVal
			continue
		}
		all[name] = v.value
		for _, c := range v.checks {
			d.validate(v, c, funcs)
		}
	}
	return cty.ObjectVal(all)
}

func (d *decoder) validate(v *variable, c check, funcs map[string]function.Function) {
	ctx := &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{v.name: v.value})},
		Functions: funcs,
	}
	result, ok := d.checked(c.condition.Range(), c.condition, ctx)
	if !ok {
		return
	}
	holds, err := truth(result)
	if err != nil {
		d.errorf(c.condition.Range(), "the condition of variable %q %v", v.name, err)
		return
	}
	if holds == true {
		return
	}
	message, ok := d.checked(c.message.Range(), c.message, ctx)
	if !ok {
		return
	}
	s, err := text(message)
	if err != nil {
		d.errorf(c.message.Range(), "error_message: %v", err)
		return
	}
	d.errorf(v.rng, "invalid value for variable %q: %s", v.name, oneLine(s))
}
