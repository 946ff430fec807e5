package node

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// servers stands for the servers: it remembers what the node said and says
// what the node has to run.
type servers struct {
	mu       sync.Mutex
	changed  chan struct{}
	node     *model.Node
	status   string
	allocs   map[model.AllocID]*model.Allocation // as the node reported them
	history  map[model.AllocID][]string          // client status, as it changed
	refuse   error                               // of every call
	watchers map[chan *rpc.NodeWatchUpdate]bool
	wanted   map[model.AllocID]*model.Allocation
	index    uint64
}

func newServers() *servers {
	return &servers{
		changed: make(chan struct{}), allocs: map[model.AllocID]*model.Allocation{}, history: map[model.AllocID][]string{},
		watchers: map[chan *rpc.NodeWatchUpdate]bool{}, wanted: map[model.AllocID]*model.Allocation{},
	}
}

func (s *servers) Call(_ context.Context, d *rpc.Descriptor, req rpc.Message) (rpc.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	defer func() {
		close(s.changed)
		s.changed = make(chan struct{})
	}()
	switch q := req.(type) {
	case *rpc.NodeRegisterRequest:
		s.node = q.Node
		return &rpc.NodeUpdateResponse{HeartbeatTTL: time.Second}, nil
	case *rpc.NodeHeartbeatRequest:
		if s.node == nil {
			return nil, model.ErrUnknownNode
		}
		s.status = q.Status
		return &rpc.NodeUpdateResponse{HeartbeatTTL: time.Second}, nil
	case *rpc.AllocUpdateRequest:
		for _, a := range q.Allocs {
			s.allocs[a.ID] = a
			if h := s.history[a.ID]; len(h) == 0 || h[len(h)-1] != a.ClientStatus {
				s.history[a.ID] = append(h, a.ClientStatus)
			}
		}
		return &rpc.WriteResponse{}, nil
	}
	return nil, model.Errorf(model.ErrUnsupported, "call %s", d.Name)
}

type watchStream struct {
	ctx context.Context
	c   chan *rpc.NodeWatchUpdate
}

func (w *watchStream) Recv() (rpc.Message, error) {
	select {
	case u, ok := <-w.c:
		if !ok {
			return nil, io.EOF
		}
		return u, nil
	case <-w.ctx.Done():
		return nil, w.ctx.Err()
	}
}

func (s *servers) Stream(ctx context.Context, _ *rpc.Descriptor, _ rpc.Message) (rpc.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	c := make(chan *rpc.NodeWatchUpdate, 100)
	s.watchers[c] = true
	c <- s.update(true)
	return &watchStream{ctx, c}, nil
}

// update says what is wanted. The lock is held.
func (s *servers) update(complete bool, only ...model.AllocID) *rpc.NodeWatchUpdate {
	u := &rpc.NodeWatchUpdate{Index: s.index, Complete: complete}
	jobs := map[*model.Job]bool{}
	add := func(a *model.Allocation) {
		bare := *a
		bare.Job, bare.JobVersion = nil, a.Job.Version
		if seen := s.allocs[a.ID]; seen != nil {
			bare.ClientStatus = seen.ClientStatus
		}
		u.Allocs = append(u.Allocs, &bare)
		if !jobs[a.Job] {
			jobs[a.Job] = true
			u.Jobs = append(u.Jobs, a.Job)
		}
	}
	if complete {
		for _, a := range s.wanted {
			add(a)
		}
	}
	for _, id := range only {
		add(s.wanted[id])
	}
	return u
}

// want tells the node of an allocation, new or changed.
func (s *servers) want(a *model.Allocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	a.AllocModifyIndex = s.index
	s.wanted[a.ID] = a
	for c := range s.watchers {
		c <- s.update(false, a.ID)
	}
}

// hangUp ends all streams.
func (s *servers) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.watchers {
		close(c)
		delete(s.watchers, c)
	}
}

// stopped returns a copy of an allocation that is to end.
func stopped(a *model.Allocation) *model.Allocation {
	b := *a
	b.DesiredStatus = model.AllocDesiredStop
	return &b
}
