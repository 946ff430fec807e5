// Package apiclient talks to an agent's HTTP API. A [Client] is safe for
// concurrent use and keeps its connections; every call takes a context, and a
// call ends when its context does.
//
// Reads take a [Query], which may be nil, and return a [Meta] with the index to
// block on next. What the API answers with an error status comes back as a
// [StatusError]; what never reached an agent as the transport's own error.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config says which agent to talk to and how. [FromEnv] fills it from the
// environment.
type Config struct {
	// Address is http://host:port, https://host:port or unix:///path/to/socket.
	// Empty means http://127.0.0.1:4646.
	Address string
	// Region and Namespace go with every call that does not say otherwise;
	// empty leaves the choice to the agent.
	Region    string
	Namespace string
	// Token is the caller's secret. HTTPAuth, "user:password", is for a proxy in
	// front of the agent.
	Token    string
	HTTPAuth string
	TLS      TLSConfig
}

// Client calls one agent.
type Client struct {
	config  Config
	base    *url.URL
	http    *http.Client
	dialer  func(ctx context.Context, network, addr string) (net.Conn, error)
	timeout time.Duration // for connecting
}

// New makes a client. It reads the TLS files but does not connect.
func New(config Config) (*Client, error) {
	return newClient(config, 30*time.Second)
}

func newClient(config Config, connectTimeout time.Duration) (*Client, error) {
	if config.Address == "" {
		config.Address = "http://127.0.0.1:4646"
	}
	base, err := url.Parse(config.Address)
	if err != nil {
		return nil, fmt.Errorf("invalid address '%s': %w", config.Address, err)
	}
	c := &Client{config: config, base: base, timeout: connectTimeout}
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}
	c.dialer = dialer.DialContext
	switch base.Scheme {
	case "http", "https":
	case "unix":
		socket := base.Path
		if base.Opaque != "" { // unix:relative
			socket = base.Opaque
		}
		c.base = &url.URL{Scheme: "http", Host: "127.0.0.1"}
		c.dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	default:
		return nil, fmt.Errorf("invalid address '%s': want http://, https:// or unix:// in front", config.Address)
	}
	tlsConfig, err := config.TLS.load()
	if err != nil {
		return nil, err
	}
	c.http = &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         c.dialer,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
	}}
	return c, nil
}

// Close drops idle connections. Calls under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Address is the URL calls go to.
func (c *Client) Address() string { return c.config.Address }

// Namespace is the namespace calls are made in by default.
func (c *Client) Namespace() string { return c.config.Namespace }

// With returns a client for the same agent in another namespace.
func (c *Client) With(namespace string) *Client {
	other := *c
	other.config.Namespace = namespace
	return &other
}

// Query narrows and shapes a read. The zero value asks for everything at once.
type Query struct {
	Region    string
	Namespace string
	// Index above zero makes the call block until the result is newer, for at
	// most Wait (zero: the server's default, five minutes).
	Index uint64
	Wait  time.Duration
	// Stale lets any server answer.
	Stale   bool
	Prefix  string
	Filter  string
	Reverse bool
	// PerPage above zero asks for one page; Meta.NextToken leads to the next.
	PerPage   int
	NextToken string
	// Params are further parameters of the endpoint.
	Params url.Values
}

// Meta accompanies an answer.
type Meta struct {
	Index       uint64
	LastContact time.Duration
	KnownLeader bool
	NextToken   string
}

// StatusError is an answer with an error status. Its text is the one scripts
// search for.
type StatusError struct {
	Code int
	Body string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("Unexpected response code: %d (%s)", e.Code, e.Body)
}

// IsNotFound reports whether err says that the object asked for is not there.
func IsNotFound(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Code == http.StatusNotFound
}

