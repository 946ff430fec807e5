package driver_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/proto/structspb"
)

// minimal is a driver without any optional ability; this test's own binary becomes it.
type minimal struct{}

type noConfig struct{}

type minimalTask struct {
	cfg *driver.TaskConfig
	end chan struct{}
}

func (minimal) Configure(_ context.Context, env *driver.Env, _ *noConfig) error {
	env.Log.Warn("configured", "validation", env.Node == nil)
	return nil
}

func (minimal) Fingerprint(context.Context) (driver.Fingerprint, error) {
	return driver.Fingerprint{Health: driver.Healthy}, nil
}

func (minimal) Start(_ context.Context, t *driver.TaskConfig, _ *noConfig) (*minimalTask, error) {
	if t.GetName() == "later" {
		return nil, driver.Retryable(fmt.Errorf("not yet"))
	}
	return &minimalTask{cfg: t, end: make(chan struct{})}, nil
}

func (minimal) Recover(context.Context, *driver.TaskConfig, *noConfig, driver.SavedState) (*minimalTask, error) {
	return nil, fmt.Errorf("workload is gone")
}

func (t *minimalTask) Wait(ctx context.Context) (driver.ExitResult, error) {
	select {
	case <-t.end:
		return driver.ExitResult{Code: 3}, nil
	case <-ctx.Done():
		return driver.ExitResult{}, ctx.Err()
	}
}

func (t *minimalTask) Stop(context.Context, string, time.Duration) error {
	close(t.end)
	return nil
}

func (t *minimalTask) Destroy(context.Context) error { return nil }
func (t *minimalTask) State() any                    { return t.cfg.GetName() }

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		fmt.Fprintln(os.Stderr, "[INFO] about to serve")
		driver.Serve(driver.Info{Name: "minimal", Version: "0.1.0"}, minimal{})
		return
	}
	os.Exit(m.Run())
}

// conn makes the library's client hand out its connection.
type conn struct{ plugin.NetRPCUnsupportedPlugin }

func (conn) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }
func (conn) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

func handshake(version uint) plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  version,
		MagicCookieKey:   "NOMAD_PLUGIN_MAGIC_COOKIE",
		MagicCookieValue: "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255",
	}
}

// pluginCommand is this test's binary as a plugin. Its socket goes away with the test, however it ends.
func pluginCommand(t *testing.T) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "plugin")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	return cmd
}

