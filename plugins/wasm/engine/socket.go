package engine

import (
	"fmt"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"
	"time"

	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"
	"golang.org/x/sys/unix"
)

// settled is how long after its last write a connection counts as busy: the guest may be in the middle of an answer.
const settled = 50 * time.Millisecond

// Listener is a TCP socket that already listens, to be handed to a guest.
type Listener struct {
	socket
	name string

	mu    sync.Mutex
	conns map[*connection]struct{}
	shut  bool
}

// Listen opens a listening socket on a host:port address. Name is how the guest knows it. The guest finds it in
// non-blocking mode, as Go programs expect it and other engines do it.
func Listen(name, address string) (*Listener, error) {
	opened, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for port label %q: %w", name, err)
	}
	defer opened.Close()
	duplicate, err := opened.(*net.TCPListener).File()
	if err != nil {
		return nil, fmt.Errorf("listen for port label %q: %w", name, err)
	}
	defer duplicate.Close()
	fd, err := unix.FcntlInt(duplicate.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for port label %q: %w", name, err)
	}
	return &Listener{socket: socket{fd: fd, nonblock: true}, name: name, conns: make(map[*connection]struct{})}, nil
}

// Name is the name given to Listen.
func (l *Listener) Name() string { return l.name }

// Shut stops listening: clients are refused from now on, while the guest, which sees no more of them, goes on with the
// connections it has. It is safe to call from any goroutine and more than once.
func (l *Listener) Shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.shut && l.fd >= 0 {
		l.shut = true
		_ = unix.Shutdown(l.fd, unix.SHUT_RDWR)
	}
}

// Busy tells if a connection seems to be in the middle of something: the guest has read from it and not answered yet,
// or has written within the last moment.
func (l *Listener) Busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		if conn.busy() {
			return true
		}
	}
	return false
}

// isShut tells if Shut was called.
func (l *Listener) isShut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shut
}

// accept returns the next connection. Unless the socket is in non-blocking mode, it waits for one.
func (l *Listener) accept() (*connection, experimentalsys.Errno) {
	for {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			// As Go's own net package does: small writes are not held back.
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			conn := &connection{socket: socket{fd: fd}, listener: l}
			l.mu.Lock()
			l.conns[conn] = struct{}{}
			l.mu.Unlock()
			return conn, 0
		case err == unix.EINTR || err == unix.ECONNABORTED:
		case err == unix.EAGAIN && !l.nonblock:
			wait(l.fd, unix.POLLIN)
		case l.isShut() && l.nonblock:
			return nil, experimentalsys.EAGAIN
		default:
			return nil, toErrno(err)
		}
	}
}

// Close stops listening and frees the socket. Run calls it.
func (l *Listener) Close() experimentalsys.Errno {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.socket.Close()
}

// connection is an accepted TCP connection.
type connection struct {
	socket
	listener *Listener

	pending atomic.Bool  // the guest has read since it last wrote
	written atomic.Int64 // Unix time in nanoseconds of the last write
}

func (c *connection) busy() bool {
	return c.pending.Load() || time.Since(time.Unix(0, c.written.Load())) < settled
}

func (c *connection) Read(buf []byte) (int, experimentalsys.Errno) {
	n, errno := c.transfer(unix.POLLIN, func() (int, error) { return unix.Read(c.fd, buf) })
	if n > 0 {
		c.pending.Store(true)
	}
	return n, errno
}

func (c *connection) Write(buf []byte) (int, experimentalsys.Errno) {
	n, errno := c.transfer(unix.POLLOUT, func() (int, error) { return unix.SendmsgN(c.fd, buf, nil, nil, unix.MSG_NOSIGNAL) })
	if n > 0 {
		c.pending.Store(false)
		c.written.Store(time.Now().UnixNano())
	}
	return n, errno
}

// peek reads without consuming.
func (c *connection) peek(buf []byte) (int, experimentalsys.Errno) {
	return c.transfer(unix.POLLIN, func() (int, error) {
		n, _, err := unix.Recvfrom(c.fd, buf, unix.MSG_PEEK)
		return n, err
	})
}

func (c *connection) Close() experimentalsys.Errno {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.socket.Close()
}

// socket is what listeners and connections share. The descriptor itself never blocks: blocking mode is made of poll.
type socket struct {
	experimentalsys.UnimplementedFile
	fd       int // -1 once closed
	nonblock bool
}

func (s *socket) IsDir() (bool, experimentalsys.Errno) { return false, 0 }

func (s *socket) Stat() (sys.Stat_t, experimentalsys.Errno) {
	return sys.Stat_t{Mode: fs.ModeSocket | 0o600}, 0
}

func (s *socket) IsNonblock() bool { return s.nonblock }

func (s *socket) SetNonblock(enable bool) experimentalsys.Errno {
	s.nonblock = enable
	return 0
}

// Poll tells if the socket is ready. A negative timeout waits for ever.
func (s *socket) Poll(flag experimentalsys.Pflag, timeoutMillis int32) (bool, experimentalsys.Errno) {
	events := int16(unix.POLLIN)
	if flag&experimentalsys.POLLOUT != 0 {
		events = unix.POLLOUT
	}
	n, errno := retry(func() (int, error) {
		return unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: events}}, int(timeoutMillis))
	})
	return n > 0, errno
}

// Recvfrom and Shutdown make the engine report the descriptor as a stream socket.
func (s *socket) Recvfrom([]byte, int) (int, experimentalsys.Errno) { return 0, experimentalsys.ENOSYS }

// Shutdown closes one or both directions; how is SHUT_RD, SHUT_WR or SHUT_RDWR.
func (s *socket) Shutdown(how int) experimentalsys.Errno {
	err := unix.Shutdown(s.fd, how)
	if err == unix.ENOTCONN {
		return 0 // the other side was quicker
	}
	return toErrno(err)
}

func (s *socket) Close() experimentalsys.Errno {
	if s.fd < 0 {
		return 0
	}
	fd := s.fd
	s.fd = -1
	return toErrno(unix.Close(fd))
}

// transfer makes a call until it is done. In blocking mode it waits until the socket is ready.
func (s *socket) transfer(events int16, call func() (int, error)) (int, experimentalsys.Errno) {
	for {
		n, err := call()
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN && !s.nonblock:
			wait(s.fd, events)
		default:
			return max(n, 0), toErrno(err)
		}
	}
}

// wait blocks until a descriptor is ready.
func wait(fd int, events int16) {
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, -1)
}
