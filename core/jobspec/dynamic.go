package jobspec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

var dynamicSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{
		{Name: "for_each", Required: true},
		{Name: "iterator"},
		{Name: "labels"},
	},
	Blocks: []hcl.BlockHeaderSchema{{Type: "content"}},
}

// expand makes the blocks of a dynamic block, one for each element.
func (d *decoder) expand(b *hcl.Block, s *spec, sc *scope) []item {
	if len(b.Labels) != 1 {
		d.errorf(b.TypeRange, "dynamic needs the type of the blocks to make: write dynamic \"type\" { … }")
		return nil
	}
	name := b.Labels[0]
	row := s.block(name)
	if row == nil {
		if s.attr(name) != nil {
			d.errorf(b.LabelRanges[0], "%s is an attribute of %s; only blocks can be dynamic", name, s.name)
		} else {
			d.errorf(b.LabelRanges[0], "unknown block %s in %s%s", quoted(name), s.name, suggest(name, s.names()))
		}
		return nil
	}
	content, diags := b.Body.Content(dynamicSchema)
	d.hcl(diags)
	if diags.HasErrors() {
		return nil
	}
	if len(content.Blocks) != 1 {
		d.errorf(b.TypeRange, "dynamic %q needs exactly one content block", name)
		return nil
	}
	iterator := name
	if a := content.Attributes["iterator"]; a != nil {
		if iterator = hcl.ExprAsKeyword(a.Expr); !hclsyntax.ValidIdentifier(iterator) {
			d.errorf(a.Expr.Range(), "iterator needs a bare name")
			return nil
		}
	}
	forEach := content.Attributes["for_each"]
	collection, ok := d.eval(forEach.Expr, sc)
	if !ok {
		return nil
	}
	if t := collection.Type(); collection.IsNull() || t.IsPrimitiveType() || !collection.CanIterateElements() {
		d.errorf(forEach.Expr.Range(), "for_each needs a list, a set or a map, not %s", describe(collection))
		return nil
	}
	var items []item
	for it := collection.ElementIterator(); it.Next(); {
		if d.expanded++; d.expanded > maxExpanded {
			d.errorf(b.TypeRange, "dynamic blocks make more than %d blocks", maxExpanded)
			return nil
		}
		key, value := it.Element()
		if collection.Type().IsSetType() {
			key = value
		}
		inner := sc.with(iterator, key, value)
		made := newItem(content.Blocks[0], inner)
		made.name, made.rng, made.labels = name, b.TypeRange, nil
		if a := content.Attributes["labels"]; a != nil {
			if made.labels, ok = d.labels(a, inner); !ok {
				return nil
			}
			for range made.labels {
				made.labelRanges = append(made.labelRanges, a.Expr.Range())
			}
		}
		items = append(items, made)
	}
	return items
}

// labels evaluates the labels of one generated block.
func (d *decoder) labels(a *hcl.Attribute, sc *scope) ([]string, bool) {
	v, ok := d.eval(a.Expr, sc)
	if !ok {
		return nil, false
	}
	if v.IsNull() {
		return nil, true
	}
	list, err := elements(v, func(e cty.Value) (any, error) { return text(e) })
	if err != nil {
		d.errorf(a.Expr.Range(), "labels: %v", err)
		return nil, false
	}
	var out []string
	for _, l := range list.([]any) {
		out = append(out, l.(string))
	}
	return out, true
}
