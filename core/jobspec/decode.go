package jobspec

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A decoder turns HCL bodies into the document by the table.
type decoder struct {
	*report
	src      []byte
	expanded int               // blocks made by dynamic blocks so far
	env      map[string]string // variables set by the environment

	// use, if not nil, hears of every row of the table that the file uses.
	use func(s *spec, name string)
}

// A scope is what an expression may refer to.
type scope struct {
	parent *scope
	name   string // iterator of a dynamic block; empty at the root
	ctx    *hcl.EvalContext
}

// knows reports whether a root is resolved now rather than at run time.
func (s *scope) knows(root string) bool {
	if root == "var" || root == "local" {
		return true
	}
	for ; s != nil; s = s.parent {
		if s.name != "" && s.name == root {
			return true
		}
	}
	return false
}

// with is the scope inside one element of a dynamic block.
func (s *scope) with(iterator string, key, value cty.Value) *scope {
	ctx := s.ctx.NewChild()
	ctx.Variables = map[string]cty.Value{
		iterator: cty.ObjectVal(map[string]cty.Value{"key": key, "value": value}),
	}
	return &scope{parent: s, name: iterator, ctx: ctx}
}

// A node is a decoded block.
type node struct {
	row   *block
	spec  *spec
	label string
	rng   hcl.Range

	out      map[string]any       // the document
	vals     map[string]any       // attributes that are set, by name in the file
	at       map[string]hcl.Range // where they are
	children []*node              // blocks inside, in the order of the file
}

// has reports whether the file sets an attribute to something else than null.
func (n *node) has(name string) bool { return n.vals[name] != nil }

// text is a string attribute, empty if unset.
func (n *node) text(name string) string {
	s, _ := n.vals[name].(string)
	return s
}

// each lists the blocks of one type.
func (n *node) each(name string) []*node {
	var out []*node
	for _, c := range n.children {
		if c.row.name == name {
			out = append(out, c)
		}
	}
	return out
}

// block decodes one block of the file.
func (d *decoder) block(row *block, it item) *node {
	n := &node{row: row, spec: row.spec, rng: it.rng}
	want := 0
	if row.label {
		want = 1
	}
	switch {
	case len(it.labels) < want:
		d.errorf(it.rng, "%s needs a name: write %s \"name\" { … }", row.name, row.name)
	case len(it.labels) > want && want == 0:
		d.errorf(it.labelRanges[0], "%s takes no name: write %s { … }", row.name, row.name)
	case len(it.labels) > want:
		d.errorf(it.labelRanges[want], "%s takes one name only", row.name)
	case want == 1:
		n.label = it.labels[0]
	}
	switch n.spec.open {
	case openStrings, openLists:
		n.out = d.mapBody(it.body, row, it.scope)
	case openAny:
		n.out = d.opaqueBody(it.body, it.scope)
	default:
		d.body(n, it.body, it.scope)
	}
	return n
}

// body decodes the inside of a block with a fixed set of names.
func (d *decoder) body(n *node, body hcl.Body, sc *scope) {
	n.out = n.spec.blank()
	n.vals = map[string]any{}
	n.at = map[string]hcl.Range{}
	if n.spec.labelKey != "" {
		n.out[n.spec.labelKey] = n.label
	}
	attrs, items := d.content(body, n.spec, sc)
	asAttr := map[string]any{}
	for _, a := range attrs {
		if d.use != nil {
			d.use(n.spec, a.Name)
		}
		row := n.spec.attr(a.Name)
		if row == nil { // a map written as an attribute
			n.at[a.Name] = a.NameRange
			if v, ok := d.eval(a.Expr, sc); ok && !v.IsNull() {
				m, err := stringMap(v)
				if err != nil {
					d.errorf(a.Expr.Range(), "%s: %v", a.Name, err)
				} else {
					asAttr[a.Name] = m
				}
			}
			continue
		}
		if row.advice != "" {
			d.warnf(a.NameRange, "%s is deprecated: %s", a.Name, row.advice)
		}
		n.at[a.Name] = a.Expr.Range()
		v, ok := d.eval(a.Expr, sc)
		if !ok {
			continue
		}
		x, err := typed(row, v)
		if err != nil {
			d.errorf(a.Expr.Range(), "%s: %v", a.Name, err)
			continue
		}
		if x == nil {
			continue
		}
		n.vals[a.Name] = x
		if row.key != "" {
			n.out[row.key] = x
		}
	}
	for i := range n.spec.attrs {
		a := &n.spec.attrs[i]
		if _, set := n.at[a.name]; a.needed && !set {
			d.errorf(n.rng, "%s needs %s, %s", n.spec.name, a.name, a.kind.noun())
		}
	}
	for _, it := range items {
		if d.use != nil {
			d.use(n.spec, it.name)
		}
		row := n.spec.block(it.name)
		if row.advice != "" {
			d.warnf(it.rng, "%s is deprecated here: %s", it.name, row.advice)
		}
		n.children = append(n.children, d.block(row, it))
	}
	d.place(n, asAttr)
	if n.spec.finish != nil {
		n.spec.finish(d, n)
	}
	if n.spec.sparse {
		prune(n.out)
	}
}