// lockedBuffer takes the log of several loggers.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestForeignHost runs a plugin under the library's own client, as hosts that are not ours do.
func TestForeignHost(t *testing.T) {
	var log lockedBuffer
	newClient := func(c *plugin.ClientConfig) *plugin.Client {
		c.HandshakeConfig = handshake(2)
		c.Plugins = plugin.PluginSet{"driver": conn{}}
		c.AllowedProtocols = []plugin.Protocol{plugin.ProtocolGRPC}
		c.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace})
		return plugin.NewClient(c)
	}
	cmd := pluginCommand(t)
	first := newClient(&plugin.ClientConfig{Cmd: cmd})
	t.Cleanup(first.Kill)
	if _, err := first.Client(); err != nil {
		t.Fatal(err)
	}
	// Another client takes the plugin over, as after a restart of the host.
	c := newClient(&plugin.ClientConfig{Reattach: first.ReattachConfig()})
	rpc, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.Ping(); err != nil {
		t.Errorf("health: %v", err)
	}
	raw, err := rpc.Dispense("driver")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	base := basepb.NewBasePluginClient(raw.(*grpc.ClientConn))
	d := driverpb.NewDriverClient(raw.(*grpc.ClientConn))

	info, err := base.PluginInfo(ctx, &basepb.PluginInfoRequest{})
	if err != nil || info.GetType() != basepb.PluginType_DRIVER || info.GetName() != "minimal" ||
		info.GetPluginVersion() != "0.1.0" || len(info.GetPluginApiVersions()) != 1 || info.GetPluginApiVersions()[0] != "v0.1.0" {
		t.Errorf("info %v, %v", info, err)
	}
	if s, err := base.ConfigSchema(ctx, &basepb.ConfigSchemaRequest{}); err != nil || s.GetSpec() != nil {
		t.Errorf("schema of an empty configuration: %v, %v", s, err)
	}
	if _, err := base.SetConfig(ctx, &basepb.SetConfigRequest{PluginApiVersion: "v0.1.0"}); err != nil {
		t.Errorf("configuration of no bytes: %v", err)
	}
	if s, err := d.TaskConfigSchema(ctx, &driverpb.TaskConfigSchemaRequest{}); err != nil || s.GetSpec().GetObject() == nil {
		t.Errorf("schema of an empty task config: %v, %v; want an empty object", s, err)
	}
	caps, err := d.Capabilities(ctx, &driverpb.CapabilitiesRequest{})
	if err != nil || caps.GetCapabilities() == nil || caps.GetCapabilities().GetExec() || caps.GetCapabilities().GetSendSignals() {
		t.Errorf("capabilities %v, %v", caps, err)
	}

	_, err = d.StartTask(ctx, &driverpb.StartTaskRequest{Task: &driver.TaskConfig{Id: "1", Name: "later"}})
	st := status.Convert(err)
	if st.Code() != codes.FailedPrecondition || len(st.Details()) != 1 || st.Message() != "not yet" {
		t.Fatalf("start: %v, details %v", err, st.Details())
	}
	if r, ok := st.Details()[0].(*structspb.RecoverableError); !ok || !r.GetRecoverable() {
		t.Errorf("detail %v", st.Details()[0])
	}
	task := &driver.TaskConfig{Id: "a/web/2", Name: "web"}
	started, err := d.StartTask(ctx, &driverpb.StartTaskRequest{Task: task})
	if err != nil || started.GetHandle().GetConfig().GetId() != "a/web/2" || started.GetHandle().GetVersion() != 1 {
		t.Fatalf("start: %v, %v", started, err)
	}

	for op, call := range map[string]func() error{
		"signal": func() error {
			_, err := d.SignalTask(ctx, &driverpb.SignalTaskRequest{TaskId: "a/web/2", Signal: "SIGHUP"})
			return err
		},
		"exec": func() error {
			_, err := d.ExecTask(ctx, &driverpb.ExecTaskRequest{TaskId: "a/web/2", Command: []string{"true"}, Timeout: durationpb.New(0)})
			return err
		},
		"network": func() error {
			_, err := d.CreateNetwork(ctx, &driverpb.CreateNetworkRequest{AllocId: "a"})
			return err
		},
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), driver.ErrNotSupported.Error()) {
			t.Errorf("%s without the ability: %v", op, err)
		}
	}
	exec, err := d.ExecTaskStreaming(ctx)
	if err == nil {
		err = exec.Send(&driverpb.ExecTaskStreamingRequest{TtySize: &driverpb.ExecTaskStreamingRequest_TerminalSize{}})
	}
	if err == nil {
		_, err = exec.Recv()
	}
	if err == nil || !strings.Contains(err.Error(), "first message should always be setup") {
		t.Errorf("exec without setup: %v", err)
	}

	in, err := d.InspectTask(ctx, &driverpb.InspectTaskRequest{TaskId: "a/web/2"})
	if err != nil || in.GetTask().GetState() != driver.TaskRunning || in.GetTask().GetResult() == nil ||
		in.GetTask().GetStartedAt() == nil || in.GetTask().GetCompletedAt() == nil || in.GetDriver() == nil {
		t.Errorf("inspect: %v, %v; every part must be there", in, err)
	}
	if _, err := d.RecoverTask(ctx, &driverpb.RecoverTaskRequest{Handle: &driver.TaskHandle{
		Config: &driver.TaskConfig{Id: "lost"}, DriverState: []byte("\x81made elsewhere")}}); err == nil || !strings.Contains(err.Error(), "workload is gone") {
		t.Errorf("recover: %v", err)
	}
	if _, err := d.StopTask(ctx, &driverpb.StopTaskRequest{TaskId: "a/web/2"}); err != nil {
		t.Errorf("stop without a timeout: %v", err)
	}
	if w, err := d.WaitTask(ctx, &driverpb.WaitTaskRequest{TaskId: "a/web/2"}); err != nil || w.GetResult().GetExitCode() != 3 {
		t.Errorf("wait: %v, %v", w, err)
	}
	if _, err := d.Shutdown(ctx, &driverpb.ShutdownRequest{}); err != nil {
		t.Errorf("shutdown: %v", err)
	}

	first.Kill()
	for _, want := range []string{"[WARN]", "configured", "validation=true", "about to serve"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}
}

// TestEncryptedConnection is a host that asks for mutual TLS.
func TestEncryptedConnection(t *testing.T) {
	c := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake(2),
		Plugins:          plugin.PluginSet{"driver": conn{}},
		Cmd:              pluginCommand(t),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		Logger:           hclog.NewNullLogger(),
	})
	defer c.Kill()
	rpc, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := rpc.Dispense("driver")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	info, err := basepb.NewBasePluginClient(raw.(*grpc.ClientConn)).PluginInfo(ctx, &basepb.PluginInfoRequest{})
	if err != nil || info.GetName() != "minimal" {
		t.Errorf("info %v, %v", info, err)
	}
	// Somebody without the host's certificate gets nowhere.
	stranger, err := grpc.NewClient("unix:"+c.ReattachConfig().Addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := basepb.NewBasePluginClient(stranger).PluginInfo(ctx, &basepb.PluginInfoRequest{}); err == nil {
		t.Error("a stranger was answered")
	}
}

// TestNotAHost starts a plugin by hand.
func TestNotAHost(t *testing.T) {
	cmd := exec.Command(os.Args[0], "plugin")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "plugin") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}

// TestOtherProtocolVersion is a host of the future.
func TestOtherProtocolVersion(t *testing.T) {
	c := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake(3),
		Plugins:          plugin.PluginSet{"driver": conn{}},
		Cmd:              pluginCommand(t),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	defer c.Kill()
	if _, err := c.Client(); err == nil || !strings.Contains(err.Error(), "incompatible API version") {
		t.Errorf("client: %v", err)
	}
}
