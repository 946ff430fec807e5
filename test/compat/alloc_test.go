package compat

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
)

func TestAllocation(t *testing.T) {
	alloc := running(t, parse(t, script("alloc", forever)))
	state := alloc.TaskStates["main"]
	//lint:ignore SA1019 clients still read the older form of resources, so it has to be there
	older := alloc.Resources
	if alloc.Name != "alloc.web[0]" || alloc.NodeID != nodeID || alloc.NodeName != "compat" || alloc.DesiredStatus != api.AllocDesiredStatusRun ||
		alloc.TaskGroup != "web" || *alloc.Job.ID != "alloc" || *older.CPU != 20 {
		t.Errorf("allocation: %+v", alloc)
	}
	if state.State != "running" || state.Failed || state.StartedAt.IsZero() || !state.FinishedAt.IsZero() {
		t.Errorf("task: %+v", state)
	}
	var kinds []string
	for _, e := range state.Events {
		kinds = append(kinds, e.Type)
	}
	if !slices.Equal(kinds, []string{api.TaskReceived, api.TaskSetup, api.TaskStarted}) {
		t.Errorf("events: %v", kinds)
	}
	stubs, _, err := client.Allocations().List(&api.QueryOptions{Prefix: alloc.ID[:8]})
	if err != nil || len(stubs) != 1 || stubs[0].ID != alloc.ID || stubs[0].JobType != "service" {
		t.Errorf("list: %v, %v", stubs, err)
	}
	stats, err := client.Allocations().Stats(alloc, nil)
	if err != nil || stats.Tasks["main"] == nil || stats.Tasks["main"].Timestamp == 0 {
		t.Errorf("stats: %+v, %v", stats, err)
	}
	if err := client.Allocations().Restart(alloc, "main", nil); err != nil {
		t.Fatal(err)
	}
	again := wait(t, "the task to run again", func(q *api.QueryOptions) (*api.Allocation, *api.QueryMeta, error) {
		return client.Allocations().Info(alloc.ID, q)
	}, func(a *api.Allocation) bool {
		s := a.TaskStates["main"]
		return s.State == "running" && s.StartedAt.After(state.StartedAt)
	})
	if s := again.TaskStates["main"]; s.Restarts != 1 || s.LastRestart.IsZero() {
		t.Errorf("after a restart: %+v", s)
	}
	stop, err := client.Allocations().Stop(alloc, nil)
	if err != nil || stop.EvalID == "" {
		t.Fatalf("stop: %+v, %v", stop, err)
	}
	next := waitAlloc(t, "alloc", "another allocation in its place", func(a *api.AllocationListStub) bool {
		return a.ID != alloc.ID && a.ClientStatus == api.AllocClientStatusRunning
	})
	if n := info(t, next.ID); n.PreviousAllocation != alloc.ID || n.Name != alloc.Name {
		t.Errorf("the next allocation: name %s, after %s", n.Name, n.PreviousAllocation)
	}
}

func TestSignal(t *testing.T) {
	alloc := running(t, parse(t, script("signal", `trap 'echo got-it; exit 0' USR1; echo armed; while :; do sleep 0.05; done`)))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	frames, errs := client.AllocFS().Logs(alloc, true, "main", "stdout", "start", 0, ctx.Done(), nil)
	logged := func(want string) {
		t.Helper()
		var got bytes.Buffer
		for !strings.HasSuffix(got.String(), want) {
			select {
			case f, ok := <-frames:
				if !ok {
					t.Fatalf("the log ended at %q", &got)
				}
				got.Write(f.Data)
			case err := <-errs:
				t.Fatalf("the log failed at %q: %v", &got, err)
			case <-ctx.Done():
				t.Fatalf("the log holds %q, want %q", &got, want)
			}
		}
	}
	logged("armed\n")
	if err := client.Allocations().Signal(alloc, nil, "main", "SIGUSR1"); err != nil {
		t.Fatal(err)
	}
	logged("got-it\n")
}