// place puts the blocks inside n where the document has them.
func (d *decoder) place(n *node, asAttr map[string]any) {
	for i := range n.spec.blocks {
		row := &n.spec.blocks[i]
		if row.name == "" {
			continue
		}
		found := n.each(row.name)
		if m, ok := asAttr[row.name]; ok && row.key != "" {
			n.out[row.key] = m
		}
		if len(found) == 0 {
			continue
		}
		switch row.form {
		case formOne:
			if rng, set := n.at[row.name]; set {
				d.errorf(found[0].rng, "%s is written both as an attribute (line %d) and as a block; keep one", row.name, rng.Start.Line)
			}
			for _, again := range found[1:] {
				d.errorf(again.rng, "only one %s block is allowed in %s; the first is in line %d", row.name, n.spec.name, found[0].rng.Start.Line)
			}
			if row.key != "" {
				n.out[row.key] = found[0].out
			}
		case formList:
			if row.key == "" {
				continue
			}
			list := make([]any, len(found))
			for i, c := range found {
				list[i] = c.out
			}
			n.out[row.key] = list
		case formTable:
			m := make(map[string]any, len(found))
			for _, c := range found {
				if _, again := m[c.label]; again {
					d.warnf(c.rng, "%s %q is defined twice; this one wins", row.name, c.label)
				}
				m[c.label] = c.out
			}
			n.out[row.key] = m
		}
	}
}

// prune removes what is empty from a sparse document.
func prune(out map[string]any) {
	for k, v := range out {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case string:
			if v == "" {
				delete(out, k)
			}
		case bool:
			if !v {
				delete(out, k)
			}
		case int64:
			if v == 0 {
				delete(out, k)
			}
		case []any:
			if len(v) == 0 {
				delete(out, k)
			}
		}
	}
}

// An item is a block of the file, after dynamic blocks are expanded.
type item struct {
	name        string
	labels      []string
	rng         hcl.Range
	labelRanges []hcl.Range
	body        hcl.Body
	scope       *scope
}

// content splits a body into attributes and blocks, in the order of the file,
// and reports names the table does not have.
func (d *decoder) content(body hcl.Body, s *spec, sc *scope) ([]*hcl.Attribute, []item) {
	native, ok := body.(*hclsyntax.Body)
	if !ok {
		return d.jsonContent(body, s, sc)
	}
	var attrs []*hcl.Attribute
	for _, a := range inSource(native.Attributes) {
		if row := s.block(a.Name); row != nil && row.attrToo {
			attrs = append(attrs, a.AsHCLAttribute())
			continue
		}
		if s.attr(a.Name) == nil {
			d.unknown(a.NameRange, a.Name, s, false)
			continue
		}
		attrs = append(attrs, a.AsHCLAttribute())
	}
	var items []item
	for _, b := range native.Blocks {
		if b.Type == "dynamic" && s != rootSpec {
			items = append(items, d.expand(b.AsHCLBlock(), s, sc)...)
			continue
		}
		if s.block(b.Type) == nil {
			d.unknown(b.TypeRange, b.Type, s, true)
			continue
		}
		items = append(items, newItem(b.AsHCLBlock(), sc))
	}
	return attrs, items
}

func inOrder(attrs []*hcl.Attribute) {
	sort.Slice(attrs, func(i, j int) bool {
		return attrs[i].NameRange.Start.Byte < attrs[j].NameRange.Start.Byte
	})
}

// inSource lists attributes in the order of the file.
func inSource(attrs hclsyntax.Attributes) []*hclsyntax.Attribute {
	list := make([]*hclsyntax.Attribute, 0, len(attrs))
	for _, a := range attrs {
		list = append(list, a)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].NameRange.Start.Byte < list[j].NameRange.Start.Byte })
	return list
}

