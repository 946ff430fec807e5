// Package config holds the agent's configuration: what an operator may write in
// configuration files and on the command line, its defaults, and its checks.
//
// [Load] does everything in order: the built-in defaults (those of development
// mode if asked for), then each file in the order given (a folder contributes
// its .hcl and .json files in lexical order), then the command line's
// overrides, then checks and the filling-in of what depends on other values
// and on the machine (addresses, folders, the node's name).
//
// Files are decoded one after another onto the same [Config], so merging is not
// a separate step: how a later value meets an earlier one is said by the tag of
// the field. The tag's first word is the key; then:
//
//	tri       bool: a later false overwrites (without it only true does)
//	zero      number: a later zero overwrites (without it zero means "not given")
//	append    list: later elements are added (without it a later list replaces)
//	replace   block: a later block starts from zero; named blocks: same name replaces
//	label     the field takes the block's label
//	selfnamed named blocks whose name is the attribute "name", not a label
//	lenient   unknown keys inside are warned about instead of refused
//	inert     accepted and shown, but nothing acts on it yet: a warning
//	secret    redacted by [Config.Redacted]
//
// Durations are written as strings ("30s"), sizes as strings with a unit ("1M"),
// and both Go-typed here; every other scalar is coerced from a string, so
// "true" and "5" are as good as true and 5.
//
// The package starts nothing and reads nothing but configuration files, the
// host's name and its interface addresses.
package config
