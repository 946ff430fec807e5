package rpc

// Binary encoding of the calls. See docs/adr/0002-encoding.md.
//
//go:generate go run github.com/tinylib/msgp -io=false -tests=false -file=. -o=rpc_gen.go

//msgp:ignore Method StreamMethod TypedStream Mux Descriptor Kind
