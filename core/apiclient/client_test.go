package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/seraiproject/serai/core/model"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// serve starts an agent made of one handler and a client of it.
func serve(t *testing.T, config Config, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	config.Address = server.URL
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestQueryParameters(t *testing.T) {
	var got *http.Request
	c := serve(t, Config{Region: "eu", Namespace: "ns", Token: "secret", HTTPAuth: "user:pass"}, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("X-Nomad-Index", "42")
		w.Header().Set("X-Nomad-LastContact", "7")
		w.Header().Set("X-Nomad-KnownLeader", "true")
		w.Header().Set("X-Nomad-NextToken", "next")
		fmt.Fprint(w, `[{"ID":"web","Stop":true}]`)
	})
	jobs, meta, err := c.Jobs(t.Context(), &Query{
		Namespace: "*", Index: 5, Wait: 1500 * time.Millisecond, Stale: true, Prefix: "w", Filter: `Status == "x"`,
		Reverse: true, PerPage: 3, NextToken: "tok", Params: url.Values{"meta": {"true"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(jobs) != 1 || jobs[0].ID != "web" || !jobs[0].Stop {
		t.Errorf("jobs are %+v", jobs)
	}
	if want := (&Meta{Index: 42, LastContact: 7 * time.Millisecond, KnownLeader: true, NextToken: "next"}); *meta != *want {
		t.Errorf("meta is %+v", meta)
	}
	want := url.Values{
		"region": {"eu"}, "namespace": {"*"}, "index": {"5"}, "wait": {"1500ms"}, "stale": {""}, "prefix": {"w"},
		"filter": {`Status == "x"`}, "reverse": {"true"}, "per_page": {"3"}, "next_token": {"tok"}, "meta": {"true"},
	}
	if diff := cmp.Diff(want, got.URL.Query()); diff != "" {
		t.Error(diff)
	}
	if user, pass, _ := got.BasicAuth(); user != "user" || pass != "pass" || got.Header.Get("X-Nomad-Token") != "secret" {
		t.Errorf("headers are %v", got.Header)
	}
}

func TestPathsAreEscaped(t *testing.T) {
	var got string
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		got = r.RequestURI
		fmt.Fprint(w, `{"ID":"a"}`)
	})
	if _, _, err := c.Job(t.Context(), "a/dispatch-1 ü?&", nil); err != nil {
		t.Fatal(err)
	}
	if want := "/v1/job/a%2Fdispatch-1%20%C3%BC%3F&"; got != want {
		t.Errorf("request is %s, want %s", got, want)
	}
}

func TestErrors(t *testing.T) {
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/jobs" {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "Permission denied\n")
			return
		}
		if r.URL.Path == "/v1/nodes" {
			fmt.Fprint(w, "not json")
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	_, _, err := c.Jobs(t.Context(), nil)
	if err == nil || err.Error() != "Unexpected response code: 403 (Permission denied)" || IsNotFound(err) {
		t.Errorf("error is %v", err)
	}
	if _, _, err = c.Job(t.Context(), "x", nil); !IsNotFound(err) {
		t.Errorf("error is %v", err)
	}
	if _, _, err = c.Nodes(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "decode the answer to GET /v1/nodes") {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err = c.Jobs(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestNullDeployment(t *testing.T) {
	c := serve(t, Config{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "null") })
	if d, _, err := c.LatestDeployment(t.Context(), "x", nil); d != nil || err != nil {
		t.Errorf("deployment %v, error %v", d, err)
	}
}

func TestWrites(t *testing.T) {
	var requests []string
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests = append(requests, fmt.Sprintf("%s %s?%s %s", r.Method, r.URL.Path, r.URL.RawQuery, body))
		if strings.HasSuffix(r.URL.Path, "/gc") {
			return // an empty success
		}
		fmt.Fprint(w, `{"EvalID":"e1","num_joined":2}`)
	})
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	resp, _, err := c.RegisterJob(ctx, &RegisterRequest{Job: json.RawMessage(`{"ID":"web"}`), EnforceIndex: true}, nil)
	check(err)
	if resp.EvalID != "e1" {
		t.Errorf("response is %+v", resp)
	}
	_, _, err = c.StopJob(ctx, "web", StopOptions{Purge: true}, &Query{Namespace: "n"})
	check(err)
	_, _, err = c.RevertJob(ctx, "web", 3, "", nil)
	check(err)
	_, err = c.StopAllocation(ctx, "a1", true, nil)
	check(err)
	check(c.SignalAllocation(ctx, "a1", "t", "SIGHUP", nil))
	check(c.RestartAllocation(ctx, "a1", "", true, nil))
	check(c.SystemGC(ctx, nil))
	n, err := c.Join(ctx, "x", "y")
	check(err)
	if n != 2 {
		t.Errorf("joined %d", n)
	}
	_, _, err = c.PromoteDeployment(ctx, "d1", nil, nil)
	check(err)
	want := []string{
		`PUT /v1/jobs? {"Job":{"ID":"web"},"EnforceIndex":true,"JobModifyIndex":0,"PolicyOverride":false,"PreserveCounts":false,"PreserveResources":false,"EvalPriority":0}`,
		`DELETE /v1/job/web?eval_priority=0&global=false&namespace=n&no_shutdown_delay=false&purge=true `,
		`PUT /v1/job/web/revert? {"JobID":"web","JobVersion":3,"TaggedVersion":""}`,
		`PUT /v1/allocation/a1/stop?no_shutdown_delay=true `,
		`PUT /v1/client/allocation/a1/signal? {"Signal":"SIGHUP","Task":"t"}`,
		`PUT /v1/client/allocation/a1/restart? {"TaskName":"","AllTasks":true}`,
		`PUT /v1/system/gc? `,
		`PUT /v1/agent/join?address=x&address=y `,
		`PUT /v1/deployment/promote/d1? {"DeploymentID":"d1","All":true,"Groups":null}`,
	}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Error(diff)
	}
}

func TestUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"1.2.3.4:4647"`) })}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	for _, address := range []string{"unix://" + socket, "unix:" + socket} {
		c, err := New(Config{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if leader, err := c.Leader(t.Context(), ""); err != nil || leader != "1.2.3.4:4647" {
			t.Errorf("%s: leader %q, error %v", address, leader, err)
		}
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"leader"`) }))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		tls  TLSConfig
		err  string
	}{
		{"file", TLSConfig{CACert: ca}, ""},
		{"folder", TLSConfig{CAPath: filepath.Dir(ca)}, ""},
		{"skip", TLSConfig{SkipVerify: true}, ""},
		{"name", TLSConfig{CACert: ca, ServerName: "example.com"}, ""},
		{"unknown", TLSConfig{}, "certificate"},
		{"no file", TLSConfig{CACert: ca + ".no"}, "read the certificate authority"},
		{"no certificate", TLSConfig{CACert: "client_test.go"}, "no certificate in"},
		{"half", TLSConfig{ClientCert: ca}, "Both client cert and client key must be provided"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := New(Config{Address: server.URL, TLS: tc.tls})
			if err == nil {
				defer c.Close()
				_, err = c.Leader(t.Context(), "")
			}
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error is %v, want %q", err, tc.err)
			}
		})
	}
}

