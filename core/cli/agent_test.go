package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/agent/config"
)

// buffer is an output that can be read while it is written to.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// agentRun is an agent command under way, with a scripted agent.
type agentRun struct {
	out     buffer
	signals chan os.Signal
	code    chan int
}

func startAgent(t *testing.T, runner AgentRunner, args ...string) *agentRun {
	t.Helper()
	r := &agentRun{signals: make(chan os.Signal), code: make(chan int, 1)}
	go func() {
		r.code <- Run(append([]string{"agent"}, args...), Deps{
			Version: "1.2.3", RunAgent: runner, Stdout: &r.out, Stderr: &r.out, Signals: r.signals,
			Getenv: func(string) string { return "" },
		})
	}()
	return r
}

func (r *agentRun) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.code:
		return code
	case <-time.After(10 * time.Second):
		t.Fatalf("the agent command did not end:\n%s", r.out.String())
		return 0
	}
}

func TestAgentBanner(t *testing.T) {
	serving := make(chan struct{})
	log, file := filepath.Join(t.TempDir(), "a.log"), filepath.Join(t.TempDir(), "agent.hcl")
	if err := os.WriteFile(file, []byte(fmt.Sprintf("log_file = %q\n", log)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startAgent(t, func(ctx context.Context, cfg *config.Config, host config.Host) error {
		fmt.Fprint(host.Log, "early\npart")
		host.Ready(config.Info{ServerID: "cb7925cd-0111-9fbb-f976-b61491cd5d7b"})
		fmt.Fprint(host.Log, "ial\nlate\n")
		close(serving)
		<-ctx.Done()
		return nil
	}, "-dev", "-node=n1", "-log-level=INFO", "-config", file)
	<-serving
	r.signals <- os.Interrupt
	if code := r.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	golden(t, "agent/dev", strings.ReplaceAll(r.out.String(), file, "agent.hcl"))
	if text, err := os.ReadFile(log); err != nil || string(text) != "early\npartial\nlate\n" {
		t.Errorf("log_file holds %q, error %v", text, err)
	}
}

func TestAgentLeaves(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.hcl")
	write := func(level string) {
		t.Helper()
		text := fmt.Sprintf("leave_on_terminate = true\nlog_level = %q\n", level)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("INFO")
	serving, reloaded := make(chan struct{}), make(chan string, 1)
	r := startAgent(t, func(ctx context.Context, cfg *config.Config, host config.Host) error {
		host.Ready(config.Info{})
		close(serving)
		for {
			select {
			case next := <-host.Reload:
				reloaded <- next.LogLevel
			case <-host.Leave:
				return nil
			case <-ctx.Done():
				return errors.New("stopped without leaving")
			}
		}
	}, "-dev", "-config", file)
	<-serving
	write("ERROR")
	r.signals <- syscall.SIGHUP
	if level := <-reloaded; level != "ERROR" {
		t.Errorf("the agent was given log level %s", level)
	}
	write("LOUD")
	r.signals <- syscall.SIGHUP
	r.signals <- syscall.SIGTERM
	if code := r.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"==> Loaded configuration from " + file, "==> Caught signal: hangup\n==> Reloading configuration...\n",
		"==> Error log_level: \"LOUD\" is not one of", "==> Caught signal: terminated\n==> Gracefully shutting down agent...\n",
	} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("no %q in:\n%s", want, r.out.String())
		}
	}
}

func TestAgentFlags(t *testing.T) {
	got := make(chan *config.Config, 1)
	r := startAgent(t, func(_ context.Context, cfg *config.Config, _ config.Host) error {
		got <- cfg
		return nil
	}, "-server", "-client=true", "-data-dir=/d", "-bind=10.0.0.1", "-bootstrap-expect=3", "-join=a", "-join=b",
		"-retry-join", "provider=aws tag_key=x,y", "-servers=c,d:1", "-meta=rack.row=r=1", "-node-class=db", "-plugin-dir=/p",
		"-log-json", "-consul-address=consul:1", "-client-intro-token=tok", "-retry-max=4")
	if code := r.wait(t); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, r.out.String())
	}
	c := <-got
	s := c.Server.Join
	for what, ok := range map[string]bool{
		"modes":      c.Server.Enabled && c.Client.Enabled,
		"bind":       c.BindRPC() == "10.0.0.1:4647" && c.AdvertiseAddrs.Serf == "10.0.0.1:4648",
		"bootstrap":  c.Server.BootstrapExpect == 3,
		"join":       fmt.Sprint(s.StartJoin) == "[a b]",
		"retry-join": len(s.RetryJoin) == 1 && s.RetryJoin[0] == "provider=aws tag_key=x,y" && s.RetryMax == 4,
		"servers":    fmt.Sprint(c.Client.Servers) == "[c d:1]",
		"meta":       c.Client.Meta["rack.row"] == "r=1",
		"class":      c.Client.NodeClass == "db",
		"plugin-dir": c.PluginDir == "/p",
		"log-json":   c.LogJSON,
		"consul":     c.Consuls[0].Address == "consul:1",
		"intro":      c.Client.IntroToken == "tok",
		"state dir":  c.Client.StateDir == "/d/client",
	} {
		if !ok {
			t.Errorf("flag for %s had no effect: %+v", what, c)
		}
	}
}

func TestAgentRefusals(t *testing.T) {
	idle := func(context.Context, *config.Config, config.Host) error {
		return errors.New("server config setup failed: no")
	}
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"no mode", "==> Error Must specify either server, client or dev mode for the agent.", nil},
		{"no data dir", `==> Error Must specify "data_dir" config option or "data-dir" CLI flag`, []string{"-server", "-bind=10.0.0.1"}},
		{"no file", "==> Error loading configuration from /nowhere.hcl: ", []string{"-config=/nowhere.hcl"}},
		{"bad meta", "is not of the form key=value", []string{"-dev", "-meta=x"}},
		{"start fails", "==> Error starting agent: server config setup failed: no", []string{"-dev"}},
		{"unknown flag", "flag provided but not defined: -bogus", []string{"-bogus"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := startAgent(t, idle, tc.args...)
			if code := r.wait(t); code != exitError {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(r.out.String(), tc.want) {
				t.Errorf("no %q in:\n%s", tc.want, r.out.String())
			}
		})
	}
}

func TestHiddenEntry(t *testing.T) {
	var got []string
	code := Run([]string{"log-collector", "-h", "x"}, Deps{Hidden: map[string]func([]string) int{
		"log-collector": func(args []string) int { got = args; return 42 },
	}})
	if code != 42 || fmt.Sprint(got) != "[-h x]" {
		t.Errorf("code %d, arguments %v", code, got)
	}
}
