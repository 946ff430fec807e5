// Package rpc declares the calls between agents.
//
// Every call is a typed Method: its name, how it is routed and the types of
// its request and response. A server hangs handlers on a Mux; whoever calls
// (an HTTP handler, a node, another server) uses a Caller and does not know
// if the far side is in its own process or behind core/transport.
//
//	resp, err := rpc.JobRegister.Call(ctx, caller, &rpc.JobRegisterRequest{Job: job})
//
// Requests and responses are structs with the generated MessagePack encoding
// of the model. A caller in the same process passes them without encoding, so
// both sides treat them, and all they point to, as shared: nothing in them is
// changed once it was handed over.
//
// Errors keep their class (model.ErrNotFound and so on) over the wire.
package rpc
