package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// local is a Caller that answers in the same process.
type local struct{ mux *rpc.Mux }

func (l local) Call(ctx context.Context, d *rpc.Descriptor, req rpc.Message) (rpc.Message, error) {
	return l.mux.Dispatch(ctx, d, req)
}

func (l local) Stream(context.Context, *rpc.Descriptor, rpc.Message) (rpc.Stream, error) {
	return nil, model.ErrUnsupported
}

type fakeAgent struct{ Agent }

func (fakeAgent) Region() string     { return "global" }
func (fakeAgent) Name() string       { return "a" }
func (fakeAgent) Datacenter() string { return "dc1" }
func (fakeAgent) IsServer() bool     { return true }
func (fakeAgent) Join([]string) (int, error) {
	return 0, errors.New("no route")
}

const (
	allocHere  = "11111111-1111-1111-1111-111111111111"
	allocThere = "22222222-2222-2222-2222-222222222222"
	nodeHere   = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
	nodeThere  = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
)

// fakeNode has one allocation, whose log is "one\ntwo\n".
type fakeNode struct {
	NodeBackend
	id model.NodeID
}

func (n fakeNode) NodeID() model.NodeID { return n.id }

func (n fakeNode) StreamLogs(ctx context.Context, id model.AllocID, task, kind string, from Position, send func(*model.StreamFrame) error) error {
	if task == "none" {
		return model.Errorf(model.ErrNotFound, "unknown task name %q", task)
	}
	for _, line := range []string{"one\n", "two\n"} {
		if err := send(&model.StreamFrame{Data: []byte(line), File: "alloc/logs/t.stdout.0"}); err != nil {
			return err
		}
	}
	if from.Follow {
		<-ctx.Done()
	}
	return nil
}

func (n fakeNode) ListDir(context.Context, model.AllocID, string) ([]*model.AllocFileInfo, error) {
	return nil, &os.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT}
}

func (n fakeNode) Exec(_ context.Context, _ model.AllocID, task string, cmd []string, _ bool, s ExecStreams) (int, error) {
	if task != "t" {
		return 0, model.Errorf(model.ErrNotFound, "task %q not found", task)
	}
	in, err := io.ReadAll(s.Stdin)
	if err != nil {
		return 0, err
	}
	if _, err := s.Stdout.Write(append([]byte(cmd[0]+":"), in...)); err != nil {
		return 0, err
	}
	return 7, nil
}

func newAPI(t *testing.T) (*httptest.Server, *rpc.Mux) {
	t.Helper()
	mux := rpc.NewMux()
	api := New(Config{Caller: local{mux}, Node: fakeNode{id: nodeHere}, Agent: fakeAgent{}})
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	return srv, mux
}