func TestExec(t *testing.T) {
	alloc := running(t, parse(t, script("exec", forever)))
	cases := []struct {
		name, shell, in, out, err string
		tty                       bool
		code                      int
	}{
		{name: "streams", shell: "echo o; echo e >&2; exit 7", out: "o\n", err: "e\n", code: 7},
		{name: "input", shell: "cat; exit 0", in: "through\n", out: "through\n"},
		{name: "environment", shell: "echo $COLOUR $NOMAD_ALLOC_ID", out: "green " + alloc.ID + "\n"},
		{name: "terminal", shell: "test -t 0 && test -t 1 && stty size; exit 3", tty: true, out: "33 77\r\n", code: 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var out, errs bytes.Buffer
			var in io.Reader = strings.NewReader(c.in)
			sizes := make(chan api.TerminalSize, 1)
			if c.tty {
				sizes <- api.TerminalSize{Height: 33, Width: 77}
				r, w := io.Pipe()
				defer w.Close()
				in = r
			}
			code, err := client.Allocations().Exec(ctx, alloc, "main", c.tty, []string{"/bin/sh", "-c", c.shell}, in, &out, &errs, sizes, nil)
			if err != nil || code != c.code || out.String() != c.out || errs.String() != c.err {
				t.Errorf("exit %d, %v, out %q, err %q; want %d, %q, %q", code, err, &out, &errs, c.code, c.out, c.err)
			}
		})
	}
	_, err := client.Allocations().Exec(t.Context(), alloc, "nobody", false, []string{"true"}, strings.NewReader(""), io.Discard, io.Discard, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "task not found") {
		t.Errorf("exec in a task that is not there: %v", err)
	}
}

func TestFiles(t *testing.T) {
	alloc := running(t, parse(t, script("files", `printf 0123456789 >$NOMAD_ALLOC_DIR/data/digits; echo done; exec sleep 1000`)))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	fs := client.AllocFS()
	read := func(frames <-chan *api.StreamFrame, errs <-chan error, n int) string {
		t.Helper()
		var got bytes.Buffer
		for got.Len() < n {
			select {
			case f, ok := <-frames:
				if !ok {
					t.Fatalf("the stream ended at %q", &got)
				}
				got.Write(f.Data)
			case err := <-errs:
				t.Fatalf("the stream failed at %q: %v", &got, err)
			case <-ctx.Done():
				t.Fatalf("the stream stays at %q", &got)
			}
		}
		return got.String()
	}
	frames, errs := fs.Logs(alloc, true, "main", "stdout", "start", 0, ctx.Done(), nil)
	if got := read(frames, errs, 5); got != "done\n" {
		t.Fatalf("log: %q", got)
	}
	files, _, err := fs.List(alloc, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"alloc", "main"}) || !files[0].IsDir {
		t.Errorf("list: %v", names)
	}
	stat, _, err := fs.Stat(alloc, "alloc/data/digits", nil)
	if err != nil || stat.Size != 10 || stat.IsDir || stat.Name != "digits" || time.Since(stat.ModTime) > time.Minute {
		t.Errorf("stat: %+v, %v", stat, err)
	}
	body := func(r io.ReadCloser, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := body(fs.Cat(alloc, "alloc/data/digits", nil)); got != "0123456789" {
		t.Errorf("cat: %q", got)
	}
	if got := body(fs.ReadAt(alloc, "alloc/data/digits", 3, 4, nil)); got != "3456" {
		t.Errorf("read at: %q", got)
	}
	frames, errs = fs.Stream(alloc, "alloc/data/digits", "end", 4, ctx.Done(), nil)
	if got := read(frames, errs, 4); got != "6789" {
		t.Errorf("stream: %q", got)
	}
	_, _, err = fs.Stat(alloc, "alloc/data/none", nil)
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("stat of no file: %v", err)
	}
	if _, _, err := fs.Stat(alloc, "../../../etc/passwd", nil); err == nil {
		t.Error("a path left the allocation's directory")
	}
}

func TestExitCode(t *testing.T) {
	text := strings.Replace(script("exit", "exit 42"), `job "exit" {`, "job \"exit\" {\n type = \"batch\"", 1)
	job := parse(t, strings.Replace(text, `update { min_healthy_time = "10ms" }`, "restart { attempts = 0 }\n reschedule { attempts = 0 }", 1))
	register(t, job)
	stub := waitAlloc(t, "exit", "the task to fail", func(a *api.AllocationListStub) bool {
		return a.ClientStatus == api.AllocClientStatusFailed
	})
	state := info(t, stub.ID).TaskStates["main"]
	i := slices.IndexFunc(state.Events, func(e *api.TaskEvent) bool { return e.Type == api.TaskTerminated })
	if i < 0 || state.Events[i].Details["exit_code"] != "42" || state.Events[i].ExitCode != 42 || !state.Failed || state.FinishedAt.IsZero() {
		t.Errorf("task: %+v", state)
	}
}
