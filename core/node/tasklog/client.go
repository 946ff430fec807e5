package tasklog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config of a Collector.
type Config struct {
	// Dir holds the control socket.
	Dir string
	// Command starts a collector; the default is this program with the
	// argument log-collector.
	Command []string
	Log     *slog.Logger
}

const (
	socketName = "log-collector.sock"
	logName    = "log-collector.log"
	// answerTime bounds one exchange with the collector.
	answerTime = 10 * time.Second
)

// Collector is the agent's hold on the collector process. It finds the one
// that runs or starts one, keeps its own ends of all FIFOs, and starts the
// process again when it dies. It is safe for use by many goroutines.
type Collector struct {
	config Config
	dir    *os.File // the socket is reached through it: its own path may be too long
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	conn    *connection
	streams map[string]held
}

// held is a stream with the agent's end of its pipe.
type held struct {
	Stream
	fd int
}

// connection is one connection to one collector process.
type connection struct {
	net.Conn
	in  *bufio.Reader
	pid int
}

// NewCollector finds the node's collector or starts one. Close gives it up.
func NewCollector(c Config) (*Collector, error) {
	if len(c.Command) == 0 {
		c.Command = []string{"/proc/self/exe", "log-collector"}
	}
	dir, err := os.Open(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("start log collector: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &Collector{config: c, dir: dir, ctx: ctx, cancel: cancel, streams: map[string]held{}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.connected(); err != nil {
		cancel()
		dir.Close()
		return nil, err
	}
	return l, nil
}

// PID is the process ID of the collector; 0 when it is not known.
func (l *Collector) PID() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return 0
	}
	return l.conn.pid
}

// Add makes the FIFOs of the streams and has them collected. Streams that are
// collected already get new limits.
func (l *Collector) Add(streams ...Stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range streams {
		if _, ok := l.streams[s.id()]; ok {
			l.streams[s.id()] = held{s, l.streams[s.id()].fd}
			continue
		}
		fd, err := s.holdFIFO()
		if err != nil {
			return fmt.Errorf("collect log of %s: %w", s.Task, err)
		}
		l.streams[s.id()] = held{s, fd}
	}
	_, err := l.ask(request{Op: opAdd, Streams: streams})
	return err
}

// Flush returns when all that was written before is in the files.
func (l *Collector) Flush(streams ...Stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.ask(request{Op: opFlush, Streams: streams})
	return err
}