func fetch(t *testing.T, method, url, body string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func TestErrorsAndRouting(t *testing.T) {
	srv, mux := newAPI(t)
	rpc.JobGet.Handle(mux, func(_ context.Context, q *rpc.JobQuery) (*rpc.JobResponse, error) {
		resp := &rpc.JobResponse{QueryMeta: rpc.QueryMeta{Index: 12, KnownLeader: true}}
		if q.JobID == "a/dispatch-1" {
			resp.Job = &model.Job{ID: q.JobID}
		}
		return resp, nil
	})
	rpc.JobRegister.Handle(mux, func(_ context.Context, q *rpc.JobRegisterRequest) (*rpc.JobRegisterResponse, error) {
		_, err := q.Job.Validate()
		return nil, err
	})
	tests := map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"unknown route":    {"GET", "/v1/foo", "", 404, ""},
		"trailing slash":   {"GET", "/v1/jobs/", "", 404, ""},
		"method":           {"PATCH", "/v1/jobs", "", 405, "Invalid method"},
		"bad index":        {"GET", "/v1/jobs?index=x", "", 400, "Invalid index"},
		"bad wait":         {"GET", "/v1/jobs?wait=x", "", 400, "Invalid wait time"},
		"bad page":         {"GET", "/v1/jobs?per_page=x", "", 400, "Expect a number for `per_page` query string parameter"},
		"no body":          {"PUT", "/v1/jobs", "", 400, "Request body is empty"},
		"no job":           {"PUT", "/v1/jobs", "{}", 400, "Job must be specified"},
		"no id":            {"POST", "/v1/jobs", `{"Job":{}}`, 400, "Job ID hasn't been provided"},
		"other name":       {"PUT", "/v1/job/x", `{"Job":{"ID":"y"}}`, 400, "Job ID does not match name"},
		"invalid job":      {"PUT", "/v1/jobs", `{"Job":{"ID":"y"}}`, 500, "1 error occurred:\n\t* Missing job task groups\n\n"},
		"duration text":    {"PUT", "/v1/jobs", `{"Job":{"ID":"y","Update":{"Stagger":"1s"}}}`, 400, "json: cannot unmarshal string into Go struct field registration.Job.Stagger of type time.Duration"},
		"missing job":      {"GET", "/v1/job/nope", "", 404, "job not found"},
		"uuid":             {"GET", "/v1/allocation/12", "", 500, "alloc lookup failed: index error: UUID must be 36 characters"},
		"bad bool":         {"GET", "/v1/job/x/versions?diffs=maybe", "", 500, `Failed to parse value of "diffs" (maybe) as a bool: strconv.ParseBool: parsing "maybe": invalid syntax`},
		"join nothing":     {"PUT", "/v1/agent/join", "", 400, "missing address to join"},
		"log without task": {"GET", "/v1/client/fs/logs/" + allocHere, "", 400, "must provide task name"},
		"exec plain":       {"GET", "/v1/client/allocation/" + allocHere + "/exec", "", 500, "websocket connection not found in context"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			status, body, _ := fetch(t, tt.method, srv.URL+tt.path, tt.body)
			if status != tt.status || body != tt.want {
				t.Errorf("%d %q, want %d %q", status, body, tt.status, tt.want)
			}
		})
	}
	for _, path := range []string{"/v1/job/a/dispatch-1", "/v1/job/a%2Fdispatch-1"} {
		status, _, head := fetch(t, "GET", srv.URL+path, "")
		if status != 200 || head.Get("X-Nomad-Index") != "12" || head.Get("X-Nomad-KnownLeader") != "true" {
			t.Errorf("%s: %d %v", path, status, head)
		}
	}
	status, body, _ := fetch(t, "PUT", srv.URL+"/v1/agent/join?address=x", "")
	if want := `{"error":"no route","num_joined":0,"warning":""}`; status != 200 || body != want {
		t.Errorf("join: %d %s", status, body)
	}
}

