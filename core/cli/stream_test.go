package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/coder/websocket"
	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
)

func TestLastLines(t *testing.T) {
	for _, tc := range []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "b\nc\n"},
		{"a\nb\nc", 2, "b\nc"},
		{"a\nb\n", 5, "a\nb\n"},
		{"\n\n\n", 2, "\n\n"},
		{"", 3, ""},
		{"a\n", 0, ""},
		{"a", 0, ""},
	} {
		if got := string(lastLines([]byte(tc.text), tc.n)); got != tc.want {
			t.Errorf("last %d of %q are %q, want %q", tc.n, tc.text, got, tc.want)
		}
	}
}

func TestEscape(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		closed         bool
	}{
		{"plain", "ls -l ~/x\n", "ls -l ~/x\n", false},
		{"close at the start", "~.rest", "", true},
		{"close after a line", "ls\r~.rest", "ls\r", true},
		{"twice", "~~.\n", "~.\n", false},
		{"something else", "~x\n~", "~x\n", false},
		{"in a line", "a~.\n", "a~.\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, slow := range []bool{false, true} {
				closed := false
				var from io.Reader = strings.NewReader(tc.in)
				if slow {
					from = iotest.OneByteReader(from)
				}
				got, err := io.ReadAll(&escapeReader{from: from, escape: '~', lineStart: true, closed: func() { closed = true }})
				if slow && closed { // what was before the escape was passed on already
					continue
				}
				want := tc.want
				if tc.closed {
					want = "" // the session is over: nobody reads the rest of this part
				}
				if string(got) != want || closed != tc.closed || err != nil {
					t.Errorf("read %q, closed %v, error %v", got, closed, err)
				}
			}
		})
	}
}

func TestExecCommand(t *testing.T) {
	for _, tc := range []struct {
		name, answer   string
		code           int
		stdout, stderr string
	}{
		{"exit code", `{"stdout":{"data":"aGk="}}{"stderr":{"data":"b29wcw=="}}{"exited":true,"result":{"exit_code":137}}`, 137, "hi", "oops"},
		{"refused", "!task not running", 1, "", "failed to exec into task: task not running\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			replies := standard()
			fake := newFakeAgent(t, replies)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/exec") {
					fake.ServeHTTP(w, r)
					return
				}
				if q := r.URL.Query(); q.Get("command") != `["/bin/sh","-c","exit 137"]` || q.Get("task") != "srv" || q.Get("tty") != "false" {
					t.Errorf("parameters are %v", q)
				}
				conn, err := websocket.Accept(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.CloseNow() //nolint:errcheck // as the original does
				if reason, ok := strings.CutPrefix(tc.answer, "!"); ok {
					_ = conn.Close(websocket.StatusInternalError, reason)
					return
				}
				for frame := range strings.SplitSeq(tc.answer, "}{") {
					frame = "{" + strings.Trim(frame, "{}") + "}"
					if n := strings.Count(frame, "{") - strings.Count(frame, "}"); n > 0 {
						frame += strings.Repeat("}", n)
					}
					if err := conn.Write(r.Context(), websocket.MessageText, []byte(frame)); err != nil {
						t.Error(err)
					}
				}
			}))
			defer server.Close()
			code, stdout, stderr := invoke(t, server.URL, "input", "alloc", "exec", "-task", "srv", "31b080", "/bin/sh", "-c", "exit 137")
			if code != tc.code || stdout != tc.stdout || stderr != tc.stderr {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
			}
		})
	}
}

func TestTailOfGrowingLog(t *testing.T) {
	more := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == nodePath {
			fmt.Fprint(w, `{"ID":"n1","Status":"ready"}`)
			return
		}
		fmt.Fprint(w, `{"Data":"b25lCnR3bwo="}{"Data":"dGhyZWUK"}`)
		w.(http.Flusher).Flush()
		<-more
		fmt.Fprint(w, `{"Data":"Zm91cgo="}`)
	}))
	defer server.Close()
	c, err := apiclient.New(apiclient.Config{Address: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	node, err := c.OnNode(context.Background(), "cb5157a3-0000-4000-8000-000000000001")
	if err != nil {
		t.Fatal(err)
	}
	frames, err := node.StreamLogs(t.Context(), "a", apiclient.LogStream{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- copyTail(w, frames, 2) }()
	first := make([]byte, 10)
	if n, err := io.ReadAtLeast(r, first, 10); err != nil || string(first[:n]) != "two\nthree\n" {
		t.Errorf("the tail is %q, error %v", first[:n], err)
	}
	close(more)
	if n, err := io.ReadAtLeast(r, first[:5], 5); err != nil || string(first[:n]) != "four\n" {
		t.Errorf("what follows is %q, error %v", first[:n], err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream did not end")
	}
}

func TestTable(t *testing.T) {
	got := table([]string{"A", "Long", ""}, []string{"\x1b[31mred\x1b[0m", "x", "last"}, []string{"ü", "", ""})
	want := "A    Long  \n\x1b[31mred\x1b[0m  x     last\nü          "
	if got != want {
		t.Errorf("table is %q, want %q", got, want)
	}
	if got := pairs("Key", "v", "Longer", ""); got != "Key    = v\nLonger = <none>" {
		t.Errorf("pairs are %q", got)
	}
}

func TestRelativeTimes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s ago", 14 * time.Second: "14s ago", 79 * time.Second: "1m19s ago", -217 * time.Second: "3m37s from now",
		2 * time.Hour: "2h ago", 26*time.Hour + time.Minute: "1d2h ago", 40 * 24 * time.Hour: "1mo10d ago", 400 * 24 * time.Hour: "1y1mo ago",
	} {
		if got := relative(now.Add(-d), now); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestExamplesParse(t *testing.T) {
	for _, variant := range []string{"", "-wasm", "-docker", "-short"} {
		t.Run("variant"+variant, func(t *testing.T) {
			t.Chdir(t.TempDir())
			args := []string{"job", "init"}
			if variant != "" {
				args = append(args, variant)
			}
			var out, errs bytes.Buffer
			d := Deps{Stdout: &out, Stderr: &errs, Stdin: strings.NewReader("")}
			if code := Run(args, d); code != exitOK || out.String() != "Example job file written to example.nomad.hcl\n" {
				t.Fatalf("code %d: %s%s", code, out.String(), errs.String())
			}
			if code := Run(args, d); code != exitError || !strings.Contains(errs.String(), "Job 'example.nomad.hcl' already exists") {
				t.Errorf("code %d: %s", code, errs.String())
			}
			out.Reset()
			if code := Run([]string{"job", "run", "-output", "example.nomad.hcl"}, d); code != exitOK || !strings.Contains(out.String(), `"ID": "example"`) {
				t.Errorf("code %d: %s%s", code, out.String(), errs.String())
			}
		})
	}
}

func TestCompletion(t *testing.T) {
	fake := newFakeAgent(t, standard())
	l := jobStop()
	r := &run{leaf: l, deps: Deps{Getenv: func(name string) string {
		if name == "NOMAD_ADDR" {
			return fake.URL
		}
		return ""
	}}.withDefaults(), name: l.words}
	flags := r.AutocompleteFlags()
	for _, name := range []string{"-purge", "-address"} {
		if _, ok := flags[name]; !ok {
			t.Errorf("no flag %s", name)
		}
	}
	got := r.AutocompleteArgs().Predict(completeArgs("web"))
	if fmt.Sprint(got) != "[web web-two]" {
		t.Errorf("predicted %v", got)
	}
}

func completeArgs(last string) complete.Args { return complete.Args{Last: last} }
