package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// Config is what the API is made of.
type Config struct {
	// Caller reaches a server: the agent's own, or one far away.
	Caller rpc.Caller
	// Node is the agent's own node; nil on an agent that runs no work.
	Node NodeBackend
	// Agent tells of the agent itself.
	Agent Agent
	// Parse turns a job file into the API's job document, for
	// /v1/jobs/parse. variables is the text of a variable file.
	Parse func(jobHCL, variables string) ([]byte, error)
	// Headers are added to every answer.
	Headers map[string]string
	// Log receives requests at debug level and failures to answer.
	Log *slog.Logger
}

// Agent is the process that serves the API.
type Agent interface {
	// Self is the body of /v1/agent/self: config, member and stats.
	Self() map[string]any
	// Name, Region and Datacenter of the agent.
	Name() string
	Region() string
	Datacenter() string
	// IsServer reports whether the agent is a server.
	IsServer() bool
	// Join makes the agent's server join others by gossip and returns how
	// many answered.
	Join(addrs []string) (int, error)
	// ForceLeave makes the cluster forget a failed server.
	ForceLeave(name string, prune bool) error
	// Servers lists the RPC addresses of the servers a node knows.
	Servers() []string
	// SetServers replaces them.
	SetServers(addrs []string) error
	// Reload reads the configuration files again.
	Reload() error
}

// A Server answers the API.
type Server struct {
	cfg   Config
	log   *slog.Logger
	mux   *http.ServeMux
	cache listCache

	mu      sync.Mutex
	running []*http.Server
}

// New returns a Server that answers nothing until Serve.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, log: cfg.Log, mux: http.NewServeMux()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.routes()
	return s
}

// Serve answers connections of l until Shutdown; it then returns nil.
func (s *Server) Serve(l net.Listener) error {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.mu.Lock()
	s.running = append(s.running, h)
	s.mu.Unlock()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops listening and waits for requests to end; when ctx is done it
// cuts the rest off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, h := range s.running {
		if err := h.Shutdown(ctx); err != nil {
			errs = append(errs, h.Close())
		}
	}
	return errors.Join(errs...)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Vary", "Accept-Encoding")
	for k, v := range s.cfg.Headers {
		head.Set(k, v)
	}
	if strings.HasPrefix(r.URL.Path, "/v1/client/") && s.cors(w, r) {
		return
	}
	start := time.Now()
	s.mux.ServeHTTP(w, r)
	s.log.Debug("request answered", "method", r.Method, "path", r.URL.Path, "duration", time.Since(start))
}

// cors lets browsers read the node's endpoints; true when the answer is done.
func (s *Server) cors(w http.ResponseWriter, r *http.Request) bool {
	head := w.Header()
	head.Add("Vary", "Origin")
	if r.Header.Get("Origin") == "" {
		return false
	}
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("Access-Control-Allow-Credentials", "true")
	if r.Method != http.MethodOptions {
		return false
	}
	head.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
	w.WriteHeader(http.StatusNoContent)
	return true
}

// A handler answers one kind of request. What it returns is sent as JSON;
// nothing is sent for a nil value, and errors decide the status.
type handler func(r *request) (any, error)

// methods maps HTTP methods to handlers. PUT stands for POST too.
type methods map[string]handler

func (s *Server) handle(pattern string, m methods) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, m, "")
	})
}

// answer runs the handler for the request's method.
func (s *Server) answer(w http.ResponseWriter, hr *http.Request, m methods, id string) {
	h := m[hr.Method]
	if h == nil && hr.Method == http.MethodPost {
		h = m[http.MethodPut]
	}
	if h == nil {
		fail(w, &statusError{http.StatusMethodNotAllowed, "Invalid method"})
		return
	}
	r := &request{s: s, w: w, r: hr, query: hr.URL.Query(), id: id}
	if err := r.parseOptions(); err != nil {
		fail(w, err)
		return
	}
	v, err := h(r)
	if r.hijacked {
		return
	}
	if err != nil {
		fail(w, err)
		return
	}
	if err := r.send(v); err != nil {
		s.log.Debug("answer was not sent", "path", hr.URL.Path, "err", err)
	}
}

// A statusError is an error with a status of its own.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func badRequest(text string) error { return &statusError{http.StatusBadRequest, text} }

func notFound(text string) error { return &statusError{http.StatusNotFound, text} }

// fail answers with an error as plain text. Errors of writes are 500 whatever
// their class, as clients expect; only reads that name one object are 404, and
// their handlers say so with notFound.
func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var se *statusError
	switch {
	case errors.As(err, &se):
		status = se.status
	case errors.Is(err, model.ErrDenied):
		status = http.StatusForbidden
	}
	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=utf-8")
	head.Set("X-Serai-Error-Code", model.ErrorCode(err))
	w.WriteHeader(status)
	w.Write([]byte(err.Error())) // the status is out; nothing to do if it fails
}
