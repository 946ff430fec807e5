package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hashicorp/raft"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cast is who leads, for routers of a test.
type cast struct {
	mu     sync.Mutex
	leader string
	region map[string][]string
}

func (c *cast) lead(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = addr
}

// agent is a server of a test.
type agent struct {
	cast *cast
	l    *Listener
	mux  *rpc.Mux
	r    *Router
	pool *Pool
}

func (a *agent) Leader() (string, bool) {
	a.cast.mu.Lock()
	defer a.cast.mu.Unlock()
	return a.cast.leader, a.cast.leader == a.l.Addr().String()
}

func (a *agent) LastContact() time.Duration     { return time.Second }
func (a *agent) Servers(region string) []string { return a.cast.region[region] }

// newAgent starts a server that names itself in its answers.
func newAgent(t testing.TB, c *cast, region string) *agent {
	t.Helper()
	l, err := Listen("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{cast: c, l: l, mux: rpc.NewMux(), pool: NewPool()}
	a.r = NewRouter(region, a.mux, a.pool, a)
	name := l.Addr().String()
	rpc.StatusPing.Handle(a.mux, func(context.Context, *rpc.StatusRequest) (*rpc.StatusPingResponse, error) {
		return &rpc.StatusPingResponse{Name: name}, nil
	})
	rpc.JobGet.Handle(a.mux, func(_ context.Context, q *rpc.JobQuery) (*rpc.JobResponse, error) {
		if q.JobID == "" {
			return nil, model.Errorf(model.ErrConflict, "no job\nis named")
		}
		return &rpc.JobResponse{Job: &model.Job{ID: q.JobID, Name: name}}, nil
	})
	rpc.JobEvaluate.Handle(a.mux, func(_ context.Context, q *rpc.JobEvaluateRequest) (*rpc.JobRegisterResponse, error) {
		return &rpc.JobRegisterResponse{Warnings: name}, nil
	})
	rpc.NodeWatch.Handle(a.mux, func(ctx context.Context, q *rpc.NodeWatchRequest, send func(*rpc.NodeWatchUpdate) error) error {
		for i := range uint64(3) {
			if err := send(&rpc.NodeWatchUpdate{Index: i}); err != nil {
				return err
			}
		}
		switch q.SecretID {
		case "wait":
			<-ctx.Done()
			return ctx.Err()
		case "fail":
			return model.ErrDenied
		}
		return nil
	})
	l.Serve(a.r)
	t.Cleanup(a.close)
	return a
}

func (a *agent) close() {
	a.pool.Close()
	a.l.Close()
	a.r.Wait()
}

func (a *agent) addr() string { return a.l.Addr().String() }

func TestCallsKeepTheClassOfErrors(t *testing.T) {
	c := &cast{}
	a := newAgent(t, c, "global")
	c.lead(a.addr())
	p := NewPool()
	defer p.Close()
	got, err := p.Call(t.Context(), a.addr(), rpc.JobGet.Descriptor, &rpc.JobQuery{JobID: "web"}, false)
	if err != nil || got.(*rpc.JobResponse).Job.ID != "web" {
		t.Fatalf("answer %+v, error %v", got, err)
	}
	if m := got.(*rpc.JobResponse).QueryMeta; !m.KnownLeader || m.LastContact != time.Second {
		t.Errorf("meta is %+v", m)
	}
	_, err = p.Call(t.Context(), a.addr(), rpc.JobGet.Descriptor, &rpc.JobQuery{}, false)
	if !errors.Is(err, model.ErrConflict) || err.Error() != "no job\nis named" {
		t.Errorf("error is %v", err)
	}
	if _, err = p.Call(t.Context(), a.addr(), rpc.JobList.Descriptor, &rpc.JobListRequest{}, false); err == nil {
		t.Error("a method without a handler was answered")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = p.Call(ctx, a.addr(), rpc.JobGet.Descriptor, &rpc.JobQuery{JobID: "web"}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestStreams(t *testing.T) {
	c := &cast{}
	a := newAgent(t, c, "global")
	c.lead(a.addr())
	p := NewPool()
	defer p.Close()
	far := NewClient(p, []string{a.addr()})
	for name, caller := range map[string]rpc.Caller{"near": a.r, "far": far} {
		for secret, want := range map[string]error{"": io.EOF, "fail": model.ErrDenied, "wait": context.Canceled} {
			ctx, cancel := context.WithCancel(t.Context())
			s, err := rpc.NodeWatch.Call(ctx, caller, &rpc.NodeWatchRequest{SecretID: secret})
			if err != nil {
				t.Fatal(err)
			}
			for i := range uint64(3) {
				u, err := s.Recv()
				if err != nil || u.Index != i {
					t.Fatalf("%s %q: message %d is %+v, error %v", name, secret, i, u, err)
				}
			}
			if secret == "wait" {
				cancel()
			}
			if _, err := s.Recv(); !errors.Is(err, want) {
				t.Errorf("%s %q: error is %v, want %v", name, secret, err, want)
			}
			cancel()
		}
	}
}

func TestRouting(t *testing.T) {
	c := &cast{region: map[string][]string{}}
	s1, s2 := newAgent(t, c, "global"), newAgent(t, c, "global")
	abroad := newAgent(t, &cast{}, "eu")
	abroad.cast.lead(abroad.addr())
	c.region["eu"] = []string{abroad.addr()}
	c.lead(s1.addr())

	read := func(change func(*rpc.JobQuery)) (string, error) {
		q := &rpc.JobQuery{JobID: "web"}
		if change != nil {
			change(q)
		}
		resp, err := rpc.JobGet.Call(t.Context(), s2.r, q)
		if err != nil {
			return "", err
		}
		return resp.Job.Name, nil
	}
	for name, tc := range map[string]struct {
		change func(*rpc.JobQuery)
		want   string
	}{
		"leader":       {nil, s1.addr()},
		"stale":        {func(q *rpc.JobQuery) { q.AllowStale = true }, s2.addr()},
		"own region":   {func(q *rpc.JobQuery) { q.Region = "global" }, s1.addr()},
		"other region": {func(q *rpc.JobQuery) { q.Region = "eu" }, abroad.addr()},
	} {
		if got, err := read(tc.change); err != nil || got != tc.want {
			t.Errorf("%s: answered by %s, want %s, error %v", name, got, tc.want, err)
		}
	}
	if _, err := read(func(q *rpc.JobQuery) { q.Region = "mars" }); !errors.Is(err, model.ErrNoRegion) {
		t.Errorf("error is %v", err)
	}
	w, err := rpc.JobEvaluate.Call(t.Context(), s2.r, &rpc.JobEvaluateRequest{})
	if err != nil || w.Warnings != s1.addr() {
		t.Errorf("a write was answered by %+v, error %v", w, err)
	}
	ping, err := rpc.StatusPing.Call(t.Context(), s2.r, &rpc.StatusRequest{})
	if err != nil || ping.Name != s2.addr() {
		t.Errorf("a local call was answered by %+v, error %v", ping, err)
	}
	// What was forwarded is not forwarded again.
	c.lead("127.0.0.1:1")
	if _, err := s2.pool.Call(t.Context(), s1.addr(), rpc.JobGet.Descriptor, &rpc.JobQuery{JobID: "web"}, true); !errors.Is(err, model.ErrNoLeader) {
		t.Errorf("error is %v", err)
	}
}

func TestCallsWaitForALeader(t *testing.T) {
	c := &cast{}
	a := newAgent(t, c, "global")
	time.AfterFunc(60*time.Millisecond, func() { c.lead(a.addr()) })
	if _, err := rpc.JobGet.Call(t.Context(), a.r, &rpc.JobQuery{JobID: "web"}); err != nil {
		t.Errorf("error is %v", err)
	}
	c.lead("")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := rpc.JobGet.Call(ctx, a.r, &rpc.JobQuery{JobID: "web"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	q := &rpc.JobQuery{JobID: "web"}
	q.AllowStale = true
	if got, err := rpc.JobGet.Call(t.Context(), a.r, q); err != nil || got.KnownLeader {
		t.Errorf("a stale read without a leader: %+v, error %v", got, err)
	}
}

func TestClientMovesOn(t *testing.T) {
	c := &cast{}
	s1, s2 := newAgent(t, c, "global"), newAgent(t, c, "global")
	p := NewPool()
	defer p.Close()
	client := NewClient(p, []string{s1.addr(), s2.addr()})
	ping := func() string {
		t.Helper()
		resp, err := rpc.StatusPing.Call(t.Context(), client, &rpc.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return resp.Name
	}
	first := ping()
	if first != ping() {
		t.Error("it does not stay with a server that answers")
	}
	gone, other := s1, s2
	if first == s2.addr() {
		gone, other = s2, s1
	}
	gone.close()
	if got := ping(); got != other.addr() {
		t.Errorf("answered by %s", got)
	}
	other.close()
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := rpc.StatusPing.Call(ctx, client, &rpc.StatusRequest{}); err == nil {
		t.Error("nobody is there and it was answered")
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it took %v", d)
	}
	// A call that must not be made twice is not.
	_, err := rpc.JobDispatch.Call(t.Context(), client, &rpc.JobDispatchRequest{})
	if !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
	if _, err := rpc.StatusPing.Call(t.Context(), NewClient(p, nil), &rpc.StatusRequest{}); !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
}

func TestRaftSharesThePort(t *testing.T) {
	c := &cast{}
	a := newAgent(t, c, "global")
	go func() {
		conn, err := a.l.Raft().Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	}()
	b := newAgent(t, c, "global")
	conn, err := b.l.Raft().Dial(raft.ServerAddress(a.addr()), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "Phello")
	got := make([]byte, 6)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "Phello" {
		t.Errorf("got %q, error %v", got, err)
	}
	// What is neither is turned away.
	stranger, err := net.Dial("tcp", a.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	fmt.Fprint(stranger, "GET / HTTP/1.1\r\n\r\n")
	if b, err := io.ReadAll(stranger); len(b) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("a stranger got %q, error %v", b, err)
	}
}

func TestBigMessages(t *testing.T) {
	c := &cast{}
	a := newAgent(t, c, "global")
	c.lead(a.addr())
	p := NewPool()
	defer p.Close()
	id := model.JobID(strings.Repeat("x", 20<<20))
	got, err := p.Call(t.Context(), a.addr(), rpc.JobGet.Descriptor, &rpc.JobQuery{JobID: id}, false)
	if err != nil || got.(*rpc.JobResponse).Job.ID != id {
		t.Errorf("error %v", err)
	}
}

func BenchmarkCall(b *testing.B) {
	c := &cast{}
	a := newAgent(b, c, "global")
	c.lead(a.addr())
	p := NewPool()
	defer p.Close()
	far := NewClient(p, []string{a.addr()})
	for name, caller := range map[string]rpc.Caller{"near": a.r, "far": far} {
		b.Run("caller="+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := rpc.JobGet.Call(b.Context(), caller, &rpc.JobQuery{JobID: "web"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
