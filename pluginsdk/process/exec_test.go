package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestExec(t *testing.T) {
	cases := []struct {
		name, script, stdin string
		stdout, stderr      string
		code                int
		signal              syscall.Signal
	}{
		{name: "both outputs", script: "echo out; echo err >&2; exit 3", stdout: "out\n", stderr: "err\n", code: 3},
		{name: "stdin to its end", script: "cat; echo .", stdin: "a\nb\n", stdout: "a\nb\n.\n"},
		{name: "signal", script: "kill -9 $$", signal: syscall.SIGKILL},
		{name: "background child holds stdout", script: "sleep 1000 & echo here", stdout: "here\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			spec := shell(t, c.script)
			var out, errs bytes.Buffer
			exit, err := Exec(t.Context(), spec, Stream{Stdin: strings.NewReader(c.stdin), Stdout: &out, Stderr: &errs})
			if err != nil {
				t.Fatal(err)
			}
			if exit.Code != c.code || exit.Signal != c.signal || out.String() != c.stdout || errs.String() != c.stderr {
				t.Errorf("exit %+v, stdout %q, stderr %q", exit, &out, &errs)
			}
		})
	}
}

func TestExecTerminal(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	resize := make(chan WindowSize, 1)
	resize <- WindowSize{Rows: 33, Columns: 111}
	var out bytes.Buffer
	go func() {
		_, _ = io.WriteString(w, "go\n")
		w.Close()
	}()
	script := "read x; tty >/dev/null && echo a terminal; until [ \"$(stty size)\" = '33 111' ]; do sleep 0.01; done; echo sized; cat"
	exit, err := Exec(t.Context(), shell(t, script), Stream{TTY: true, Stdin: r, Stdout: &out, Resize: resize})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a terminal\r\n", "sized\r\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	if !exit.Success() {
		t.Errorf("exit %+v", exit)
	}
}

func TestExecErrors(t *testing.T) {
	spec := shell(t, "")
	spec.Path = "/no/such"
	if _, err := Exec(t.Context(), spec, Stream{}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		_, _ = r.Read(make([]byte, 1))
		cancel()
	}()
	if _, err := Exec(ctx, shell(t, "echo; sleep 1000"), Stream{Stdout: w}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	r.Close()
}

func TestUsage(t *testing.T) {
	for _, with := range []string{"cgroup", "processes"} {
		t.Run(with, func(t *testing.T) {
			spec := shell(t, "x=$(head -c 8000000 /dev/zero | tr '\\0' x); while :; do :; done")
			if with == "processes" {
				spec.Cgroup = nil
			}
			p := start1(t, spec)
			before, err := p.Usage()
			if err != nil {
				t.Fatal(err)
			}
			var u Usage
			eventually(t, "100 ms of CPU and 8 MB of memory", func() bool {
				if u, err = p.Usage(); err != nil {
					t.Fatal(err)
				}
				return u.CPUTotal > before.CPUTotal+100*time.Millisecond && u.RSS > 8e6
			})
			if total, user, _ := u.Percent(before); total <= 0 || user <= 0 || total > 100*64 {
				t.Errorf("%.1f %% total, %.1f %% user", total, user)
			}
			if with == "cgroup" && u.Usage < 8e6 {
				t.Errorf("usage %d", u.Usage)
			}
		})
	}
}

// Without a cgroup the supervisor alone must find the orphans.
func TestNoLeftoversWithoutCgroup(t *testing.T) {
	dir := t.TempDir()
	spec := shell(t, "setsid sh -c 'echo $$ >"+dir+"/pid; exec sleep 1000' & while ! [ -s "+dir+"/pid ]; do sleep 0.01; done; exit 2")
	spec.Cgroup = nil
	if exit := wait(t, start1(t, spec)); exit.Code != 2 {
		t.Errorf("exit %+v", exit)
	}
	b, err := os.ReadFile(dir + "/pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the daemon %d lives on: %v", pid, err)
	}
}
