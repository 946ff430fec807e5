package jobspec

import (
	"math/big"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Limits that keep hostile files from exhausting the stack or the memory of
// the agent that parses them. No real job file comes near them.
const (
	maxSource     = 8 << 20 // bytes
	maxNesting    = 200     // brackets, templates and JSON values inside one another
	maxOperators  = 200     // ! or - in a row
	maxConditions = 10_000  // conditional operators in a file
	maxExpanded   = 10_000  // blocks made by dynamic blocks
	maxExponent   = 4096    // binary exponent of a number
)

// checkTokens reports the first place where HCL tokens exceed the limits.
func (r *report) checkTokens(tokens hclsyntax.Tokens) bool {
	depth, operators, conditions := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			depth = max(0, depth-1)
		case hclsyntax.TokenQuestion:
			conditions++
		}
		if t.Type == hclsyntax.TokenBang || t.Type == hclsyntax.TokenMinus {
			operators++
		} else if t.Type != hclsyntax.TokenNewline {
			operators = 0
		}
		if depth > maxNesting || operators > maxOperators || conditions > maxConditions {
			r.errorf(t.Range, "expressions are nested too deeply here")
			return false
		}
	}
	return true
}

// checkJSON does the same for JSON, where only nesting matters.
func (r *report) checkJSON(file string, src []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth > maxNesting {
			r.errorf(placeOf(file, src, i), "values are nested too deeply here")
			return false
		}
	}
	return true
}

// placeOf is the range of one byte of src.
func placeOf(file string, src []byte, offset int) hcl.Range {
	pos := hcl.Pos{Line: 1, Column: 1, Byte: offset}
	for _, c := range string(src[:min(offset, len(src))]) {
		if c == '\n' {
			pos.Line++
			pos.Column = 1
		} else {
			pos.Column++
		}
	}
	return hcl.Range{Filename: file, Start: pos, End: pos}
}

// tooLarge reports whether v holds a number that is infinite or would take
// absurdly many digits to write down.
func tooLarge(v cty.Value) bool {
	if v.IsNull() || !v.IsKnown() {
		return false
	}
	switch t := v.Type(); {
	case t == cty.Number:
		return hugeNumber(v.AsBigFloat())
	case t.IsCollectionType() || t.IsTupleType() || t.IsObjectType():
		for it := v.ElementIterator(); it.Next(); {
			if _, e := it.Element(); tooLarge(e) {
				return true
			}
		}
	}
	return false
}

func hugeNumber(f *big.Float) bool {
	if f.IsInf() {
		return true
	}
	e := f.MantExp(nil)
	return e > maxExponent || e < -maxExponent
}

// literals reports number literals beyond the limits below an expression.
func (r *report) literals(n hclsyntax.Node) bool {
	ok := true
	_ = hclsyntax.VisitAll(n, func(n hclsyntax.Node) hcl.Diagnostics {
		if l, is := n.(*hclsyntax.LiteralValueExpr); is && tooLarge(l.Val) {
			r.errorf(l.SrcRange, "the number is too large or infinite")
			ok = false
		}
		return nil
	})
	return ok
}
