package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seraiproject/serai/pluginsdk/footprint"
	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
)

const (
	// maxMessage is what a plugin takes in one request, in bytes. The library's 4 MiB are too few for some
	// environments and templates.
	maxMessage = 64 << 20
	// streamGrace is how long open calls may take to end once the host has asked for the end.
	streamGrace = 100 * time.Millisecond
	// exitGrace is how long a plugin tidies up after that; hosts kill after two seconds.
	exitGrace = time.Second
)

// settleTime is when a started plugin gives back the memory that only starting
// needed.
const settleTime = time.Second

// Serve answers a host until the host ends it, then calls stop and waits a moment for it. The host's death is
// no end: a plugin stays and can be found again, for a while if it is idle. Register adds the services of the plugin's kind.
//
// The handshake and the services around it are those of hashicorp/go-plugin. Its server is not linked: it
// would double what an idle plugin keeps in memory.
func Serve(b *Base, register func(grpc.ServiceRegistrar), stop func()) {
	if os.Getenv(CookieKey) != CookieValue {
		fmt.Fprintf(stderr, "%s is a plugin: it is started by an agent that finds it in its plugin_dir, not by hand\n", b.Name)
		os.Exit(1)
	}
	settle := time.AfterFunc(settleTime, footprint.DropProgramPages)
	defer settle.Stop()
	if err := serve(b, register); err != nil {
		Fail(b.Name, err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	select {
	case <-stopped:
	case <-time.After(exitGrace):
	}
}

// Fail ends a process whose plugin cannot be served.
func Fail(name string, err error) {
	fmt.Fprintf(stderr, "serve plugin %s: %v\n", name, err)
	os.Exit(1)
}

func serve(b *Base, register func(grpc.ServiceRegistrar)) error {
	// A host that dies leaves a stderr without a reader, and Ctrl-C at the host's terminal may reach its
	// plugins. Both have handlers rather than being ignored, because a task would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, os.Interrupt)

	listener, err := listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	opts := []grpc.ServerOption{grpc.MaxRecvMsgSize(maxMessage)}
	certificate := ""
	if pem := os.Getenv("PLUGIN_CLIENT_CERT"); pem != "" {
		creds, own, err := mutualTLS([]byte(pem))
		if err != nil {
			return err
		}
		opts, certificate = append(opts, grpc.Creds(creds)), own
	}

	ending := make(chan struct{})
	end := sync.OnceFunc(func() { close(ending) })
	hosts := &presence{patience: abandonedTime, idle: b.Idle, end: end}
	hosts.start()
	defer hosts.stop()
	server := grpc.NewServer(append(opts, grpc.StatsHandler(hosts))...)
	registerLibrary(server, ending, end)
	basepb.RegisterBasePluginServer(server, b)
	register(server)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	line := fmt.Sprintf("1|%d|%s|%s|grpc|%s", ProtocolVersion, listener.Addr().Network(), listener.Addr(), certificate)
	if os.Getenv("PLUGIN_MULTIPLEX_GRPC") != "" {
		// Hosts that want several connections in one have to do without.
		line += "|false"
	}
	if _, err := fmt.Println(line); err != nil {
		return fmt.Errorf("tell the host where to connect: %w", err)
	}
	// Stdout belongs to the handshake. What is printed later belongs into the log.
	os.Stdout = stderr

	select {
	case err := <-failed:
		return err
	case <-ending:
	}
	timer := time.AfterFunc(streamGrace, server.Stop)
	defer timer.Stop()
	server.GracefulStop()
	return nil
}

// listen makes the plugin's socket where the host wants it. Closing it removes it.
func listen() (net.Listener, error) {
	f, err := os.CreateTemp(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), "plugin")
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	path := f.Name()
	f.Close()
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	if group := os.Getenv("PLUGIN_UNIX_SOCKET_GROUP"); group != "" {
		if err := giveToGroup(path, group); err != nil {
			l.Close()
			return nil, fmt.Errorf("make socket: %w", err)
		}
	}
	return l, nil
}

// giveToGroup lets a group, by name or number, connect.
func giveToGroup(path, group string) error {
	gid, err := strconv.Atoi(group)
	if err != nil {
		g, err := user.LookupGroup(group)
		if err != nil {
			return err
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return err
		}
	}
	return errors.Join(os.Lchown(path, -1, gid), os.Chmod(path, 0o660))
}

// registerLibrary adds what hosts expect of every plugin beside its own services: health, and the library's
// controller, broker and stdio. The latter two carry nothing here; they stay open until the host leaves.
func registerLibrary(server *grpc.Server, ending <-chan struct{}, end func()) {
	h := health.NewServer()
	h.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, h)

	idle := func(_ any, stream grpc.ServerStream) error {
		select {
		case <-stream.Context().Done():
		case <-ending:
		}
		return nil
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "plugin.GRPCController",
		Methods: []grpc.MethodDesc{{MethodName: "Shutdown", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := decode(&emptypb.Empty{}); err != nil {
				return nil, err
			}
			end()
			return &emptypb.Empty{}, nil
		}}},
	}, nil)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "plugin.GRPCBroker",
		Streams:     []grpc.StreamDesc{{StreamName: "StartStream", Handler: idle, ServerStreams: true, ClientStreams: true}},
	}, nil)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "plugin.GRPCStdio",
		Streams:     []grpc.StreamDesc{{StreamName: "StreamStdio", Handler: idle, ServerStreams: true}},
	}, nil)
}
