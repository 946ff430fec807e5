package server

import (
	"context"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/state"
)

// Waits of reads that block.
const (
	defaultWait = 5 * time.Minute
	longestWait = 10 * time.Minute
)

// block answers a read: at once, or when its index has passed q.MinIndex. read
// fills the answer and returns its index; it may run several times.
func (s *Server) block(ctx context.Context, q *rpc.QueryOptions, meta *rpc.QueryMeta, read func(state.WatchSet, *state.Snapshot) (uint64, error)) error {
	wait := q.MaxWait
	switch {
	case wait <= 0:
		wait = defaultWait
	case wait > longestWait:
		wait = longestWait
	}
	wait += rand.N(wait/16 + 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := s.store.Block(ctx, q.MinIndex, wait, func(ws state.WatchSet, snap *state.Snapshot) (uint64, error) {
		index, err := read(ws, snap)
		meta.Index = max(index, 1)
		return index, err
	})
	if err != nil && s.ctx.Err() != nil {
		return model.Errorf(model.ErrUnavailable, "the server is stopping")
	}
	return err
}

// leading returns the leader services, or the error of a server without them.
func (s *Server) leading() (*leadership, error) {
	if l := s.leader.Load(); l != nil {
		return l, nil
	}
	return nil, model.ErrNoLeader
}

// namespaceOf is the namespace that a request means.
func namespaceOf(name string) string {
	if name == "" {
		return model.DefaultNamespace
	}
	return name
}

// inNamespace reports whether an object's namespace is the one asked for.
func inNamespace(asked, has string) bool {
	return asked == model.AllNamespaces || namespaceOf(asked) == has
}

var hexDigits = regexp.MustCompile(`^[0-9a-fA-F-]*$`)

// uuidPrefix checks the prefix of a UUID and puts hyphens where they belong.
func uuidPrefix(prefix string) (string, error) {
	bare := strings.ReplaceAll(prefix, "-", "")
	if !hexDigits.MatchString(prefix) || len(bare) > 32 {
		return "", model.Errorf(model.ErrInvalid, "index error: Invalid UUID: %q", prefix)
	}
	if len(bare)%2 != 0 {
		return "", model.Errorf(model.ErrInvalid, "index error: Input (without hyphens) must be even length")
	}
	var b strings.Builder
	for i, c := range strings.ToLower(bare) {
		switch i {
		case 8, 12, 16, 20:
			b.WriteByte('-')
		}
		b.WriteRune(c)
	}
	return b.String(), nil
}

// handle hangs the handlers on the mux.
func (s *Server) handle() {
	s.handleJobs()
	s.handleJobReads()
	s.handleAllocs()
	s.handleEvals()
	s.handleDeployments()
	s.handleNodes()
	s.handleNodeReads()
	s.handleStatus()
	s.handleOperator()
}
