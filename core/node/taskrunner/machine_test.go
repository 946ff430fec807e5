package taskrunner

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seraiproject/serai/core/model"
)

var update = flag.Bool("update", false, "rewrite golden files")

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// script runs the machine over the lines of a file. A line that begins with
// ">" is what came out and is rewritten with -update.
func script(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	now := epoch
	ids := 0
	fx := &facts{
		newID: func() string { ids++; return fmt.Sprintf("id%d", ids) },
		policy: &model.RestartPolicy{
			Attempts: 2, Interval: time.Minute, Delay: 4 * time.Second, Mode: model.RestartModeFail,
		},
		jitter: 0.5, killTimeout: 5 * time.Second,
	}
	s := NewState(now)
	var out strings.Builder
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, ">") {
			continue
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		arg := func(i int) string {
			if i < len(words) {
				return words[i]
			}
			return ""
		}
		number := func(i int) int { n, _ := strconv.Atoi(arg(i)); return n }
		var e event
		switch words[0] {
		case "policy":
			fx.policy = &model.RestartPolicy{Attempts: number(1), Interval: time.Minute, Delay: 4 * time.Second, Mode: arg(2)}
			continue
		case "ephemeral":
			fx.ephemeral = true
			continue
		case "delay":
			fx.shutdownDelay = 3 * time.Second
			continue
		case "after":
			d, err := time.ParseDuration(arg(1))
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(d)
			continue
		case "agent": // a new one reads what the last one stored
			b, err := s.MarshalMsg(nil)
			if err != nil {
				t.Fatal(err)
			}
			again := &State{}
			if _, err := again.UnmarshalMsg(b); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(s, again, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("the stored state differs: %s", d)
			}
			again.Observed.Events = s.Observed.Events // the same, so that new ones are told apart
			s = again
			e = evRestored{}
		case "turn":
			e = evTurn{}
		case "set-up":
			e = evSetUp{}
		case "not-set-up":
			e = evNotSetUp{&StartError{Err: errors.New("no room"), Retryable: arg(1) == "retryable", Invalid: arg(1) == "invalid"}}
		case "started":
			e = evStarted{handle: []byte("handle")}
		case "not-started":
			e = evNotStarted{&StartError{Err: errors.New("no such file"), Retryable: arg(1) == "retryable", Invalid: arg(1) == "invalid"}}
		case "exit":
			e = evExited{s.ID, Exit{Code: number(1), Signal: number(2), OOMKilled: arg(3) == "oom"}}
		case "late-exit":
			e = evExited{"id0", Exit{}}
		case "lost":
			e = evExited{s.ID, Exit{Err: errors.New("gone")}}
		case "not-stopped":
			e = evNotStopped{errors.New("stuck")}
		case "timer":
			e = evTimer{}
		case "kill":
			e = evKill{ending: Ending{NoDelay: arg(1) == "now"}}
		case "sibling-failed":
			e = evKill{reason: SiblingFailed(now, "other")}
		case "fail":
			e = evKill{reason: SetupFailure(now, errors.New("alloc")), ending: Ending{Fail: true}}
		case "restart":
			e = evRestart{reason: "User requested task to restart", counted: arg(1) == "counted", dead: arg(1) == "dead"}
		case "destroyed":
			e = evDestroyed{arg(1)}
		case "recovered":
			e = evRecovered{}
		case "not-recovered":
			e = evNotRecovered{errors.New("unknown")}
		case "contact":
			e = evContact{}
		default:
			t.Fatalf("%s: unknown event %q", path, words[0])
		}
		fx.now = now
		before := s
		var actions []action
		s, actions = next(s, e, fx)
		fmt.Fprintf(&out, "> %s, %s", s.phase(), s.Observed.State)
		if s.Observed.Failed {
			out.WriteString(", failed")
		}
		if s.ID != "" {
			fmt.Fprintf(&out, ", %s", s.ID)
		}
		if !s.WakeAt.IsZero() {
			fmt.Fprintf(&out, ", wake in %v", s.WakeAt.Sub(now))
		}
		out.WriteString("\n")
		if len(actions) > 0 {
			fmt.Fprintf(&out, "> do %v\n", actions)
		}
		if s != before {
			for _, ev := range s.Observed.Events {
				if !slices.Contains(before.Observed.Events, ev) {
					fmt.Fprintf(&out, "> %s: %s\n", ev.Type, ev.DisplayMessage)
				}
			}
		}
		// Every state is stored: what an agent killed right now leaves behind
		// must be enough to go on.
		if err := sound(s, actions); err != nil {
			t.Errorf("%s: after %q: %v", path, line, err)
		}
	}
	return out.String()
}

