package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seraiproject/serai/pluginsdk/internal/wire"
)

// reattachTimeout bounds the first answer of a process that was found again.
const reattachTimeout = 10 * time.Second

// Reattach connects to a plugin that an earlier host process started; of the options only Log counts. The plugin
// keeps the configuration it had. An error that is ErrGone says that the process has ended, or that its pid now
// belongs to another; otherwise the process lives but does not answer, and is left alone.
func Reattach(ctx context.Context, r Record, o Options) (*Plugin, error) {
	fail := func(err error) (*Plugin, error) {
		return nil, fmt.Errorf("reattach to plugin %s, pid %d: %w", r.Path, r.PID, err)
	}
	if r.ProtocolVersion != wire.ProtocolVersion {
		return fail(fmt.Errorf("%w: protocol version %d, this host %d", ErrIncompatible, r.ProtocolVersion, wire.ProtocolVersion))
	}
	proc, err := adoptForeign(r)
	if err != nil {
		return fail(err)
	}
	conn, err := dial(r.Network, r.Address)
	if err != nil {
		proc.release()
		return fail(err)
	}
	p := &Plugin{record: r, log: o.log(), proc: proc, conn: conn}
	p.life, p.cancel = context.WithCancel(context.Background())
	ctx, cancel := context.WithTimeout(ctx, reattachTimeout)
	defer cancel()
	if err := p.negotiate(ctx); err != nil {
		p.close()
		return fail(err)
	}
	if f := reopenStderr(r.PID); f != nil {
		forward := newForwarder(p.log.With("plugin", filepath.Base(r.Path)))
		p.readers.Go(func() { forward.run(p.life, f) })
	}
	p.readers.Go(func() { p.drainStdio() })
	return p, nil
}

// Discard ends the recorded process, if it still runs, without speaking to it.
func Discard(r Record) error {
	proc, err := adoptForeign(r)
	if err != nil {
		r.removeSocket()
		return nil
	}
	defer proc.release()
	if err := proc.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill plugin %s, pid %d: %w", r.Path, r.PID, err)
	}
	<-proc.exited
	r.removeSocket()
	return nil
}

// reopenStderr takes up the reading end of the pipe that an earlier host left behind. Until then the plugin has
// written into the void; a plugin whose stderr is no pipe, or is not ours to open, gives nil.
func reopenStderr(pid int) *os.File {
	path := fmt.Sprintf("/proc/%d/fd/2", pid)
	if target, err := os.Readlink(path); err != nil || !strings.HasPrefix(target, "pipe:") {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	return f
}

// drainStdio reads what the library of most plugins makes of late prints to stdout and stderr. Unread, they
// would block the plugin in the end.
func (p *Plugin) drainStdio() {
	desc := &grpc.StreamDesc{StreamName: "StreamStdio", ServerStreams: true}
	stream, err := p.conn.NewStream(p.life, desc, "/plugin.GRPCStdio/StreamStdio")
	if err != nil {
		return
	}
	if stream.SendMsg(&emptypb.Empty{}) != nil || stream.CloseSend() != nil {
		return
	}
	for {
		// The content is of no interest, so any message type will do to receive it.
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return
		}
	}
}