// values renders q with the client's defaults.
func (c *Client) values(q *Query) url.Values {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("region", c.config.Region)
	set("namespace", c.config.Namespace)
	if q == nil {
		return v
	}
	set("region", q.Region)
	set("namespace", q.Namespace)
	set("prefix", q.Prefix)
	set("filter", q.Filter)
	set("next_token", q.NextToken)
	if q.Index > 0 {
		set("index", strconv.FormatUint(q.Index, 10))
		if q.Wait > 0 {
			set("wait", fmt.Sprintf("%dms", q.Wait.Milliseconds()))
		}
	}
	if q.Stale {
		v.Set("stale", "")
	}
	if q.Reverse {
		set("reverse", "true")
	}
	if q.PerPage != 0 {
		set("per_page", strconv.Itoa(q.PerPage))
	}
	for key, all := range q.Params {
		v[key] = all
	}
	return v
}

// Segment escapes an ID for use as one segment of a path.
func Segment[S ~string](id S) string { return url.PathEscape(string(id)) }

// request builds a request. path is escaped already.
func (c *Client) request(ctx context.Context, method, path string, q *Query, body io.Reader) (*http.Request, error) {
	u := *c.base
	raw := strings.TrimSuffix(u.EscapedPath(), "/") + path
	unescaped, err := url.PathUnescape(raw)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", path, err)
	}
	u.Path, u.RawPath = unescaped, raw
	u.RawQuery = c.values(q).Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	c.authorize(req.Header)
	return req, nil
}

func (c *Client) authorize(h http.Header) {
	if c.config.Token != "" {
		h.Set("X-Nomad-Token", c.config.Token)
	}
	if user, password, ok := strings.Cut(c.config.HTTPAuth, ":"); c.config.HTTPAuth != "" {
		if !ok {
			user, password = c.config.HTTPAuth, ""
		}
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, password)
		h.Set("Authorization", r.Header.Get("Authorization"))
	}
}

// do sends a request and returns the answer's open body, or a StatusError.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		return nil, &StatusError{Code: resp.StatusCode, Body: strings.TrimSpace(string(body))}
	}
	return resp, nil
}

// Do makes one call of any kind: in (nil for none; an io.Reader goes raw) is
// sent as JSON, the answer decoded into out (nil for none; a *json.RawMessage
// takes it as it is). path is escaped already and starts with "/v1/".
func (c *Client) Do(ctx context.Context, method, path string, q *Query, in, out any) (*Meta, error) {
	var body io.Reader
	switch in := in.(type) {
	case nil:
	case io.Reader:
		body = in
	default:
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := c.request(ctx, method, path, q, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
		_ = resp.Body.Close()
	}()
	meta := parseMeta(resp.Header)
	if out == nil {
		return meta, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return nil, fmt.Errorf("decode the answer to %s %s: %w", method, path, err)
	}
	return meta, nil
}

// get reads path into out.
func (c *Client) get(ctx context.Context, path string, q *Query, out any) (*Meta, error) {
	return c.Do(ctx, http.MethodGet, path, q, nil, out)
}

func (c *Client) put(ctx context.Context, path string, q *Query, in, out any) (*Meta, error) {
	return c.Do(ctx, http.MethodPut, path, q, in, out)
}

func parseMeta(h http.Header) *Meta {
	m := &Meta{NextToken: h.Get("X-Nomad-NextToken"), KnownLeader: h.Get("X-Nomad-KnownLeader") == "true"}
	m.Index, _ = strconv.ParseUint(h.Get("X-Nomad-Index"), 10, 64)
	ms, _ := strconv.ParseInt(h.Get("X-Nomad-LastContact"), 10, 64)
	m.LastContact = time.Duration(ms) * time.Millisecond
	return m
}

// Open makes a request of any kind and returns the answer's body, whatever its
// status. path may carry parameters; headers are "Name: value". The caller
// closes the body.
func (c *Client) Open(ctx context.Context, method, path, filter string, headers []string, body io.Reader) (io.ReadCloser, error) {
	path, params, _ := strings.Cut(path, "?")
	given, err := url.ParseQuery(params)
	if err != nil {
		return nil, fmt.Errorf("parameters of the path: %w", err)
	}
	req, err := c.request(ctx, method, path, &Query{Filter: filter, Params: given}, body)
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, fmt.Errorf("header %q is not of the form 'Name: value'", h)
		}
		req.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