// sound checks what must hold for every state.
func sound(s *State, actions []action) error {
	r, again := next(s, evRestored{}, &facts{now: epoch, newID: func() string { return "new" }})
	switch s.phase() {
	case Running, Stopping, Delaying:
		if s.ID == "" || s.Handle == nil {
			return fmt.Errorf("%s without a handle", s.phase())
		}
		if len(again) == 0 || again[0] != doRecover {
			return fmt.Errorf("a running task is not recovered but %v", again)
		}
	case Starting:
		if len(again) == 0 || again[0] != doDestroy || r.phase() == Starting {
			return fmt.Errorf("a task that may have been started is not destroyed first: %v", again)
		}
	case Backoff:
		if s.WakeAt.IsZero() || again[len(again)-1] != doTimer {
			return errors.New("backoff that never ends")
		}
	case Dead:
		if s.Observed.State != model.TaskStateDead || s.Observed.FinishedAt.IsZero() {
			return errors.New("dead and not told so")
		}
	}
	for _, a := range actions {
		if (a == doStart || a == doWait || a == doStop || a == doDestroy) && s.ID == "" {
			return fmt.Errorf("%v without a name", a)
		}
	}
	if len(s.Observed.Events) > model.MaxTaskEvents {
		return fmt.Errorf("%d events", len(s.Observed.Events))
	}
	return nil
}

func TestMachine(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			got := script(t, path)
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	policy := func(attempts int, mode string) *model.RestartPolicy {
		return &model.RestartPolicy{Attempts: attempts, Interval: 12 * time.Second, Delay: 2 * time.Second, Mode: mode}
	}
	for _, c := range []struct {
		name   string
		a      Attempts
		policy *model.RestartPolicy
		at     time.Duration
		jitter float64
		after  Attempts
		want   decision
	}{
		{"no policy", Attempts{}, nil, 0, 0, Attempts{}, decision{reason: "Policy allows no restarts"}},
		{"no attempts", Attempts{}, policy(0, "fail"), 0, 0, Attempts{}, decision{reason: "Policy allows no restarts"}},
		{"first", Attempts{}, policy(2, "fail"), 0, 0, Attempts{1, epoch}, decision{true, 2 * time.Second, "Restart within policy"}},
		{
			"jitter is at most a quarter", Attempts{1, epoch}, policy(2, "fail"), time.Second, 0.9999999,
			Attempts{2, epoch}, decision{true, 2499999950 * time.Nanosecond, "Restart within policy"},
		},
		{
			"too many", Attempts{2, epoch}, policy(2, "fail"), time.Second, 0, Attempts{3, epoch},
			decision{reason: `Exceeded allowed attempts 2 in interval 12s and mode is "fail"`},
		},
		{
			"too many, delay", Attempts{2, epoch}, policy(2, "delay"), 2 * time.Second, 0.5, Attempts{3, epoch},
			decision{true, 10 * time.Second, "Exceeded allowed attempts, applying a delay"},
		},
		{
			"interval is over", Attempts{2, epoch}, policy(2, "fail"), 13 * time.Second, 0,
			Attempts{1, epoch.Add(13 * time.Second)}, decision{true, 2 * time.Second, "Restart within policy"},
		},
		{
			"negative delay", Attempts{}, &model.RestartPolicy{Attempts: 1, Interval: time.Second, Delay: -time.Second}, 0, 0.5,
			Attempts{1, epoch}, decision{true, 0, "Restart within policy"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			after, got := decide(c.a, c.policy, epoch.Add(c.at), c.jitter)
			if after != c.after || got != c.want {
				t.Errorf("got %+v, %+v\nwant %+v, %+v", after, got, c.after, c.want)
			}
		})
	}
}
