package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/token"
)

// position is where a value was written. Path is the file's name, or
// "command line".
type position struct {
	path         string
	line, column int
}

func (p position) String() string {
	if p.line == 0 {
		return p.path
	}
	return fmt.Sprintf("%s:%d:%d", p.path, p.line, p.column)
}

// node is one value of a configuration file, whatever its syntax: a scalar
// (string, int64, float64, bool or nil), a list or an object.
type node struct {
	pos    position
	scalar any
	list   []*node
	fields []field
	kind   kind
}

type kind int

const (
	scalarKind kind = iota
	listKind
	objectKind
)

func (k kind) String() string { return [...]string{"a value", "a list", "a block"}[k] }

// field is one key of an object. Keys may repeat: repeated blocks are repeated
// fields.
type field struct {
	key   string
	pos   position
	value *node
}

func object(pos position, fields ...field) *node {
	return &node{kind: objectKind, pos: pos, fields: fields}
}

// parse reads one file's text: JSON if the path ends in ".json", HCL otherwise.
func parse(path string, src []byte) (*node, error) {
	if strings.HasSuffix(path, ".json") {
		return parseJSON(path, src)
	}
	return parseHCL(path, src)
}

// parseHCL reads HCL 1.
func parseHCL(path string, src []byte) (root *node, err error) {
	defer func() {
		// The HCL 1 library panics on some malformed literals.
		if r := recover(); r != nil {
			root, err = nil, fmt.Errorf("%s: malformed literal: %v", path, r)
		}
	}()
	file, err := parser.Parse(src)
	if err != nil {
		var pe *parser.PosError
		if errors.As(err, &pe) {
			return nil, fmt.Errorf("%s: %w", at(path, pe.Pos), pe.Err)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	list, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%s: the file holds no keys", path)
	}
	return fromObjectList(path, list, file.Node.Pos())
}

func at(path string, p token.Pos) position { return position{path, p.Line, p.Column} }

func fromObjectList(path string, list *ast.ObjectList, pos token.Pos) (*node, error) {
	n := object(at(path, pos))
	for _, item := range list.Items {
		value, err := fromAST(path, item.Val)
		if err != nil {
			return nil, err
		}
		// block "a" "b" { } is an object in an object in an object.
		for i := len(item.Keys) - 1; i > 0; i-- {
			key := item.Keys[i]
			value = object(at(path, key.Pos()), field{keyText(key), at(path, key.Pos()), value})
		}
		key := item.Keys[0]
		n.fields = append(n.fields, field{keyText(key), at(path, key.Pos()), value})
	}
	return n, nil
}

func keyText(k *ast.ObjectKey) string {
	if s, ok := k.Token.Value().(string); ok {
		return s
	}
	return k.Token.Text
}

func fromAST(path string, v ast.Node) (*node, error) {
	pos := at(path, v.Pos())
	switch v := v.(type) {
	case *ast.ObjectType:
		return fromObjectList(path, v.List, v.Lbrace)
	case *ast.ListType:
		n := &node{kind: listKind, pos: pos}
		for _, e := range v.List {
			c, err := fromAST(path, e)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, c)
		}
		return n, nil
	case *ast.LiteralType:
		switch v.Token.Type {
		case token.STRING, token.HEREDOC, token.BOOL, token.FLOAT:
			return &node{pos: pos, scalar: v.Token.Value()}, nil
		case token.NUMBER:
			i, err := strconv.ParseInt(v.Token.Text, 0, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: number %s is out of range", pos, v.Token.Text)
			}
			return &node{pos: pos, scalar: i}, nil
		}
	}
	return nil, fmt.Errorf("%s: unexpected value", pos)
}

// parseJSON reads JSON, comments and trailing commas allowed.
func parseJSON(path string, src []byte) (*node, error) {
	clean := blankOut(src)
	dec := json.NewDecoder(bytes.NewReader(clean))
	dec.UseNumber()
	r := &jsonReader{path: path, src: clean, dec: dec}
	n, err := r.value()
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("text after the end of the object")
		}
	}
	if err != nil {
		pos := r.offset(dec.InputOffset())
		var se *json.SyntaxError
		if errors.As(err, &se) {
			pos = r.offset(max(se.Offset-1, 0))
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%s: %w", pos, err)
	}
	if n.kind != objectKind {
		return nil, fmt.Errorf("%s: want an object, got %s", n.pos, n.kind)
	}
	return n, nil
}

// maxDepth bounds nesting, far above what any configuration has.
const maxDepth = 100

type jsonReader struct {
	path  string
	src   []byte
	dec   *json.Decoder
	depth int
}

// offset turns a byte offset, or the first token after it, into a position.
func (r *jsonReader) offset(off int64) position {
	i := int(min(off, int64(len(r.src))))
	for i < len(r.src) && strings.IndexByte(" \t\r\n,:", r.src[i]) >= 0 {
		i++
	}
	before := r.src[:i]
	return position{r.path, bytes.Count(before, []byte{'\n'}) + 1, i - bytes.LastIndexByte(before, '\n')}
}

func (r *jsonReader) value() (*node, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	defer func() { r.depth-- }()
	pos := r.offset(r.dec.InputOffset())
	tok, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			return r.object(pos)
		}
		return r.array(pos)
	case json.Number:
		if i, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			return &node{pos: pos, scalar: i}, nil
		}
		f, err := t.Float64()
		if err != nil {
			return nil, fmt.Errorf("number %s is out of range", t)
		}
		return &node{pos: pos, scalar: f}, nil
	}
	return &node{pos: pos, scalar: tok}, nil
}

func (r *jsonReader) object(pos position) (*node, error) {
	n := object(pos)
	for r.dec.More() {
		keyPos := r.offset(r.dec.InputOffset())
		key, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		n.fields = append(n.fields, field{key.(string), keyPos, v})
	}
	_, err := r.dec.Token()
	return n, err
}

func (r *jsonReader) array(pos position) (*node, error) {
	n := &node{kind: listKind, pos: pos}
	for r.dec.More() {
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		n.list = append(n.list, v)
	}
	_, err := r.dec.Token()
	return n, err
}

// blankOut replaces comments and trailing commas by spaces, so that every other
// byte keeps its place.
func blankOut(src []byte) []byte {
	out := bytes.Clone(src)
	comma := -1 // the last comma with nothing but space after it
	blank := func(from, to int) {
		for ; from < to; from++ {
			if out[from] != '\n' {
				out[from] = ' '
			}
		}
	}
	for i := 0; i < len(out); i++ {
		rest := out[i:]
		switch {
		case out[i] == '"':
			comma = -1
			for i++; i < len(out) && out[i] != '"'; i++ {
				if out[i] == '\\' {
					i++
				}
			}
		case out[i] == '#' || bytes.HasPrefix(rest, []byte("//")):
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			blank(i, i+end)
			i += end - 1
		case bytes.HasPrefix(rest, []byte("/*")):
			end := bytes.Index(rest[2:], []byte("*/"))
			if end < 0 {
				return out // the decoder reports the stray slash
			}
			blank(i, i+end+4)
			i += end + 3
		case out[i] == ',':
			comma = i
		case out[i] == '}' || out[i] == ']':
			if comma >= 0 {
				out[comma] = ' '
			}
			comma = -1
		case strings.IndexByte(" \t\r\n", out[i]) < 0:
			comma = -1
		}
	}
	return out
}
