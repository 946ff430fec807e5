// Package httpapi is the JSON API over HTTP.
//
// Handlers turn a request into a call of core/rpc, carried by the agent's
// Caller to its own server or to one far away, and the answer into JSON. What
// only a node can answer goes to a NodeBackend, here or, by reverse proxy, on
// the agent of the node that has the allocation.
package httpapi