func TestFromEnv(t *testing.T) {
	got := FromEnv(func(name string) string { return strings.ToLower(name) })
	want := Config{
		Address: "nomad_addr", Region: "nomad_region", Namespace: "nomad_namespace", Token: "nomad_token", HTTPAuth: "nomad_http_auth",
		TLS: TLSConfig{CACert: "nomad_cacert", CAPath: "nomad_capath", ClientCert: "nomad_client_cert", ClientKey: "nomad_client_key", ServerName: "nomad_tls_server_name"},
	}
	if got != want {
		t.Errorf("configuration is %+v", got)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	opened := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/jobs" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, `"x" `)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened++
		}
	}
	server.Start()
	defer server.Close()
	c, err := New(Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 5 {
		if _, err := c.Leader(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Jobs(t.Context(), nil); err == nil {
			t.Fatal("no error")
		}
	}
	if opened != 1 {
		t.Errorf("%d connections for 10 calls", opened)
	}
}

// nodeServer answers for node "n1", whose own address is addr.
func nodeServer(t *testing.T, addr, status string, rest http.HandlerFunc) *Client {
	return serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/node/n1" {
			fmt.Fprintf(w, `{"ID":"n1","HTTPAddr":%q,"Status":%q}`, addr, status)
			return
		}
		rest(w, r)
	})
}

