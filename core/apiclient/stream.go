package apiclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// FileInfo describes a file of an allocation.
type FileInfo struct {
	Name        string
	IsDir       bool
	Size        int64
	FileMode    string
	ModTime     time.Time
	ContentType string
}

// NodeClient calls the node that runs an allocation: straight if its address
// can be reached, by way of the client's agent if not. It is safe for concurrent
// use.
type NodeClient struct {
	through *Client
	direct  atomic.Pointer[Client] // nil: there is no way around the agent
}

// ErrNodeDown says that a node's agent does not answer the servers.
var ErrNodeDown = errors.New("node is down")

// OnNode returns a client for what only the given node can answer.
func (c *Client) OnNode(ctx context.Context, id model.NodeID) (*NodeClient, error) {
	node, _, err := c.Node(ctx, id, nil)
	if err != nil {
		return nil, err
	}
	if node.Status == model.NodeStatusDown {
		return nil, ErrNodeDown
	}
	n := &NodeClient{through: c}
	if node.HTTPAddr == "" {
		return n, nil
	}
	config := c.config
	config.Address = "http://" + node.HTTPAddr
	if node.TLSEnabled {
		config.Address = "https://" + node.HTTPAddr
		if config.TLS.ServerName == "" {
			region := config.Region
			if region == "" {
				region = model.DefaultRegion
			}
			config.TLS.ServerName = "client." + region + ".nomad"
		}
	}
	// An odd address is no reason to fail: the agent knows the way.
	if direct, err := newClient(config, time.Second); err == nil {
		n.direct.Store(direct)
	}
	return n, nil
}

// Close drops idle connections to the node.
func (n *NodeClient) Close() {
	if direct := n.direct.Load(); direct != nil {
		direct.Close()
	}
}

// each tries the direct way, then the agent. Only network trouble leads to the
// second try: an answer, even a bad one, is final.
func (n *NodeClient) each(ctx context.Context, call func(*Client) error) error {
	if direct := n.direct.Load(); direct != nil {
		err := call(direct)
		var netErr net.Error
		var opErr *net.OpError
		if err == nil || ctx.Err() != nil || !errors.As(err, &opErr) && !(errors.As(err, &netErr) && netErr.Timeout()) {
			return err
		}
		direct.Close()
		n.direct.Store(nil)
	}
	return call(n.through)
}

// open starts a streamed answer. The caller closes it.
func (n *NodeClient) open(ctx context.Context, path string, params url.Values) (io.ReadCloser, error) {
	var body io.ReadCloser
	err := n.each(ctx, func(c *Client) error {
		req, err := c.request(ctx, http.MethodGet, path, &Query{Params: params}, nil)
		if err != nil {
			return err
		}
		resp, err := c.do(req)
		if err != nil {
			return err
		}
		body = resp.Body
		return nil
	})
	return body, err
}

// List lists a folder of an allocation.
func (n *NodeClient) List(ctx context.Context, id model.AllocID, path string) ([]*FileInfo, error) {
	var out []*FileInfo
	err := n.each(ctx, func(c *Client) (err error) {
		out, _, err = list[*FileInfo](ctx, c, "/v1/client/fs/ls/"+Segment(id), (*Query)(nil).with("path", path))
		return err
	})
	return out, err
}

// Stat describes a file of an allocation.
func (n *NodeClient) Stat(ctx context.Context, id model.AllocID, path string) (*FileInfo, error) {
	var out *FileInfo
	err := n.each(ctx, func(c *Client) (err error) {
		out, _, err = one[FileInfo](ctx, c, "/v1/client/fs/stat/"+Segment(id), (*Query)(nil).with("path", path))
		return err
	})
	return out, err
}

// Cat opens a file of an allocation. Errors found on the node come as text in
// the file's place, for that is how the API has it. The caller closes it.
func (n *NodeClient) Cat(ctx context.Context, id model.AllocID, path string) (io.ReadCloser, error) {
	return n.open(ctx, "/v1/client/fs/cat/"+Segment(id), url.Values{"path": {path}})
}

// Where streams start: Offset bytes after the start or before the end.
const (
	OriginStart = "start"
	OriginEnd   = "end"
)

// FileStream says which part of a file to stream.
type FileStream struct {
	Path   string
	Origin string // OriginStart or OriginEnd
	Offset int64
	Follow bool
}

// StreamFile streams a file of an allocation. The caller closes it.
func (n *NodeClient) StreamFile(ctx context.Context, id model.AllocID, s FileStream) (*Frames, error) {
	body, err := n.open(ctx, "/v1/client/fs/stream/"+Segment(id), url.Values{
		"path": {s.Path}, "origin": {s.Origin}, "offset": {strconv.FormatInt(s.Offset, 10)},
		"follow": {strconv.FormatBool(s.Follow)},
	})
	if err != nil {
		return nil, err
	}
	return newFrames(body), nil
}

// LogStream says which part of a task's output to stream.
type LogStream struct {
	Task   string
	Type   string // stdout or stderr
	Origin string // OriginStart or OriginEnd
	Offset int64
	Follow bool
}

// StreamLogs streams the output of a task. The caller closes it.
func (n *NodeClient) StreamLogs(ctx context.Context, id model.AllocID, s LogStream) (*Frames, error) {
	body, err := n.open(ctx, "/v1/client/fs/logs/"+Segment(id), url.Values{
		"task": {s.Task}, "type": {s.Type}, "origin": {s.Origin}, "offset": {strconv.FormatInt(s.Offset, 10)},
		"follow": {strconv.FormatBool(s.Follow)},
	})
	if err != nil {
		return nil, err
	}
	return newFrames(body), nil
}

// Frame is one piece of a stream.
type Frame struct {
	Data      []byte
	File      string
	Offset    int64  // position after Data
	FileEvent string // "file truncated", "file deleted", or empty
}

// Frames reads a stream piece by piece. Read gives its bytes alone.
type Frames struct {
	body io.ReadCloser
	dec  *json.Decoder
	rest []byte
}

func newFrames(body io.ReadCloser) *Frames {
	return &Frames{body: body, dec: json.NewDecoder(body)}
}

// Next returns the next piece, leaving out heartbeats, and io.EOF at the end.
func (f *Frames) Next() (*Frame, error) {
	for {
		frame := &Frame{}
		if err := f.dec.Decode(frame); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("read the stream: %w", err)
		}
		if len(frame.Data) > 0 || frame.FileEvent != "" {
			return frame, nil
		}
	}
}

// Read implements io.Reader over the pieces' data.
func (f *Frames) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		frame, err := f.Next()
		if err != nil {
			return 0, err
		}
		f.rest = frame.Data
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// Close ends the stream.
func (f *Frames) Close() error { return f.body.Close() }
