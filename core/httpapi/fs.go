package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
)

func newBody(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }

func (r *request) fsNode() (NodeBackend, bool, error) {
	if r.id == "" {
		return nil, false, badRequest("must provide a valid alloc id")
	}
	return r.nodeFor(r.alloc())
}

func fsList(r *request) (any, error) {
	n, done, err := r.fsNode()
	if done || err != nil {
		return nil, err
	}
	path := r.query.Get("path")
	if path == "" {
		path = "/"
	}
	files, err := n.ListDir(r.ctx(), r.alloc(), path)
	if err != nil {
		return nil, r.clientErr(err)
	}
	return files, nil
}

// path is the parameter that names a file.
func (r *request) path() (string, error) {
	p := r.query.Get("path")
	if p == "" {
		return "", badRequest("must provide a file name")
	}
	return p, nil
}

func fsStat(r *request) (any, error) {
	path, err := r.path()
	if err != nil {
		return nil, err
	}
	n, done, err := r.fsNode()
	if done || err != nil {
		return nil, err
	}
	file, err := n.StatFile(r.ctx(), r.alloc(), path)
	if err != nil {
		return nil, r.clientErr(err)
	}
	return file, nil
}

func fsCat(r *request) (any, error) {
	path, err := r.path()
	if err != nil {
		return nil, err
	}
	return r.copyFile(path, 0, -1)
}

func fsReadAt(r *request) (any, error) {
	path, err := r.path()
	if err != nil {
		return nil, err
	}
	offset, err := strconv.ParseInt(r.query.Get("offset"), 10, 64)
	if err != nil {
		return nil, badRequest(fmt.Sprintf("error parsing offset: %v", err))
	}
	limit := int64(-1)
	if v := r.query.Get("limit"); v != "" {
		if limit, err = strconv.ParseInt(v, 10, 64); err != nil {
			return nil, badRequest(fmt.Sprintf("error parsing limit: %v", err))
		}
		if limit == 0 {
			limit = -1
		}
	}
	return r.copyFile(path, offset, limit)
}

// copyFile answers with a file's bytes. Errors of these two endpoints are
// plain text with status 200; that is what clients of the API expect.
func (r *request) copyFile(path string, offset, limit int64) (any, error) {
	n, done, err := r.fsNode()
	if done || err != nil {
		return nil, err
	}
	r.hijacked = true
	f, err := n.OpenFile(r.ctx(), r.alloc(), path, offset, limit)
	if err != nil {
		r.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, werr := io.WriteString(r.w, err.Error())
		return nil, werr
	}
	defer f.Close()
	h := r.w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Xss-Protection", "1; mode=block")
	_, err = io.Copy(r.w, f)
	return nil, err
}

// position reads where a stream starts.
func (r *request) position(follow bool) (Position, error) {
	p := Position{Origin: r.query.Get("origin"), Follow: follow}
	switch p.Origin {
	case "":
		p.Origin = "start"
	case "start", "end":
	default:
		return p, badRequest("origin must be start or end")
	}
	var err error
	if v := r.query.Get("offset"); v != "" {
		if p.Offset, err = strconv.ParseInt(v, 10, 64); err != nil {
			return p, badRequest(fmt.Sprintf("error parsing offset: %v", err))
		}
	}
	if v := r.query.Get("follow"); v != "" {
		if p.Follow, err = strconv.ParseBool(v); err != nil {
			return p, badRequest(fmt.Sprintf("error parsing follow: %v", err))
		}
	}
	return p, nil
}

func fsStream(r *request) (any, error) {
	path, err := r.path()
	if err != nil {
		return nil, err
	}
	from, err := r.position(true)
	if err != nil {
		return nil, err
	}
	n, done, err := r.fsNode()
	if done || err != nil {
		return nil, err
	}
	if _, err := n.StatFile(r.ctx(), r.alloc(), path); err != nil {
		return nil, badRequest(err.Error())
	}
	return nil, r.stream("text/plain", false, func(ctx context.Context, send func(*model.StreamFrame) error) error {
		return n.StreamFile(ctx, r.alloc(), path, from, send)
	})
}

func fsLogs(r *request) (any, error) {
	task, kind := r.query.Get("task"), r.query.Get("type")
	if task == "" {
		return nil, badRequest("must provide task name")
	}
	if kind != "stdout" && kind != "stderr" {
		return nil, badRequest("must provide log type (stdout/stderr)")
	}
	plain, err := r.flag("plain")
	if err != nil {
		return nil, err
	}
	from, err := r.position(false)
	if err != nil {
		return nil, err
	}
	n, done, err := r.fsNode()
	if done || err != nil {
		return nil, err
	}
	contentType := "application/json"
	if plain {
		contentType = "text/plain"
	}
	return nil, r.stream(contentType, plain, func(ctx context.Context, send func(*model.StreamFrame) error) error {
		return n.StreamLogs(ctx, r.alloc(), task, kind, from, send)
	})
}

// stream answers with frames as they come: JSON objects without separators,
// or with plain only their data. An error before the first frame becomes the
// answer's status; after that it can only end the stream.
func (r *request) stream(contentType string, plain bool, run func(context.Context, func(*model.StreamFrame) error) error) error {
	ctx, cancel := context.WithCancel(r.ctx())
	defer cancel()
	var mu sync.Mutex // guards the response writer
	started := false
	out := http.NewResponseController(r.w)
	emit := func(f *model.StreamFrame) error {
		mu.Lock()
		defer mu.Unlock()
		if !started {
			r.w.Header().Set("Content-Type", contentType)
			started = true
		}
		b := f.Data
		if !plain {
			var err error
			if b, err = encode(f, false); err != nil {
				return err
			}
		}
		if _, err := r.w.Write(b); err != nil {
			return err
		}
		return out.Flush()
	}
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if emit(&model.StreamFrame{}) != nil {
					cancel() // the client is gone
					return
				}
			}
		}
	}()
	err := run(ctx, emit)
	cancel()
	<-beats
	mu.Lock()
	defer mu.Unlock()
	if err != nil && !started && r.ctx().Err() == nil {
		return r.clientErr(err)
	}
	r.hijacked = true
	if !started {
		r.w.Header().Set("Content-Type", contentType)
		r.w.WriteHeader(http.StatusOK)
	}
	return nil
}
