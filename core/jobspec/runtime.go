package jobspec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A rewriter replaces references that only have a meaning at run time by
// their own source text, as string literals: ${attr.cpu.arch} evaluates to
// "${attr.cpu.arch}".
//
// The syntax tree is never changed in place, because the body of a dynamic
// block is evaluated once per element.
type rewriter struct {
	src   []byte // what the ranges of the expression index
	known func(root string) bool
}

func (w *rewriter) expr(e hclsyntax.Expression) hclsyntax.Expression {
	switch e := e.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		if w.known(e.Traversal.RootName()) {
			return e
		}
		return &hclsyntax.LiteralValueExpr{Val: cty.StringVal("${" + w.text(e.SrcRange) + "}"), SrcRange: e.SrcRange}
	case *hclsyntax.RelativeTraversalExpr:
		c := *e
		c.Source = w.expr(e.Source)
		return &c
	case *hclsyntax.FunctionCallExpr:
		c := *e
		c.Args = w.list(e.Args)
		if e.Name == "convert" && len(e.Args) == 2 {
			c.Args[1] = e.Args[1] // a type, not a value
		}
		return &c
	case *hclsyntax.ConditionalExpr:
		c := *e
		c.Condition, c.TrueResult, c.FalseResult = w.expr(e.Condition), w.expr(e.TrueResult), w.expr(e.FalseResult)
		return &c
	case *hclsyntax.BinaryOpExpr:
		c := *e
		c.LHS, c.RHS = w.expr(e.LHS), w.expr(e.RHS)
		return &c
	case *hclsyntax.UnaryOpExpr:
		c := *e
		c.Val = w.expr(e.Val)
		return &c
	case *hclsyntax.IndexExpr:
		c := *e
		c.Collection, c.Key = w.expr(e.Collection), w.expr(e.Key)
		return &c
	case *hclsyntax.SplatExpr:
		// Item is an anonymous symbol that Each refers to: both stay.
		c := *e
		c.Source = w.expr(e.Source)
		c.Each = w.expr(e.Each)
		return &c
	case *hclsyntax.ParenthesesExpr:
		c := *e
		c.Expression = w.expr(e.Expression)
		return &c
	case *hclsyntax.TupleConsExpr:
		c := *e
		c.Exprs = w.list(e.Exprs)
		return &c
	case *hclsyntax.ObjectConsExpr:
		c := *e
		c.Items = make([]hclsyntax.ObjectConsItem, len(e.Items))
		for i, item := range e.Items {
			c.Items[i] = hclsyntax.ObjectConsItem{KeyExpr: w.expr(item.KeyExpr), ValueExpr: w.expr(item.ValueExpr)}
		}
		return &c
	case *hclsyntax.ObjectConsKeyExpr:
		if !e.ForceNonLiteral && hcl.ExprAsKeyword(e.Wrapped) != "" {
			return e
		}
		c := *e
		c.Wrapped = w.expr(e.Wrapped)
		return &c
	case *hclsyntax.ForExpr:
		c := *e
		c.CollExpr = w.expr(e.CollExpr)
		inner := &rewriter{src: w.src, known: func(root string) bool {
			return root == e.KeyVar || root == e.ValVar || w.known(root)
		}}
		if e.KeyExpr != nil {
			c.KeyExpr = inner.expr(e.KeyExpr)
		}
		c.ValExpr = inner.expr(e.ValExpr)
		if e.CondExpr != nil {
			c.CondExpr = inner.expr(e.CondExpr)
		}
		return &c
	case *hclsyntax.TemplateExpr:
		c := *e
		c.Parts = w.list(e.Parts)
		return &c
	case *hclsyntax.TemplateWrapExpr:
		c := *e
		c.Wrapped = w.expr(e.Wrapped)
		return &c
	case *hclsyntax.TemplateJoinExpr:
		c := *e
		c.Tuple = w.expr(e.Tuple)
		return &c
	}
	return e
}

func (w *rewriter) list(es []hclsyntax.Expression) []hclsyntax.Expression {
	out := make([]hclsyntax.Expression, len(es))
	for i, e := range es {
		out[i] = w.expr(e)
	}
	return out
}

// text is the source of a reference, with the blanks around it if it is all
// there is between "${" and "}".
func (w *rewriter) text(rng hcl.Range) string {
	start, end := rng.Start.Byte, rng.End.Byte
	if start < 0 || end > len(w.src) || start > end {
		return ""
	}
	blank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
	from, to := start, end
	for from > 0 && blank(w.src[from-1]) {
		from--
	}
	for to < len(w.src) && blank(w.src[to]) {
		to++
	}
	if from >= 2 && w.src[from-1] == '{' && w.src[from-2] == '$' && to < len(w.src) && w.src[to] == '}' {
		start, end = from, to
	}
	return string(w.src[start:end])
}
