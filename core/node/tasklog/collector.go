package tasklog

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/seraiproject/serai/pluginsdk/footprint"
)

// Operations of the control protocol.
const (
	opAdd    = "add"    // Streams: read them, or change their limits
	opRemove = "remove" // Streams: move what is left, then read no more
	opFlush  = "flush"  // Streams: move what is in the pipes now
	opList   = "list"   // answers with Streams
	opPing   = "ping"
)

// request is one line from the agent.
type request struct {
	Op      string   `json:"op"`
	Streams []Stream `json:"streams,omitempty"`
}

// response is the line that answers it.
type response struct {
	PID     int      `json:"pid"`
	Error   string   `json:"error,omitempty"`
	Streams []Stream `json:"streams,omitempty"`
}

const (
	// listenerFD is where the agent hands down the listening socket.
	listenerFD = 3
	// firstContact is how long a new collector waits for its agent.
	firstContact = 10 * time.Second
	// sweepEvery is how often a collector without an agent looks for streams
	// whose pipes were removed: no one will end them.
	sweepEvery = time.Minute
	// memoryLimit keeps the collector small. What the program's packages need
	// at their start is about half of it.
	memoryLimit = 16 << 20
)

// CollectorMain is the main function of the collector process. Its listening
// socket is file descriptor 3. It returns the exit status.
func CollectorMain(args []string) int {
	flags := flag.NewFlagSet("log-collector", flag.ContinueOnError)
	flags.String("socket", "", "path of the control socket, for people who look at the process list")
	logFile := flags.String("log", "", "file to report problems to")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(memoryLimit)
	// The collector outlives the terminal and the agent that started it.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)

	// It is small, and all tasks wait for it: others are to be killed first
	// when memory runs out. Without the right to say so, it has to do without.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-900"), 0)

	out := io.Discard
	if *logFile != "" {
		if f, err := os.OpenFile(*logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err == nil {
			out = f
			defer f.Close()
		}
	}
	logger := log.New(out, "", log.LstdFlags|log.LUTC)
	sock := os.NewFile(listenerFD, "control socket")
	l, err := net.FileListener(sock)
	sock.Close()
	if err != nil {
		logger.Printf("log collector: no control socket: %v", err)
		return 1
	}
	debug.FreeOSMemory()
	footprint.DropProgramPages()
	c := &collector{pumps: map[string]*pump{}, log: logger.Printf, listener: l}
	c.serve()
	return 0
}

// collector is the state of the process.
type collector struct {
	log      func(format string, args ...any)
	listener net.Listener

	mu      sync.Mutex
	pumps   map[string]*pump
	clients int
}

func (c *collector) serve() {
	lonely := time.AfterFunc(firstContact, c.exitIfIdle)
	defer lonely.Stop()
	sweeping, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sweeping)
		c.sweep(stop)
	}()
	defer func() {
		close(stop)
		<-sweeping
	}()
	var clients sync.WaitGroup
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				c.log("log collector: accept: %v", err)
			}
			break
		}
		c.mu.Lock()
		c.clients++
		c.mu.Unlock()
		clients.Go(func() { c.answer(conn) })
	}
	clients.Wait()
}

// exitIfIdle ends the process when it has nothing to do and no one to tell it.
func (c *collector) exitIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients == 0 && len(c.pumps) == 0 {
		c.listener.Close()
	}
}

// sweep ends streams whose pipes were removed while no agent is there.
func (c *collector) sweep(stop chan struct{}) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.dropRemoved()
			c.exitIfIdle()
		case <-stop:
			return
		}
	}
}

func (c *collector) dropRemoved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients > 0 {
		return
	}
	for id, p := range c.pumps {
		if info, err := p.fifo.Stat(); err == nil && info.Sys().(*syscall.Stat_t).Nlink == 0 {
			p.stop()
			delete(c.pumps, id)
		}
	}
}

func (c *collector) answer(conn net.Conn) {
	defer func() {
		conn.Close()
		c.mu.Lock()
		c.clients--
		c.mu.Unlock()
		c.exitIfIdle()
	}()
	in, out := bufio.NewScanner(conn), json.NewEncoder(conn)
	in.Buffer(make([]byte, 0, 4096), 1<<20)
	for in.Scan() {
		var q request
		var r response
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			r.Error = fmt.Sprintf("read request: %v", err)
		} else {
			streams, err := c.do(q)
			r.Streams = streams
			if err != nil {
				r.Error = err.Error()
			}
		}
		r.PID = os.Getpid()
		if out.Encode(r) != nil {
			return
		}
	}
}

func (c *collector) do(q request) ([]Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	switch q.Op {
	case opPing:
	case opList:
		streams := []Stream{}
		for _, p := range c.pumps {
			streams = append(streams, p.stream)
		}
		return streams, nil
	case opAdd:
		for _, s := range q.Streams {
			if p := c.pumps[s.id()]; p != nil {
				p.setLimits(s)
				continue
			}
			p, err := startPump(s, c.log)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			c.pumps[s.id()] = p
		}
	case opFlush, opRemove:
		for _, s := range q.Streams {
			p := c.pumps[s.id()]
			if p == nil {
				continue
			}
			if err := p.flush(); err != nil {
				errs = append(errs, err)
			}
			if q.Op == opRemove {
				p.stop()
				delete(c.pumps, s.id())
			}
		}
	default:
		return nil, fmt.Errorf("unknown operation %q", q.Op)
	}
	return nil, errors.Join(errs...)
}
