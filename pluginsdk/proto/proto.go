// Package proto is the home of the plugin wire contract: one folder per protobuf package, each with its
// .proto file and the code generated from it.
//
//   - basepb: the service every plugin offers
//   - driverpb: the service of a task driver
//   - devicepb: the service of a device plugin
//   - hclspecpb: the language of configuration schemas
//   - structspb: attributes, figures and the retry detail of errors
//
// The contract is shared with plugins and hosts that are not ours, so nothing in it may be renumbered or
// renamed. testdata/contract.txt holds every package, service, method, message, field, number and type; a
// test compares it with the generated code.
package proto

//go:generate ./generate.sh
