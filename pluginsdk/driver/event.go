package driver

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// maxBacklog bounds the events kept for one listener, or for the next one while there is none. The oldest go
// first.
const maxBacklog = 512

// fanout gives every event to every listener. A slow listener loses its own oldest events and holds nobody up.
type fanout struct {
	mu        sync.Mutex
	listeners map[*listener]bool
	// missed are events of a time without listeners, as between the death of a host and its return.
	missed []*driverpb.DriverTaskEvent
}

type listener struct {
	queue []*driverpb.DriverTaskEvent
	wake  chan struct{}
}

func (f *fanout) send(e *driverpb.DriverTaskEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.listeners) == 0 {
		f.missed = enqueue(f.missed, e)
		return
	}
	for l := range f.listeners {
		l.queue = enqueue(l.queue, e)
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

func enqueue(queue []*driverpb.DriverTaskEvent, e *driverpb.DriverTaskEvent) []*driverpb.DriverTaskEvent {
	if len(queue) == maxBacklog {
		queue = append(queue[:0:0], queue[1:]...)
	}
	return append(queue, e)
}

// listen passes events on until ctx ends or send fails.
func (f *fanout) listen(ctx context.Context, send func(*driverpb.DriverTaskEvent) error) error {
	l := &listener{wake: make(chan struct{}, 1)}
	f.mu.Lock()
	if f.listeners == nil {
		f.listeners = make(map[*listener]bool)
	}
	f.listeners[l] = true
	l.queue, f.missed = f.missed, nil
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.listeners, l)
		if len(f.listeners) == 0 {
			f.missed = l.queue
		}
	}()

	for {
		f.mu.Lock()
		var next *driverpb.DriverTaskEvent
		if len(l.queue) > 0 {
			next = l.queue[0]
		}
		f.mu.Unlock()
		if next == nil {
			select {
			case <-l.wake:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := send(next); err != nil {
			return err
		}
		f.mu.Lock()
		if len(l.queue) > 0 && l.queue[0] == next {
			l.queue = l.queue[1:]
		}
		f.mu.Unlock()
	}
}

func (s *server[C, T, H]) emit(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	s.events.send(&driverpb.DriverTaskEvent{
		TaskId:      e.Task.GetId(),
		AllocId:     e.Task.GetAllocId(),
		TaskName:    e.Task.GetName(),
		Timestamp:   timestamppb.New(e.Time),
		Message:     e.Message,
		Annotations: e.Annotations,
	})
}

// TaskEvents carries the events of all tasks to one host.
func (s *server[C, T, H]) TaskEvents(_ *driverpb.TaskEventsRequest, stream driverpb.Driver_TaskEventsServer) error {
	return s.events.listen(stream.Context(), stream.Send)
}
