package engine

import (
	"github.com/tetratelabs/wazero/api"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"golang.org/x/sys/unix"
)

// Sizes of the records that poll_oneoff reads and writes.
const (
	subscriptionSize = 48
	eventSize        = 32
)

// subscription is one thing that a guest waits for.
type subscription struct {
	userdata uint64
	kind     byte
	errno    experimentalsys.Errno // known at once
	ready    bool                  // known at once

	fd       int       // the host's descriptor to wait for, or -1
	listener *Listener // whose descriptor it is, if it is one's
	hangup   bool

	deadline int64 // clocks: in nanoseconds from now, at least 0
}

// pollOneoff waits until at least one of the subscriptions has something to say, without using any processor time.
func pollOneoff(g *guest, memory api.Memory, params []uint64) experimentalsys.Errno {
	in, out, count, result := uint32(params[0]), uint32(params[1]), uint32(params[2]), uint32(params[3])
	if count == 0 || count > 1<<16 {
		return experimentalsys.EINVAL
	}
	input, ok1 := memory.Read(in, count*subscriptionSize)
	output, ok2 := memory.Read(out, count*eventSize)
	if !ok1 || !ok2 {
		return experimentalsys.EFAULT
	}
	subscriptions := make([]subscription, count)
	for i := range subscriptions {
		subscriptions[i] = g.subscription(input[i*subscriptionSize:])
	}
	if errno := g.await(subscriptions); errno != 0 {
		return errno
	}
	events := uint32(0)
	for _, s := range subscriptions {
		if s.ready {
			writeEvent(output[events*eventSize:], s)
			events++
		}
	}
	if !memory.WriteUint32Le(result, events) {
		return experimentalsys.EFAULT
	}
	return 0
}

// subscription decodes one record.
func (g *guest) subscription(record []byte) subscription {
	s := subscription{userdata: le.Uint64(record), kind: record[8], fd: -1}
	switch s.kind {
	case eventClock:
		id, timeout, flags := le.Uint32(record[16:]), le.Uint64(record[24:]), le.Uint16(record[40:])
		s.deadline = int64(min(timeout, 1<<62))
		if flags&flagAbsolute != 0 {
			s.deadline = max(s.deadline-g.clock.now(id), 0)
		}
	case eventFDRead, eventFDWrite:
		fd := int32(le.Uint32(record[16:]))
		f, ok := g.file(fd)
		switch f := f.(type) {
		case *Listener:
			s.fd, s.listener = f.fd, f
		case *connection:
			s.fd = f.fd
		default:
			switch {
			case !ok:
				s.ready, s.errno = true, experimentalsys.EBADF
			case fd == 0 && g.stdin >= 0 && s.kind == eventFDRead:
				s.fd = g.stdin
			default:
				s.ready = true // files and outputs are always ready
			}
		}
	default:
		s.ready, s.errno = true, experimentalsys.EINVAL
	}
	return s
}

// await marks the subscriptions that are ready, once there are any.
func (g *guest) await(subscriptions []subscription) experimentalsys.Errno {
	start := g.clock.now(clockMonotonicID)
	for {
		timeout, fds, owners := g.pending(subscriptions, start)
		n, err := g.clock.poll(fds, timeout)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return toErrno(err)
		}
		ready := false
		for i := range fds {
			if n > 0 && fds[i].Revents != 0 {
				s := &subscriptions[owners[i]]
				s.ready = true
				s.hangup = fds[i].Revents&(unix.POLLHUP|unix.POLLERR) != 0
			}
		}
		elapsed := g.clock.now(clockMonotonicID) - start
		for i := range subscriptions {
			s := &subscriptions[i]
			if s.kind == eventClock && s.deadline <= elapsed {
				s.ready = true
			}
			if s.listener != nil && s.ready && s.listener.isShut() {
				s.ready = false // a socket that was shut has nothing more to say
			}
			ready = ready || s.ready
		}
		if ready {
			return 0
		}
	}
}

// pending returns what is to be waited for: the time left in nanoseconds (negative: no limit), descriptors, and the
// subscription of each.
func (g *guest) pending(subscriptions []subscription, start int64) (timeout int64, fds []unix.PollFd, owners []int) {
	timeout = -1
	elapsed := g.clock.now(clockMonotonicID) - start
	limit := func(nanos int64) {
		if timeout < 0 || nanos < timeout {
			timeout = max(nanos, 0)
		}
	}
	for i := range subscriptions {
		s := &subscriptions[i]
		switch {
		case s.ready:
			limit(0)
		case s.kind == eventClock:
			limit(s.deadline - elapsed)
		case s.listener != nil && s.listener.isShut():
		default:
			events := int16(unix.POLLIN)
			if s.kind == eventFDWrite {
				events = unix.POLLOUT
			}
			fds = append(fds, unix.PollFd{Fd: int32(s.fd), Events: events})
			owners = append(owners, i)
		}
	}
	return timeout, fds, owners
}

// writeEvent encodes one record.
func writeEvent(record []byte, s subscription) {
	clear(record[:eventSize])
	le.PutUint64(record, s.userdata)
	le.PutUint16(record[8:], uint16(wasiErrno(s.errno)))
	record[10] = s.kind
	if s.kind != eventClock && s.errno == 0 {
		le.PutUint64(record[16:], 1) // at least one byte
		if s.hangup {
			le.PutUint16(record[24:], flagHangup)
		}
	}
}