func TestListsAndEncoding(t *testing.T) {
	srv, mux := newAPI(t)
	var got rpc.AllocListRequest
	rpc.AllocList.Handle(mux, func(_ context.Context, q *rpc.AllocListRequest) (*rpc.AllocListResponse, error) {
		got = *q
		if q.Filter == "bad" {
			return nil, model.Errorf(model.ErrInvalid, "failed to create result paginator: failed to read filter expression: bad")
		}
		return &rpc.AllocListResponse{QueryMeta: rpc.QueryMeta{Index: 3, NextToken: "n"}}, nil
	})
	_, body, head := fetch(t, "GET", srv.URL+"/v1/allocations?index=2&wait=3s&stale&namespace=*&prefix=ab&per_page=5&task_states=false", "")
	if body != "[]" || head.Get("X-Nomad-NextToken") != "n" || head.Get("Content-Type") != "application/json" {
		t.Errorf("empty list is %q %v", body, head)
	}
	want := rpc.AllocListRequest{QueryOptions: rpc.QueryOptions{
		Namespace: "*", AllowStale: true, MinIndex: 2, MaxWait: 3 * time.Second, Prefix: "ab", PerPage: 5,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("query arrived differently:\n%s", diff)
	}
	if status, _, _ := fetch(t, "GET", srv.URL+"/v1/allocations?filter=bad", ""); status != 400 {
		t.Errorf("bad filter is %d", status)
	}

	healthy := true
	rpc.AllocGet.Handle(mux, func(context.Context, *rpc.AllocQuery) (*rpc.AllocResponse, error) {
		return &rpc.AllocResponse{Alloc: &model.Allocation{
			ID: allocHere, Name: "j.g[0]", NodeID: nodeHere, Job: &model.Job{ID: "j", Meta: map[string]string{"a": "<&>"}},
			AllocatedResources: &model.AllocatedResources{
				Tasks:  map[string]*model.AllocatedTaskResources{"t": {Cpu: model.AllocatedCPU{CpuShares: 100}, Memory: model.AllocatedMemory{MemoryMB: 300}}},
				Shared: model.AllocatedSharedResources{DiskMB: 150},
			},
			TaskStates:       map[string]*model.TaskState{"t": {State: "running", StartedAt: time.Unix(1, 0).UTC()}},
			DeploymentStatus: &model.AllocDeploymentStatus{Healthy: &healthy},
		}}, nil
	})
	_, body, _ = fetch(t, "GET", srv.URL+"/v1/allocation/"+allocHere, "")
	for _, want := range []string{
		`"DesiredStatus":"","`, `"a":"<&>"`, `"FinishedAt":null`, `"StartedAt":"1970-01-01T00:00:01Z"`,
		`"Resources":{"CPU":100,"Cores":0,"Devices":null,"DiskMB":150`, `"TaskResources":{"t":{"CPU":100`, `"Healthy":true`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
	for _, not := range []string{"DesiredDescription", "JobVersion", "FollowupEvalID", "StateChanges", "DesiredTransition"} {
		if strings.Contains(body, not) {
			t.Errorf("%s is in %s", not, body)
		}
	}
	if !json.Valid([]byte(body)) {
		t.Error("not JSON")
	}
	_, pretty, _ := fetch(t, "GET", srv.URL+"/v1/allocations?pretty=false", "")
	if pretty != "[]\n" && pretty != "[]" {
		t.Errorf("pretty list is %q", pretty)
	}
}

func TestListCacheFollowsTheIndex(t *testing.T) {
	srv, mux := newAPI(t)
	index, name := uint64(1), "a"
	rpc.NodeList.Handle(mux, func(context.Context, *rpc.NodeListRequest) (*rpc.NodeListResponse, error) {
		return &rpc.NodeListResponse{QueryMeta: rpc.QueryMeta{Index: index}, Nodes: []*model.NodeListStub{{Name: name}}}, nil
	})
	read := func() string {
		_, body, _ := fetch(t, "GET", srv.URL+"/v1/nodes", "")
		return body
	}
	first := read()
	if again := read(); again != first {
		t.Errorf("two reads of one state differ:\n%s\n%s", first, again)
	}
	index, name = 2, "b"
	if got := read(); !strings.Contains(got, `"Name":"b"`) {
		t.Errorf("a change is not seen: %s", got)
	}
}

// twoAgents returns the URL of an agent with allocHere, which knows another
// agent with allocThere.
func twoAgents(t *testing.T) string {
	there := httptest.NewServer(New(Config{Caller: local{rpc.NewMux()}, Node: fakeNode{id: nodeThere}, Agent: fakeAgent{}}))
	t.Cleanup(there.Close)
	srv, mux := newAPI(t)
	rpc.AllocGet.Handle(mux, func(_ context.Context, q *rpc.AllocQuery) (*rpc.AllocResponse, error) {
		switch q.AllocID {
		case allocHere:
			return &rpc.AllocResponse{Alloc: &model.Allocation{NodeID: nodeHere}}, nil
		case allocThere:
			return &rpc.AllocResponse{Alloc: &model.Allocation{NodeID: nodeThere}}, nil
		}
		return &rpc.AllocResponse{}, nil
	})
	rpc.NodeGet.Handle(mux, func(context.Context, *rpc.NodeQuery) (*rpc.NodeResponse, error) {
		return &rpc.NodeResponse{Node: &model.Node{ID: nodeThere, HTTPAddr: strings.TrimPrefix(there.URL, "http://")}}, nil
	})
	return srv.URL
}

func TestLogsHereAndThere(t *testing.T) {
	url := twoAgents(t)
	for _, id := range []string{allocHere, allocThere} {
		status, body, head := fetch(t, "GET", url+"/v1/client/fs/logs/"+id+"?task=t&type=stdout&plain=true", "")
		if status != 200 || body != "one\ntwo\n" || head.Get("Content-Type") != "text/plain" {
			t.Errorf("%s: %d %q %v", id, status, body, head)
		}
		_, body, _ = fetch(t, "GET", url+"/v1/client/fs/logs/"+id+"?task=t&type=stdout", "")
		if want := `{"Data":"b25lCg==","File":"alloc/logs/t.stdout.0"}{"Data":"dHdvCg==","File":"alloc/logs/t.stdout.0"}`; body != want {
			t.Errorf("%s: frames %s", id, body)
		}
	}
	if status, body, _ := fetch(t, "GET", url+"/v1/client/fs/logs/"+allocHere+"?task=none&type=stdout", ""); status != 404 || body != `unknown task name "none"` {
		t.Errorf("unknown task: %d %q", status, body)
	}
	if status, body, _ := fetch(t, "GET", url+"/v1/client/fs/ls/"+allocHere, ""); status != 404 || !strings.Contains(body, "no such file") {
		t.Errorf("ls of nothing: %d %q", status, body)
	}
	missing := strings.ReplaceAll(allocHere, "1", "3")
	if status, body, _ := fetch(t, "GET", url+"/v1/client/fs/ls/"+missing, ""); status != 404 || body != `Unknown allocation "`+missing+`"` {
		t.Errorf("unknown alloc: %d %q", status, body)
	}
}

func TestFollowedLogsHaveHeartbeats(t *testing.T) {
	url := twoAgents(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/v1/client/fs/logs/"+allocThere+"?task=t&type=stdout&follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.HasSuffix(seen.String(), "}{}") {
		n, err := resp.Body.Read(buf)
		seen.Write(buf[:n])
		if err != nil {
			t.Fatalf("stream ended with %v after %q", err, seen.String())
		}
	}
}

func TestExecHereAndThere(t *testing.T) {
	url := twoAgents(t)
	for _, id := range []string{allocHere, allocThere} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		conn, _, err := websocket.Dial(ctx, url+"/v1/client/allocation/"+id+`/exec?task=t&tty=false&command=["cat"]&ws_handshake=true`, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		for _, m := range []string{`{"version":1,"auth_token":""}`, `{"stdin":{"data":"aGk="}}`, `{}`, `{"tty_size":{"height":1,"width":2}}`, `{"stdin":{"close":true}}`} {
			if err := conn.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for range 4 {
			_, msg, err := conn.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(msg))
		}
		want := []string{`{"stdout":{"data":"Y2F0Omhp"}}`, `{"stdout":{"close":true}}`, `{"stderr":{"close":true}}`, `{"exited":true,"result":{"exit_code":7}}`}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("frames differ:\n%s", diff)
		}
	}
	conn, _, err := websocket.Dial(t.Context(), url+"/v1/client/allocation/"+allocHere+`/exec?task=z&command=["cat"]`, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	_, _, err = conn.Read(t.Context())
	if websocket.CloseStatus(err) != websocket.StatusPolicyViolation || !strings.Contains(err.Error(), `z\" not found`) {
		t.Errorf("unknown task closed with %v", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	srv, mux := newAPI(t)
	stored := &model.Node{ID: nodeHere, SecretID: "hush"}
	rpc.NodeGet.Handle(mux, func(context.Context, *rpc.NodeQuery) (*rpc.NodeResponse, error) {
		return &rpc.NodeResponse{Node: stored}, nil
	})
	_, body, _ := fetch(t, "GET", srv.URL+"/v1/node/"+nodeHere, "")
	if strings.Contains(body, "hush") || !strings.Contains(body, `"SecretID":""`) {
		t.Error(body)
	}
	if stored.SecretID != "hush" {
		t.Error("the stored node was changed")
	}
}

func TestCloseTextKeepsTheCause(t *testing.T) {
	long := strings.Repeat("exec in task 1234: ", 20)
	if got := closeText(errors.New(long + "this driver cannot")); !strings.HasSuffix(got, "this driver cannot") || len(got) > maxCloseText {
		t.Errorf("%q", got)
	}
	if got := closeText(errors.New(strings.Repeat("x", 200))); len(got) != maxCloseText {
		t.Errorf("%d bytes", len(got))
	}
}
