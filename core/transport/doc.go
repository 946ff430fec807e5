// Package transport carries the calls of core/rpc between agents, and Raft
// between servers, over one TCP port.
//
// The first byte of a connection says what it carries: 'R' a Raft stream (the
// byte is consumed), 'P' gRPC over HTTP/2 (its preface starts with it, and is
// left in place). There is one gRPC service with no schema of its own: the
// path is /serai.v1.Agent/<method>, messages are the MessagePack of core/rpc,
// and an error carries the code of its class in the trailer serai-error-code.
// See docs/adr/0003-rpc-between-agents.md.
//
//   - Listener accepts, and serves calls with a Router
//   - Pool calls agents by address
//   - Router is the one place that decides where a call is answered: here, by
//     the leader, or in another region
//   - Client is what a node uses: a list of servers, another when one is gone
package transport
