// Package hclvalue is a host's half of configuration schemas: it evaluates a value from a configuration file
// against a schema and writes the MessagePack that plugins decode.
//
// Configuration reaches a host in several shapes. HCL job files and agent files turn every object into a list
// of one, JSON over HTTP keeps it, numbers and bools come as text and the other way round. The schema says
// what the plugin wants, and Encode takes whatever can only mean that:
//
//	want            also taken
//	string          a number or a bool
//	number, bool    text that reads as one
//	list or set     a single value
//	single value    a list of one
//	map or object   a list of one
//	list of maps    one map
//	a block         an object, or a list of one
//	repeated blocks one object
//	labelled blocks objects by label, or lists of them
//
// All faults are reported, each with the path of its field.
package hclvalue
