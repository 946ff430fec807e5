package jobspec

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxDiagnostics bounds how many faults one file is reported with.
const maxDiagnostics = 50

// maxMessage is the longest message, in bytes. Names in it are the file's.
const maxMessage = 1000

// maxShownLine is the longest part of a source line shown with a fault, in
// characters.
const maxShownLine = 160

// A Diagnostic is one fault, or one remark, about a place in a file.
type Diagnostic struct {
	File    string
	Line    int // from 1; 0 if the fault has no place
	Column  int // from 1, in characters
	Message string
	Warning bool // the file is accepted nevertheless

	// Source is the line the fault is in, without its line ending.
	Source string
}

// String is the fault in three lines: file:line:column: message, the source
// line, and a caret under the column.
func (d Diagnostic) String() string {
	var b strings.Builder
	if d.File != "" {
		b.WriteString(d.File)
		b.WriteByte(':')
	}
	if d.Line > 0 {
		fmt.Fprintf(&b, "%d:%d:", d.Line, d.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	b.WriteString(d.Message)
	if d.Line == 0 {
		return b.String()
	}
	line, column := window(d.Source, d.Column)
	b.WriteString("\n")
	b.WriteString(line)
	b.WriteString("\n")
	for i, r := range []rune(line) {
		if i >= column-1 {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	b.WriteByte('^')
	return b.String()
}

// window cuts a long line to the part around column and makes it printable.
func window(line string, column int) (string, int) {
	runes := []rune(strings.ToValidUTF8(line, "\uFFFD"))
	for i, r := range runes {
		if r != '\t' && !unicode.IsPrint(r) {
			runes[i] = '\uFFFD'
		}
	}
	column = max(1, min(column, len(runes)+1))
	if len(runes) <= maxShownLine {
		return string(runes), column
	}
	start := max(0, column-1-maxShownLine/2)
	end := min(len(runes), start+maxShownLine)
	return string(runes[start:end]), column - start
}

// Diagnostics are the faults of one file, in the order of the source. As an
// error they read one after the other, each with its source line.
type Diagnostics []Diagnostic

// Error lists all faults.
func (ds Diagnostics) Error() string {
	var b strings.Builder
	for i, d := range ds {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(d.String())
	}
	return b.String()
}

// A report collects what is found while a file is read.
type report struct {
	sources  map[string][]byte
	faults   Diagnostics
	remarks  Diagnostics
	overflow int
	seen     map[string]bool

	localNames []string // for suggestions
}

func newReport() *report {
	return &report{sources: map[string][]byte{}, seen: map[string]bool{}}
}

// errorf records a fault at rng; the zero range has no place.
func (r *report) errorf(rng hcl.Range, format string, args ...any) {
	r.add(rng, false, fmt.Sprintf(format, args...))
}

// warnf records a remark at rng.
func (r *report) warnf(rng hcl.Range, format string, args ...any) {
	r.add(rng, true, fmt.Sprintf(format, args...))
}

// full reports whether no more faults (or remarks) are kept.
func (r *report) full(warning bool) bool {
	if warning {
		return len(r.remarks) >= maxDiagnostics
	}
	return len(r.faults) >= maxDiagnostics
}

func (r *report) add(rng hcl.Range, warning bool, message string) {
	if r.full(warning) {
		if !warning {
			r.overflow++
		}
		return
	}
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	d := Diagnostic{File: rng.Filename, Line: rng.Start.Line, Column: rng.Start.Column, Message: message, Warning: warning}
	if d.Line > 0 {
		d.Source = r.line(d.File, d.Line)
	}
	// A block expanded several times repeats its faults.
	key := fmt.Sprintf("%s:%d:%d:%s", d.File, d.Line, d.Column, message)
	if r.seen[key] {
		return
	}
	r.seen[key] = true
	if warning {
		r.remarks = append(r.remarks, d)
	} else {
		r.faults = append(r.faults, d)
	}
}

// hcl records the library's findings in our form.
func (r *report) hcl(diags hcl.Diagnostics) {
	for _, d := range diags {
		if warning := d.Severity == hcl.DiagWarning; r.full(warning) {
			r.add(hcl.Range{}, warning, "")
			continue
		}
		var rng hcl.Range
		if d.Subject != nil {
			rng = *d.Subject
		}
		r.add(rng, d.Severity == hcl.DiagWarning, r.wording(d))
	}
}

// failed reports whether the file has to be refused.
func (r *report) failed() bool { return len(r.faults) > 0 }

// sorted orders findings by place and says how many were left out.
func (r *report) sorted() Diagnostics {
	byPlace(r.faults)
	if r.overflow > 0 {
		return append(r.faults, Diagnostic{Message: fmt.Sprintf("%d more faults are not shown", r.overflow)})
	}
	return r.faults
}

func byPlace(ds Diagnostics) {
	sort.SliceStable(ds, func(i, j int) bool {
		a, b := ds[i], ds[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
}

// line returns line n of a file.
func (r *report) line(file string, n int) string {
	src := r.sources[file]
	for ; n > 1; n-- {
		i := bytes.IndexByte(src, '\n')
		if i < 0 {
			return ""
		}
		src = src[i+1:]
	}
	if i := bytes.IndexByte(src, '\n'); i >= 0 {
		src = src[:i]
	}
	return strings.TrimSuffix(string(src), "\r")
}

// wording makes one line of an HCL diagnostic.
func (r *report) wording(d *hcl.Diagnostic) string {
	summary, detail := oneLine(d.Summary), oneLine(d.Detail)
	if s := r.unknownMember(d); s != "" {
		return s
	}
	if detail == "" {
		return lowerFirst(summary)
	}
	return lowerFirst(summary) + ": " + lowerFirst(strings.TrimSuffix(detail, "."))
}

// unknownMember words a reference to a variable or local that does not exist.
func (r *report) unknownMember(d *hcl.Diagnostic) string {
	t, ok := d.Expression.(*hclsyntax.ScopeTraversalExpr)
	if !ok || d.EvalContext == nil || len(t.Traversal) < 2 {
		return ""
	}
	root := t.Traversal.RootName()
	member, ok := t.Traversal[1].(hcl.TraverseAttr)
	if !ok || (root != "var" && root != "local") {
		return ""
	}
	for ctx := d.EvalContext; ctx != nil; ctx = ctx.Parent() {
		v, ok := ctx.Variables[root]
		if !ok {
			continue
		}
		if !v.Type().IsObjectType() || v.Type().HasAttribute(member.Name) {
			return ""
		}
		var names []string
		for name := range v.Type().AttributeTypes() {
			names = append(names, name)
		}
		what := "variable"
		if root == "local" {
			what, names = "local value", r.localNames
		}
		return fmt.Sprintf("no %s named %q is declared%s", what, member.Name, suggest(member.Name, names))
	}
	return ""
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if next, _ := utf8.DecodeRuneInString(s[n:]); unicode.IsUpper(next) {
		return s // an initialism
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// maxSuggested is the longest name that is compared with others.
const maxSuggested = 64

// suggest is "; did you mean …?" if one of names is close to given, else "".
func suggest(given string, names []string) string {
	if len(given) > maxSuggested {
		return ""
	}
	best, bestDistance := "", 4
	for _, name := range names {
		distance := levenshtein.Distance(strings.ToLower(given), name, nil)
		if distance > 1 && distance > len(given)/2 {
			continue // hardly anything in common
		}
		if distance < bestDistance || distance == bestDistance && name < best {
			best, bestDistance = name, distance
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
