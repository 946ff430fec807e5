package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/process"
)

// Command is a command to run inside a running container.
type Command struct {
	// Root and Name are those of the container's Request.
	Root, Name string
	// Process is the container's own, with other arguments.
	Process *specs.Process
	Filter  []unix.SockFilter
}

// drainPatience bounds the wait for output after the end of the command.
const drainPatience = time.Second

// Exec runs a command to its end in the namespaces and the cgroup of the
// container, under the same user, capabilities and filter as its task. When ctx
// is done the command is killed.
func Exec(ctx context.Context, cmd Command, s process.Stream) (process.Exit, error) {
	c, err := libcontainer.Load(cmd.Root, cmd.Name)
	if err != nil {
		return process.Exit{}, fmt.Errorf("exec in container: %w", err)
	}
	agent, err := newFilterAgent()
	if err != nil {
		return process.Exit{}, err
	}
	defer agent.close()
	if err := agent.send(cmd.Filter); err != nil {
		return process.Exit{}, err
	}
	p := newProcess(cmd.Process)
	p.ExtraFiles = []*os.File{agent.child}
	exit, err := run(ctx, c, p, agent, s)
	if err != nil {
		return process.Exit{}, fmt.Errorf("exec in container: %w", err)
	}
	return exit, nil
}

func run(ctx context.Context, c *libcontainer.Container, p *libcontainer.Process, agent *filterAgent, s process.Stream) (process.Exit, error) {
	var ends *process.Ends
	var terminal *console
	if s.TTY {
		var err error
		if terminal, err = newConsole(); err != nil {
			return process.Exit{}, err
		}
		defer terminal.close()
		p.ConsoleSocket = terminal.child
		ends = process.NewEnds()
	} else {
		e, stdio, err := s.Open(nil)
		if err != nil {
			return process.Exit{}, err
		}
		ends = e
		p.Stdin, p.Stdout, p.Stderr = stdio[0], stdio[1], stdio[2]
		defer func() {
			for _, f := range stdio {
				f.Close()
			}
		}()
	}
	defer ends.Close()
	if err := c.Run(p); err != nil {
		return process.Exit{}, errors.Join(err, agent.confirm())
	}
	kill := func() {
		if pid, err := p.Pid(); err == nil {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	if err := agent.confirm(); err != nil {
		kill()
		_, _ = p.Wait()
		return process.Exit{}, err
	}
	if terminal != nil {
		master, err := terminal.receive()
		if err != nil {
			kill()
			_, _ = p.Wait()
			return process.Exit{}, err
		}
		ends.UseTerminal(master)
	} else {
		for _, f := range []any{p.Stdin, p.Stdout, p.Stderr} {
			f.(io.Closer).Close() // the command has its own by now
		}
	}
	ends.Copy(s)
	stop := context.AfterFunc(ctx, kill)
	defer stop()
	state, err := p.Wait()
	ends.Drain(drainPatience)
	if state == nil {
		return process.Exit{}, err
	}
	exit := process.Exit{FinishedAt: time.Now()}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		exit.Signal = ws.Signal()
	} else {
		exit.Code = state.ExitCode()
	}
	return exit, ctx.Err()
}

// console receives the controlling side of a terminal that is made inside the
// container.
type console struct{ parent, child *os.File }

func newConsole() (*console, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("create console socket: %w", err)
	}
	return &console{os.NewFile(uintptr(fds[0]), "console-parent"), os.NewFile(uintptr(fds[1]), "console-child")}, nil
}

func (c *console) receive() (*os.File, error) {
	c.child.Close()
	name, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(c.parent.Fd()), name, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("receive terminal: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("receive terminal: %d control messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("receive terminal: %d descriptors, %w", len(fds), err)
	}
	// Non-blocking, so that closing ends a pending read.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		return nil, fmt.Errorf("receive terminal: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}

func (c *console) close() {
	c.parent.Close()
	c.child.Close()
}
