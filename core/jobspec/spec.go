package jobspec

import "strings"

// A kind is the type of an attribute.
type kind uint8

const (
	kindString kind = iota
	kindInt
	kindInt8
	kindUint8
	kindUint16
	kindUint32
	kindUint64
	kindBool
	kindDuration  // nanoseconds in the document
	kindStrings   // list of strings
	kindUint16s   // list of small numbers
	kindStringMap // map written with "=", never as a block
	kindAny       // anything; only in API JSON
)

// noun names the kind in messages.
func (k kind) noun() string {
	switch k {
	case kindString:
		return "a string"
	case kindInt, kindInt8:
		return "a whole number"
	case kindUint8, kindUint16, kindUint32, kindUint64:
		return "a whole number that is not negative"
	case kindBool:
		return "true or false"
	case kindDuration:
		return `a duration such as "30s"`
	case kindStrings:
		return "a list of strings"
	case kindUint16s:
		return "a list of whole numbers"
	case kindStringMap:
		return "a map of strings"
	}
	return "a value"
}

// zero is what the document holds for an unset attribute that is not nullable.
func (k kind) zero() any {
	switch k {
	case kindString:
		return ""
	case kindBool:
		return false
	case kindStrings, kindUint16s, kindStringMap, kindAny:
		return nil
	}
	return int64(0)
}

// An attr is one row of the table: an attribute of a block. With an empty name
// it exists only in the document, not in job files.
type attr struct {
	name string // as written in the job file
	key  string // in the document; empty if the block's finish places it
	kind kind

	nullable bool   // null means unset, and unset is null
	needed   bool   // the parser refuses its absence
	def      any    // written by the parser when unset
	advice   string // not empty: deprecated, and what to write instead
}

// opt is an attribute whose absence is visible in the document as null.
func opt(name, key string, k kind) attr { return attr{name: name, key: key, kind: k, nullable: true} }

// val is an attribute whose absence reads as the zero value.
func val(name, key string, k kind) attr { return attr{name: name, key: key, kind: k} }

func (a attr) required() attr                { a.needed = true; return a }
func (a attr) defaults(v any) attr           { a.def = v; return a }
func (a attr) deprecated(advice string) attr { a.advice = advice; return a }

// unset is what the document holds when the file says nothing.
func (a *attr) unset() any {
	switch {
	case a.def != nil:
		return a.def
	case a.nullable:
		return nil
	}
	return a.kind.zero()
}

// A form says how blocks of one type appear in the document.
type form uint8

const (
	formOne   form = iota // an object, or null; a second block is an error
	formList              // a list of objects
	formTable             // an object keyed by label
)

// A block is one row of the table: a block type inside another block. With an
// empty name it exists only in the document.
type block struct {
	name    string
	key     string // in the document; empty if the parent's finish places it
	form    form
	label   bool // takes exactly one label
	attrToo bool // may also be written as an attribute (maps only)
	sparse  bool // left out of the document when unset
	spec    *spec
	advice  string // not empty: deprecated, and what to write instead
}

// one is a block that may occur once.
func one(name, key string, s *spec) block { return block{name: name, key: key, spec: s} }

// many is a block that may be repeated.
func many(name, key string, s *spec) block {
	return block{name: name, key: key, form: formList, spec: s}
}

// labelled is a repeated block with one label.
func labelled(name, key string, s *spec) block {
	return block{name: name, key: key, form: formList, label: true, spec: s}
}

// table is a repeated block whose label becomes a key of an object.
func table(name, key string, s *spec) block {
	return block{name: name, key: key, form: formTable, label: true, spec: s}
}

// pairs is a map of strings that may be written as a block or an attribute.
func pairs(name, key string) block {
	return block{name: name, key: key, attrToo: true, spec: stringPairs}
}

func (b block) omitted() block                 { b.sparse = true; return b }
func (b block) deprecated(advice string) block { b.advice = advice; return b }

// An openness says what a body without a fixed set of names holds.
type openness uint8

const (
	closed      openness = iota
	openStrings          // name → string
	openLists            // name → list of strings
	openAny              // anything, nested blocks too
)

// A spec describes the inside of a block.
type spec struct {
	name   string // for messages
	open   openness
	attrs  []attr
	blocks []block

	// labelKey is where the document holds the label.
	labelKey string
	// sparse documents leave out what is empty.
	sparse bool
	// finish completes a decoded block: shorthands, routing, inheritance.
	finish func(d *decoder, n *node)
}

func (s *spec) attr(name string) *attr {
	if name == "" {
		return nil
	}
	for i := range s.attrs {
		if s.attrs[i].name == name {
			return &s.attrs[i]
		}
	}
	return nil
}

func (s *spec) block(name string) *block {
	if name == "" {
		return nil
	}
	for i := range s.blocks {
		if s.blocks[i].name == name {
			return &s.blocks[i]
		}
	}
	return nil
}

// names lists what may be written inside, for suggestions.
func (s *spec) names() []string {
	var names []string
	for i := range s.attrs {
		if s.attrs[i].name != "" {
			names = append(names, s.attrs[i].name)
		}
	}
	for i := range s.blocks {
		if s.blocks[i].name != "" {
			names = append(names, s.blocks[i].name)
		}
	}
	return names
}

// attrByKey and blockByKey find rows by their key in the document. Keys are
// matched without regard to case, as the HTTP API does.
func (s *spec) attrByKey(key string) *attr {
	for i := range s.attrs {
		if s.attrs[i].key != "" && strings.EqualFold(s.attrs[i].key, key) {
			return &s.attrs[i]
		}
	}
	return nil
}

func (s *spec) blockByKey(key string) *block {
	for i := range s.blocks {
		if s.blocks[i].key != "" && strings.EqualFold(s.blocks[i].key, key) {
			return &s.blocks[i]
		}
	}
	return nil
}

// blank is the document of a block about which nothing is said.
func (s *spec) blank() map[string]any {
	out := make(map[string]any, len(s.attrs)+len(s.blocks)+1)
	for i := range s.attrs {
		if a := &s.attrs[i]; a.key != "" {
			out[a.key] = a.unset()
		}
	}
	for i := range s.blocks {
		if b := &s.blocks[i]; b.key != "" && !b.sparse {
			out[b.key] = nil
		}
	}
	if s.labelKey != "" {
		out[s.labelKey] = ""
	}
	return out
}
