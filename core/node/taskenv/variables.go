package taskenv

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// Variables are the names that a driver's config block may use: node, attr
// and meta with their parts, env["NAME"], and each variable of the
// environment by itself.
func (e *Env) Variables() map[string]cty.Value {
	root := &branch{}
	for k, v := range e.vars {
		root.add(k, v)
	}
	for k, v := range e.names {
		if strings.HasPrefix(k, "NOMAD_") {
			root.add(k, v)
		}
	}
	// Names of the node come last: a variable called "node" does not hide them.
	for _, reserved := range []string{"node", "attr", "meta", "env"} {
		delete(root.children, reserved)
	}
	for k, v := range e.node {
		root.add(k, v)
	}
	values := map[string]cty.Value{}
	for name, child := range root.children {
		values[name] = child.value()
	}
	for _, reserved := range []string{"attr", "meta"} {
		if _, ok := values[reserved]; !ok {
			values[reserved] = cty.EmptyObjectVal
		}
	}
	env := map[string]cty.Value{}
	for k, v := range e.vars {
		env[k] = cty.StringVal(v)
	}
	if len(env) == 0 {
		values["env"] = cty.MapValEmpty(cty.String)
	} else {
		values["env"] = cty.MapVal(env)
	}
	return values
}

// A branch is a name's part between dots.
type branch struct {
	leaf     *string
	children map[string]*branch
}

// add hangs a value under its dotted name. Names with empty parts can't be
// written in HCL and are left out.
func (b *branch) add(name, value string) {
	parts := strings.Split(name, ".")
	for _, p := range parts {
		if p == "" {
			return
		}
	}
	for _, p := range parts {
		if b.children == nil {
			b.children = map[string]*branch{}
		}
		next := b.children[p]
		if next == nil {
			next = &branch{}
			b.children[p] = next
		}
		b = next
	}
	b.leaf = &value
}

// value is the text of a leaf. Where a name is also the beginning of longer
// ones (driver.docker and driver.docker.version), the longer ones are kept.
func (b *branch) value() cty.Value {
	if len(b.children) == 0 {
		return cty.StringVal(*b.leaf)
	}
	attrs := make(map[string]cty.Value, len(b.children))
	for name, child := range b.children {
		attrs[name] = child.value()
	}
	return cty.ObjectVal(attrs)
}