// Remove ends collecting, once all that was written is in the files, and
// removes the FIFOs.
func (l *Collector) Remove(streams ...Stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.ask(request{Op: opRemove, Streams: streams})
	if err != nil {
		return err // what is in the pipes can still be saved later
	}
	var errs []error
	for _, s := range streams {
		if h, ok := l.streams[s.id()]; ok {
			unix.Close(h.fd)
			delete(l.streams, s.id())
		}
		if err := os.Remove(filepath.Join(s.AllocDir, s.FIFO())); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Retain has everything else removed from the collector, of allocations that
// the agent does not know any more.
func (l *Collector) Retain(known func(Stream) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.ask(request{Op: opList})
	if err != nil {
		return err
	}
	var strangers []Stream
	for _, s := range r.Streams {
		if _, ok := l.streams[s.id()]; !ok && !known(s) {
			strangers = append(strangers, s)
		}
	}
	if len(strangers) == 0 {
		return nil
	}
	_, err = l.ask(request{Op: opRemove, Streams: strangers})
	return err
}

// Close lets go of the collector, which goes on as long as it has something to
// read, and waits for the goroutines of l.
func (l *Collector) Close() {
	l.cancel()
	l.mu.Lock()
	l.drop()
	for id, h := range l.streams {
		unix.Close(h.fd)
		delete(l.streams, id)
	}
	l.mu.Unlock()
	l.work.Wait()
	l.dir.Close()
}

// drop closes the connection.
func (l *Collector) drop() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// ask sends a request, once more with a new collector when the old one is
// gone. All requests can be repeated. The lock is held.
func (l *Collector) ask(q request) (response, error) {
	var err error
	for range 2 {
		var conn *connection
		if conn, err = l.connected(); err != nil {
			return response{}, err
		}
		var r response
		if r, err = conn.ask(q); err == nil {
			if r.Error != "" {
				return r, fmt.Errorf("log collector: %s", r.Error)
			}
			return r, nil
		}
		l.drop()
		if l.ctx.Err() != nil {
			break
		}
	}
	return response{}, fmt.Errorf("ask log collector to %s: %w", q.Op, err)
}

func (c *connection) ask(q request) (response, error) {
	var r response
	line, err := json.Marshal(q)
	if err != nil {
		return r, err
	}
	if err := c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return r, err
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return r, err
	}
	answer, err := c.in.ReadBytes('\n')
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(answer, &r)
}

// connected returns the connection, and makes one when there is none. A
// collector that was started anew is told of all streams. The lock is held.
func (l *Collector) connected() (*connection, error) {
	if l.conn != nil {
		return l.conn, nil
	}
	if l.ctx.Err() != nil {
		return nil, errors.New("log collector: the agent is stopping")
	}
	conn, err := l.dial()
	if err != nil {
		if conn, err = l.spawn(); err != nil {
			return nil, fmt.Errorf("start log collector: %w", err)
		}
	}
	alarm, err := l.dial()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("start log collector: %w", err)
	}
	l.conn = conn
	l.work.Go(func() { l.watch(conn, alarm) })
	var all []Stream
	for _, h := range l.streams {
		all = append(all, h.Stream)
	}
	if len(all) > 0 {
		r, err := conn.ask(request{Op: opAdd, Streams: all})
		if err == nil && r.Error != "" {
			l.config.Log.Warn("log collector could not take up everything", "error", r.Error)
		}
	}
	return conn, nil
}

// address is the socket's path by way of the open directory.
func (l *Collector) address() string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", l.dir.Fd(), socketName)
}

// dial reaches a collector that runs. One that does not answer is ended.
func (l *Collector) dial() (*connection, error) {
	nc, err := net.DialTimeout("unix", l.address(), answerTime)
	if err != nil {
		return nil, err
	}
	conn := &connection{Conn: nc, in: bufio.NewReader(nc)}
	r, err := conn.ask(request{Op: opPing})
	if err != nil {
		if pid := peer(nc); pid > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			l.config.Log.Warn("log collector does not answer, ending it", "pid", pid)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		conn.Close()
		return nil, err
	}
	conn.pid = r.PID
	return conn, nil
}

// peer is the process at the other end.
func peer(c net.Conn) int {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0
	}
	rc, err := u.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = rc.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// spawn starts a collector. It is handed a socket that listens already, so
// that there is nothing to wait for.
func (l *Collector) spawn() (*connection, error) {
	socket := filepath.Join(l.config.Dir, socketName)
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: l.address(), Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	defer listener.Close()
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, err
	}
	f, err := listener.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	args := append(l.config.Command[1:len(l.config.Command):len(l.config.Command)],
		"-socket", socket, "-log", filepath.Join(l.config.Dir, logName))
	cmd := exec.Command(l.config.Command[0], args...)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = cmd.Wait() }() // ends with the collector, which may be later than the agent
	conn, err := l.dial()
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// watch waits for the end of a collector, which shows as the end of a second,
// silent connection, and has another one started.
func (l *Collector) watch(conn, alarm *connection) {
	stop := context.AfterFunc(l.ctx, func() { alarm.Close() })
	defer stop()
	defer alarm.Close()
	_ = alarm.SetDeadline(time.Time{})
	_, _ = alarm.in.ReadByte()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil || l.conn != conn && l.conn != nil {
		return
	}
	l.config.Log.Warn("log collector died, starting it again", "pid", conn.pid)
	l.drop()
	if _, err := l.connected(); err != nil {
		l.config.Log.Error("output of tasks waits in their pipes", "error", err)
	}
}
