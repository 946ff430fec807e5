package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

func parseUint(what, v string) (uint64, error) {
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return 0, badRequest(fmt.Sprintf("%s must be a number, is %q", what, v))
	}
	return n, nil
}

// forwardedHeader marks a request that came through another agent, so that two
// agents which disagree do not send it in circles.
const forwardedHeader = "X-Serai-Forwarded"

// nodeFor finds who answers a request about an allocation (or, with alloc "",
// about the node of the node_id parameter): this agent's node, or else the
// agent of another node, which then has answered, and done is true.
func (r *request) nodeFor(alloc model.AllocID) (n NodeBackend, done bool, err error) {
	local := r.s.cfg.Node
	forwarded := r.r.Header.Get(forwardedHeader) != ""
	if forwarded && local != nil {
		return local, false, nil
	}
	id := model.NodeID(r.query.Get("node_id"))
	if alloc != "" {
		if len(alloc) != 36 {
			return nil, false, notFound(fmt.Sprintf("Unknown allocation %q", alloc))
		}
		resp, err := rpc.AllocGet.Call(r.ctx(), r.caller(), &rpc.AllocQuery{
			QueryOptions: rpc.QueryOptions{Region: r.read.Region, AllowStale: true, AuthToken: r.read.AuthToken}, AllocID: alloc,
		})
		switch {
		case err != nil && local != nil:
			return local, false, nil // the servers are away; perhaps it is here
		case err != nil:
			return nil, false, err
		case resp.Alloc == nil:
			return nil, false, notFound(fmt.Sprintf("Unknown allocation %q", alloc))
		}
		id = resp.Alloc.NodeID
	}
	switch {
	case local != nil && (id == "" || id == local.NodeID()):
		return local, false, nil
	case id == "":
		return nil, false, badRequest("No local Node and node_id not provided")
	case forwarded:
		return nil, false, notFound("Unknown node " + string(id))
	}
	resp, err := rpc.NodeGet.Call(r.ctx(), r.caller(), &rpc.NodeQuery{
		QueryOptions: rpc.QueryOptions{Region: r.read.Region, AllowStale: true, AuthToken: r.read.AuthToken}, NodeID: id,
	})
	if err != nil {
		return nil, false, err
	}
	if resp.Node == nil {
		return nil, false, notFound("Unknown node " + string(id))
	}
	r.forward(resp.Node)
	return nil, true, nil
}

// forward lets the agent of another node answer the request.
func (r *request) forward(n *model.Node) {
	r.hijacked = true
	scheme := "http"
	if n.TLSEnabled {
		scheme = "https"
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: scheme, Host: n.HTTPAddr})
			p.Out.URL.RawQuery = p.In.URL.RawQuery
			p.Out.Header.Set(forwardedHeader, "1")
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				return
			}
			fail(w, fmt.Errorf("reach the agent of node %s (%s) at %s: %w", n.Name, model.Short(n.ID), n.HTTPAddr, err))
		},
	}
	for k := range r.s.cfg.Headers {
		r.w.Header().Del(k) // the other agent sets its own
	}
	proxy.ServeHTTP(r.w, r.r)
}

func (r *request) alloc() model.AllocID { return model.AllocID(r.id) }

// clientErr gives an error of a node its status.
func (r *request) clientErr(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		// One text for all that can be done with a file.
		var pe *fs.PathError
		if errors.As(err, &pe) {
			return notFound("open " + pe.Path + ": no such file or directory")
		}
		return notFound(err.Error())
	case errors.Is(err, model.ErrNotFound):
		return notFound(err.Error())
	}
	return err
}

func clientStats(r *request) (any, error) {
	n, done, err := r.nodeFor("")
	if done || err != nil {
		return nil, err
	}
	return n.HostStats(r.ctx())
}

func clientGC(r *request) (any, error) {
	n, done, err := r.nodeFor("")
	if done || err != nil {
		return nil, err
	}
	return nil, n.GCAllocs(r.ctx())
}

func clientAllocStats(r *request) (any, error) {
	n, done, err := r.nodeFor(r.alloc())
	if done || err != nil {
		return nil, err
	}
	usage, err := n.AllocStats(r.ctx(), r.alloc(), r.query.Get("task"))
	if err != nil {
		return nil, r.clientErr(err)
	}
	return usage, nil
}

func clientAllocGC(r *request) (any, error) {
	n, done, err := r.nodeFor(r.alloc())
	if done || err != nil {
		return nil, err
	}
	if err := n.GCAlloc(r.ctx(), r.alloc()); err != nil {
		return nil, errors.New("No such allocation on client, or allocation not eligible for GC") //nolint:revive // text of the API
	}
	return nil, nil
}

func clientAllocRestart(r *request) (any, error) {
	var in struct {
		TaskName string
		AllTasks bool
	}
	if err := r.decode(&in, true); err != nil {
		return nil, err
	}
	if in.TaskName != "" && in.AllTasks {
		return nil, errors.New("task name cannot be set when restarting all tasks")
	}
	n, done, err := r.nodeForBody(in)
	if done || err != nil {
		return nil, err
	}
	if err := n.RestartAlloc(r.ctx(), r.alloc(), in.TaskName, in.AllTasks); err != nil {
		return nil, err
	}
	return struct{ Index uint64 }{}, nil
}

func clientAllocSignal(r *request) (any, error) {
	var in struct {
		Signal string
		Task   string
	}
	if err := r.decode(&in, false); err != nil {
		return nil, err
	}
	n, done, err := r.nodeForBody(in)
	if done || err != nil {
		return nil, err
	}
	if err := n.SignalAlloc(r.ctx(), r.alloc(), in.Task, in.Signal); err != nil {
		return nil, err
	}
	return struct{ Index uint64 }{}, nil
}

// nodeForBody is nodeFor for a request whose body was read: the body is put
// back for the agent that it may be forwarded to.
func (r *request) nodeForBody(body any) (NodeBackend, bool, error) {
	b, err := encode(body, false)
	if err != nil {
		return nil, false, err
	}
	r.r.Body, r.r.ContentLength = newBody(b), int64(len(b))
	return r.nodeFor(r.alloc())
}

func clientAllocChecks(r *request) (any, error) {
	n, done, err := r.nodeFor(r.alloc())
	if done || err != nil {
		return nil, err
	}
	// Checks of services are not run on nodes of this version, so that an
	// allocation has none; an unknown one is still an error.
	if _, err := n.AllocStats(r.ctx(), r.alloc(), ""); err != nil {
		return nil, r.clientErr(err)
	}
	return map[string]any{}, nil
}

// heartbeat is how often an idle stream sends an empty frame.
const heartbeat = time.Second
