// Http is a small HTTP service that runs as a WebAssembly module: build it with GOOS=wasip1 GOARCH=wasm.
//
// A module cannot open sockets of its own. Its host hands it sockets that already listen: their number is in
// LISTEN_FDS, their names (the port labels of the job file) in LISTEN_FDNAMES, and the first of them is file
// descriptor 3. This is the convention of systemd's socket activation.
//
// The service answers / with a greeting, /env with its environment and /healthz with "ok", and writes one line per
// request to standard output.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// firstListenFD is the number of the first socket that the host hands over.
const firstListenFD = 3

func main() {
	label := "http"
	if len(os.Args) > 1 {
		label = os.Args[1]
	}
	listener, err := listen(label)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", os.Getenv("NOMAD_ADDR_"+label))
	server := &http.Server{Handler: accessLog(routes()), ReadHeaderTimeout: 10 * time.Second}
	if err := server.Serve(listener); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// listen returns the socket that the host handed over under the given name.
func listen(name string) (net.Listener, error) {
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || count < 1 {
		return nil, fmt.Errorf("no listening socket was handed over: name a port label in the task's listen option")
	}
	index := slices.Index(strings.Split(os.Getenv("LISTEN_FDNAMES"), ":"), name)
	if index < 0 || index >= count {
		return nil, fmt.Errorf("no listening socket is called %q: got %s", name, os.Getenv("LISTEN_FDNAMES"))
	}
	file := os.NewFile(uintptr(firstListenFD+index), name)
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("listen on socket %q: %w", name, err)
	}
	return listener, nil
}

// routes is what the service answers.
func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from WebAssembly, allocation %s.\n", os.Getenv("NOMAD_SHORT_ALLOC_ID"))
	})
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, r *http.Request) {
		env := os.Environ()
		slices.Sort(env)
		fmt.Fprintln(w, strings.Join(env, "\n"))
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// statusWriter remembers the status code that a handler answered.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// accessLog writes one line per request: time, method, path, status, duration.
func accessLog(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(sw, r)
		fmt.Printf("%s %s %s %d %s\n", start.UTC().Format(time.RFC3339), r.Method, r.URL.Path, sw.status, time.Since(start))
	})
}
