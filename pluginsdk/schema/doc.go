// Package schema turns Go structs into the configuration schemas of the plugin protocol, and the values that a
// host sends back into those structs.
//
// A field takes part if it has a config tag: the name in configuration files, then options.
//
//	type TaskConfig struct {
//		Module  string            `config:"module,required"`
//		Args    []string          `config:"args"`
//		Timeout time.Duration     `config:"timeout" default:"10s"`
//		Retries *int              `config:"retries"`
//		Labels  map[string]string `config:"labels"`
//		Auth    *Auth             `config:"auth"`
//		Mounts  []Mount           `config:"mount,max=8"`
//		Pools   map[string]Pool   `config:"pool"`
//		Extra   any               `config:"extra"`
//	}
//
// What a field accepts follows from its type:
//
//	string, bool, numbers       an attribute; a pointer tells unset from zero
//	time.Duration               a string such as "10s"
//	[]T, T of the above         a list attribute
//	map[string]T                a block of free names (or an object); with the option attr, a map attribute
//	[]map[string]T              a list(map(T)) attribute
//	struct, *struct             a block, at most one; a pointer tells absent from empty
//	[]struct, []*struct         repeated blocks; options min=N, max=N, set (drop repeated values)
//	map[string]struct           labelled blocks; option label=NAME names the label in messages
//	any                         any attribute
//
// The option required makes an attribute or a single block mandatory. The tag default gives a value for an
// attribute that is absent: as it is for strings, durations, numbers and bools, as JSON for lists and
// maps. Fields of an embedded struct without a tag count as the outer struct's own.
//
// Spec and Decode are the plugin's half and depend on nothing but the wire contract. The host's half, which
// evaluates HCL and JSON against such a schema, is package hclvalue below this one.
package schema
