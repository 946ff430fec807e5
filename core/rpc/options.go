package rpc

import "time"

// QueryOptions are part of every read.
type QueryOptions struct {
	Region     string        `msg:",omitempty"` // empty: the server's own
	Namespace  string        `msg:",omitempty"` // empty: default; "*": all
	AuthToken  string        `msg:",omitempty"`
	AllowStale bool          `msg:",omitempty"` // any server may answer
	MinIndex   uint64        `msg:",omitempty"` // wait until the answer's index is above
	MaxWait    time.Duration `msg:",omitempty"` // 0: 5 minutes; at most 10
	Prefix     string        `msg:",omitempty"` // of IDs, in lists
	Filter     string        `msg:",omitempty"` // go-bexpr expression, in lists
	PerPage    int           `msg:",omitempty"` // 0: all
	NextToken  string        `msg:",omitempty"` // where the page starts
	Reverse    bool          `msg:",omitempty"`
	Forwarded  bool          `msg:",omitempty"` // by another server; not forwarded again
}

// Options returns q, for generic code.
func (q *QueryOptions) Options() *QueryOptions { return q }

// A Query is any request that embeds QueryOptions.
type Query interface {
	Message
	Options() *QueryOptions
}

// QueryMeta is part of every answer to a read.
type QueryMeta struct {
	Index       uint64 // of the state that was read
	LastContact time.Duration
	KnownLeader bool
	NextToken   string `msg:",omitempty"`
}

// Meta returns m, for generic code.
func (m *QueryMeta) Meta() *QueryMeta { return m }

// A QueryAnswer is any response that embeds QueryMeta.
type QueryAnswer interface {
	Message
	Meta() *QueryMeta
}

// WriteRequest is part of every write.
type WriteRequest struct {
	Region    string `msg:",omitempty"`
	Namespace string `msg:",omitempty"`
	AuthToken string `msg:",omitempty"`
	Forwarded bool   `msg:",omitempty"`
}

// Write returns w, for generic code.
func (w *WriteRequest) Write() *WriteRequest { return w }

// A Mutation is any request that embeds WriteRequest.
type Mutation interface {
	Message
	Write() *WriteRequest
}

// WriteMeta is part of every answer to a write.
type WriteMeta struct {
	Index uint64 // of the change; 0 when nothing changed
}
