package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/seraiproject/serai/pluginsdk/internal/wire"
)

// coreProtocol is the version of the handshake itself.
const coreProtocol = "1"

// lastWords is how long the stderr of a plugin that failed to start is read on, should a child of it hold the
// pipe open.
const lastWords = 500 * time.Millisecond

// Options say how to start a plugin.
type Options struct {
	// Path is the binary, absolute or relative to the working directory.
	Path string
	// Args follow the path in argv.
	Args []string
	// Env is the plugin's environment; nil is the host's own.
	Env []string
	// SocketDir is where the plugin makes its socket; empty is the system's temporary directory. Its path must
	// be short: a socket's may have about a hundred bytes.
	SocketDir string
	// StartTimeout bounds the time up to the handshake; 0 is a minute.
	StartTimeout time.Duration
	// Log receives the plugin's log and the host's remarks; nil is slog.Default.
	Log *slog.Logger
}

func (o Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.Default()
	}
	return o.Log
}

// Launch starts a plugin binary, in a session of its own, and returns when it has told who it is. If it returns
// an error, the process is gone. ErrIncompatible tells a plugin of another version from a broken one.
func Launch(ctx context.Context, o Options) (*Plugin, error) {
	p, err := launch(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("launch plugin %s: %w", o.Path, err)
	}
	return p, nil
}

func launch(ctx context.Context, o Options) (*Plugin, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, err
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()

	child, err := startChild(path, o)
	if err != nil {
		return nil, err
	}
	p := &Plugin{log: o.log(), proc: child.proc}
	p.life, p.cancel = context.WithCancel(context.Background())
	forward := newForwarder(p.log.With("plugin", filepath.Base(path)))
	heard := make(chan struct{})
	p.readers.Go(func() {
		defer close(heard)
		forward.run(p.life, child.stderr)
	})

	abandon := func(err error) (*Plugin, error) {
		_ = p.proc.signal(syscall.SIGKILL)
		<-p.proc.exited
		select {
		case <-heard:
		case <-time.After(lastWords):
		}
		if p.conn != nil {
			p.close()
		} else {
			p.cancel()
			child.stdout.Close()
			p.readers.Wait()
		}
		p.record.removeSocket()
		if last := forward.lastLine(); last != "" {
			err = fmt.Errorf("%w; its last words: %s", err, last)
		}
		return nil, err
	}

	lines := bufio.NewReaderSize(child.stdout, 4096)
	line, err := readHandshake(ctx, child, lines)
	if err != nil {
		return abandon(err)
	}
	network, address, err := parseHandshake(line)
	if err != nil {
		return abandon(err)
	}
	p.record = Record{
		PID:             child.proc.pid,
		Network:         network,
		Address:         address,
		ProtocolVersion: wire.ProtocolVersion,
		Path:            path,
	}
	if p.record.StartTime, err = startTime(p.record.PID); err != nil {
		return abandon(err)
	}
	if p.record.BootID, err = bootID(); err != nil {
		return abandon(err)
	}
	if p.conn, err = dial(network, address); err != nil {
		return abandon(err)
	}
	p.readers.Go(func() { drain(p.life, child.stdout, lines) })
	p.readers.Go(func() { p.drainStdio() })
	if err := p.negotiate(ctx); err != nil {
		return abandon(err)
	}
	return p, nil
}

// child is a started process with our ends of its pipes.
type child struct {
	proc           *process
	stdout, stderr *os.File
}

func startChild(path string, o Options) (*child, error) {
	env := o.Env
	if env == nil {
		env = os.Environ()
	}
	env = append(env[:len(env):len(env)],
		wire.CookieKey+"="+wire.CookieValue,
		"PLUGIN_PROTOCOL_VERSIONS="+strconv.Itoa(wire.ProtocolVersion),
		"PLUGIN_MIN_PORT=10000",
		"PLUGIN_MAX_PORT=25000",
	)
	if o.SocketDir != "" {
		env = append(env, "PLUGIN_UNIX_SOCKET_DIR="+o.SocketDir)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		outR.Close()
		outW.Close()
		return nil, err
	}
	cmd := exec.Command(path, o.Args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = outW, errW
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	outW.Close()
	errW.Close()
	if err != nil {
		outR.Close()
		errR.Close()
		return nil, err
	}
	return &child{proc: adoptChild(cmd), stdout: outR, stderr: errR}, nil
}

// readHandshake waits for the first line, the end of the process, or the end of patience.
func readHandshake(ctx context.Context, c *child, lines *bufio.Reader) (string, error) {
	type result struct {
		line string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		line, err := lines.ReadString('\n')
		got <- result{strings.TrimSpace(line), err}
	}()
	// Closing the pipe ends the reader; it is waited for, since others read from it next.
	giveUp := func(err error) (string, error) {
		c.stdout.Close()
		<-got
		return "", err
	}
	select {
	case r := <-got:
		if r.line != "" {
			return r.line, nil
		}
		select {
		case <-c.proc.exited:
			return "", fmt.Errorf("it ended (%s) before the handshake", c.proc.reason)
		case <-ctx.Done():
			return "", fmt.Errorf("it closed its output without a handshake: %w", ctx.Err())
		}
	case <-c.proc.exited:
		// The line may still be in the pipe, which a child of the plugin may hold open.
		return giveUp(fmt.Errorf("it ended (%s) before the handshake", c.proc.reason))
	case <-ctx.Done():
		return giveUp(fmt.Errorf("wait for its handshake: %w", ctx.Err()))
	}
}

// parseHandshake reads core|version|network|address|protocol|certificate.
func parseHandshake(line string) (network, address string, err error) {
	parts := strings.Split(line, "|")
	if len(parts) < 4 {
		return "", "", fmt.Errorf("handshake %.80q has %d fields, want at least 4; does the plugin print to stdout before it serves?", line, len(parts))
	}
	if parts[0] != coreProtocol {
		return "", "", fmt.Errorf("%w: handshake version %q, this host %s", ErrIncompatible, parts[0], coreProtocol)
	}
	if parts[1] != strconv.Itoa(wire.ProtocolVersion) {
		return "", "", fmt.Errorf("%w: protocol version %q, this host %d", ErrIncompatible, parts[1], wire.ProtocolVersion)
	}
	protocol := "netrpc"
	if len(parts) > 4 {
		protocol = parts[4]
	}
	if protocol != "grpc" {
		return "", "", fmt.Errorf("plugin serves %s; only grpc is spoken here", protocol)
	}
	switch parts[2] {
	case "unix", "tcp":
	default:
		return "", "", fmt.Errorf("plugin listens on network %q; want unix or tcp", parts[2])
	}
	if parts[3] == "" {
		return "", "", errors.New("handshake holds no address")
	}
	return parts[2], parts[3], nil
}

// dial prepares a connection; it is made with the first call.
func dial(network, address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///plugin",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}),
		grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(math.MaxInt32),
			grpc.MaxCallSendMsgSize(math.MaxInt32),
		),
	)
}

// drain reads what a plugin prints after the handshake, so that it never blocks on it.
func drain(ctx context.Context, f *os.File, r io.Reader) {
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	defer f.Close()
	_, _ = io.Copy(io.Discard, r)
}