func newItem(b *hcl.Block, sc *scope) item {
	return item{name: b.Type, labels: b.Labels, labelRanges: b.LabelRanges, rng: b.TypeRange, body: b.Body, scope: sc}
}

// unknown reports a name that has no place in a block.
func (d *decoder) unknown(rng hcl.Range, name string, s *spec, isBlock bool) {
	switch {
	case isBlock && s.attr(name) != nil:
		d.errorf(rng, "%s is an attribute of %s, not a block: write %s = …", name, s.name, name)
	case !isBlock && s.block(name) != nil:
		d.errorf(rng, "%s is a block of %s, not an attribute: write %s { … } without \"=\"", name, s.name, name)
	case isBlock:
		d.errorf(rng, "unknown block %s in %s%s", quoted(name), s.name, advise(name, s, true))
	default:
		d.errorf(rng, "unknown attribute %s in %s%s", quoted(name), s.name, advise(name, s, false))
	}
}

// advise says where a misplaced name belongs, or what it may be meant to be.
func advise(name string, s *spec, isBlock bool) string {
	if hint := suggest(name, s.names()); hint != "" {
		return hint
	}
	if places := homes()[home{name, isBlock}]; len(places) > 0 && len(places) <= 3 && s != rootSpec {
		return "; it belongs in " + strings.Join(places, " or ")
	}
	return ""
}

type home struct {
	name    string
	isBlock bool
}

// homes lists the blocks in which each name of the table may be written.
var homes = sync.OnceValue(func() map[home][]string {
	all := map[home][]string{}
	visited := map[*spec]bool{}
	add := func(h home, in string) {
		if h.name != "" && !slices.Contains(all[h], in) {
			all[h] = append(all[h], in)
		}
	}
	var visit func(s *spec)
	visit = func(s *spec) {
		if visited[s] {
			return
		}
		visited[s] = true
		for i := range s.attrs {
			add(home{s.attrs[i].name, false}, s.name)
		}
		for i := range s.blocks {
			add(home{s.blocks[i].name, true}, s.name)
			visit(s.blocks[i].spec)
		}
	}
	visit(jobSpec)
	return all
})

// jsonContent is content for the JSON form of HCL.
func (d *decoder) jsonContent(body hcl.Body, s *spec, sc *scope) ([]*hcl.Attribute, []item) {
	schema := &hcl.BodySchema{}
	for i := range s.attrs {
		if s.attrs[i].name != "" {
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: s.attrs[i].name})
		}
	}
	for i := range s.blocks {
		switch b := &s.blocks[i]; {
		case b.name == "":
		case b.attrToo:
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: b.name})
		case b.label:
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: b.name, LabelNames: []string{"name"}})
		default:
			schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: b.name})
		}
	}
	if s != rootSpec {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: "dynamic", LabelNames: []string{"type"}})
	}
	content, diags := body.Content(schema)
	d.hcl(diags)
	var attrs []*hcl.Attribute
	for _, a := range content.Attributes {
		attrs = append(attrs, a)
	}
	inOrder(attrs)
	var items []item
	for _, b := range content.Blocks {
		if b.Type == "dynamic" {
			items = append(items, d.expand(b, s, sc)...)
			continue
		}
		items = append(items, newItem(b, sc))
	}
	return attrs, items
}

// eval evaluates an expression; false means that a fault was reported.
func (d *decoder) eval(e hcl.Expression, sc *scope) (cty.Value, bool) {
	native, ok := e.(hclsyntax.Expression)
	if !ok {
		return d.evalJSON(e, sc)
	}
	return d.evalNative(native, d.src, sc)
}

func (d *decoder) evalNative(e hclsyntax.Expression, src []byte, sc *scope) (cty.Value, bool) {
	w := &rewriter{src: src, known: sc.knows}
	return d.checked(e.Range(), w.expr(e), sc.ctx)
}

// checked evaluates and refuses values the document cannot hold.
func (d *decoder) checked(rng hcl.Range, e hcl.Expression, ctx *hcl.EvalContext) (cty.Value, bool) {
	v, diags := e.Value(ctx)
	d.hcl(diags)
	if diags.HasErrors() {
		return cty.DynamicVal, false
	}
	if v.ContainsMarked() || !v.IsWhollyKnown() {
		if !d.failed() { // else it refers to what a reported fault left open
			d.errorf(rng, "the value cannot be known while the file is read")
		}
		return cty.DynamicVal, false
	}
	if tooLarge(v) {
		d.errorf(rng, "the number is too large or infinite")
		return cty.DynamicVal, false
	}
	return v, true
}