func TestLogsGoStraightToTheNode(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/v1/client/fs/logs/a1" || q.Get("task") != "t" || q.Get("type") != "stderr" || q.Get("origin") != "end" || q.Get("offset") != "5" || q.Get("follow") != "true" {
			t.Errorf("request is %s", r.RequestURI)
		}
		fmt.Fprint(w, `{}{"File":"f","Offset":3,"Data":"YWJj"}{}{"FileEvent":"file deleted"}{"Data":"ZA=="}`)
	}))
	defer node.Close()
	c := nodeServer(t, node.Listener.Addr().String(), "ready", func(w http.ResponseWriter, r *http.Request) { t.Errorf("asked the agent for %s", r.URL) })
	n, err := c.OnNode(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	frames, err := n.StreamLogs(t.Context(), "a1", LogStream{Task: "t", Type: "stderr", Origin: OriginEnd, Offset: 5, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer frames.Close()
	first, err := frames.Next()
	if err != nil || first.File != "f" || first.Offset != 3 {
		t.Errorf("frame %+v, error %v", first, err)
	}
	rest, err := io.ReadAll(frames)
	if string(first.Data)+string(rest) != "abcd" || err != nil {
		t.Errorf("read %q and %q, error %v", first.Data, rest, err)
	}
}

func TestUnreachableNodeIsReachedThroughTheAgent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	c := nodeServer(t, closed, "ready", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/client/fs/ls/a1":
			fmt.Fprint(w, `[{"Name":"alloc","IsDir":true}]`)
		case "/v1/client/fs/cat/a1":
			fmt.Fprint(w, "text")
		case "/v1/client/fs/stat/a1":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "open x: no such file or directory")
		}
	})
	n, err := c.OnNode(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	files, err := n.List(t.Context(), "a1", "/")
	if err != nil || len(files) != 1 || !files[0].IsDir {
		t.Errorf("files %+v, error %v", files, err)
	}
	body, err := n.Cat(t.Context(), "a1", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, _ := io.ReadAll(body); string(text) != "text" {
		t.Errorf("file holds %q", text)
	}
	if _, err := n.Stat(t.Context(), "a1", "x"); !IsNotFound(err) {
		t.Errorf("error is %v", err)
	}
}

func TestNodeDown(t *testing.T) {
	c := nodeServer(t, "127.0.0.1:1", "down", func(http.ResponseWriter, *http.Request) {})
	if _, err := c.OnNode(t.Context(), "n1"); !errors.Is(err, ErrNodeDown) {
		t.Errorf("error is %v", err)
	}
}

// execServer plays a task's side of a session.
func execServer(t *testing.T, play func(ctx context.Context, conn *websocket.Conn, q url.Values)) *NodeClient {
	c := nodeServer(t, "", "ready", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow() //nolint:errcheck // the original drops the connection as well
		play(r.Context(), conn, r.URL.Query())
	})
	n, err := c.OnNode(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func TestExec(t *testing.T) {
	n := execServer(t, func(ctx context.Context, conn *websocket.Conn, q url.Values) {
		if q.Get("task") != "t" || q.Get("tty") != "true" || q.Get("command") != `["cat","-n"]` {
			t.Errorf("parameters are %v", q)
		}
		var input []byte
		var size *TerminalSize
		for closed := false; !closed || size == nil; {
			_, b, err := conn.Read(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			var i execInput
			if err := json.Unmarshal(b, &i); err != nil {
				t.Error(err)
			}
			if i.TTYSize != nil {
				size = i.TTYSize
			}
			if i.Stdin != nil {
				input = append(input, i.Stdin.Data...)
				closed = closed || i.Stdin.Close
			}
		}
		if *size != (TerminalSize{Height: 24, Width: 80}) {
			t.Errorf("size is %v", size)
		}
		for _, frame := range []any{
			map[string]any{"stdout": map[string]any{"data": input}}, map[string]any{},
			map[string]any{"stderr": map[string]any{"data": []byte("oops")}},
			map[string]any{"stdout": map[string]any{"close": true}},
			map[string]any{"exited": true, "result": map[string]any{"exit_code": 3}},
		} {
			b, _ := json.Marshal(frame)
			if err := conn.Write(ctx, websocket.MessageText, b); err != nil {
				t.Error(err)
			}
		}
	})
	var stdout, stderr bytes.Buffer
	sizes := make(chan TerminalSize, 1)
	sizes <- TerminalSize{24, 80}
	input := strings.Repeat("0123456789", 1000)
	code, err := n.Exec(t.Context(), ExecRequest{AllocID: "a1", Task: "t", TTY: true, Command: []string{"cat", "-n"},
		Stdin: strings.NewReader(input), Stdout: &stdout, Stderr: &stderr, Sizes: sizes})
	if err != nil || code != 3 {
		t.Errorf("code %d, error %v", code, err)
	}
	if stdout.String() != input || stderr.String() != "oops" {
		t.Errorf("stdout has %d bytes, stderr is %q", stdout.Len(), stderr.String())
	}
}

func TestExecEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		play func(ctx context.Context, conn *websocket.Conn)
		code int
		err  string
	}{
		{"exit code zero", func(ctx context.Context, conn *websocket.Conn) {
			_ = conn.Write(ctx, websocket.MessageText, []byte(`{"exited":true,"result":{}}`))
		}, 0, ""},
		{"refused", func(_ context.Context, conn *websocket.Conn) {
			_ = conn.Close(websocket.StatusPolicyViolation, "task not found")
		}, 0, "task not found"},
		{"broken off", func(_ context.Context, conn *websocket.Conn) { _ = conn.CloseNow() }, 0, "the session ended before the command did"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := execServer(t, func(ctx context.Context, conn *websocket.Conn, _ url.Values) { tc.play(ctx, conn) })
			code, err := n.Exec(t.Context(), ExecRequest{AllocID: "a1"})
			if code != tc.code || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("code %d, error %v", code, err)
			}
		})
	}
}

func TestPlugins(t *testing.T) {
	c := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `[{"Name":%q,"PID":7}]`, r.URL.Query().Get("node_id"))
	})
	got, err := c.Plugins(t.Context(), "n1")
	if diff := cmp.Diff([]*model.PluginInfo{{Name: "n1", PID: 7}}, got); err != nil || diff != "" {
		t.Errorf("error %v, %s", err, diff)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(`{}{"Data":"YWJj"}{"FileEvent":"x"}`))
	f.Add([]byte(`{"Data":5}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		frames := newFrames(io.NopCloser(bytes.NewReader(b)))
		out, err := io.ReadAll(frames)
		if err == nil && len(out) > len(b) {
			t.Errorf("%d bytes out of %d", len(out), len(b))
		}
	})
}
