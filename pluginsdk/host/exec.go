package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

const (
	execHeartbeat = 10 * time.Second
	execChunk     = 32 << 10
)

// ExecTaskStreaming runs a command beside a task while its input and output flow. It returns when the command
// has ended, or the context. Stdin is read by a goroutine that may outlive the call by one Read; a Stdin that
// can be closed should be closed afterwards.
func (d *DriverClient) ExecTaskStreaming(ctx context.Context, id string, cmd driver.ExecCommand) (driver.ExitResult, error) {
	op := "exec in task " + id
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.c.ExecTaskStreaming(ctx)
	if err != nil {
		return driver.ExitResult{}, d.p.streamError(caller, op, err)
	}
	out := &execInput{stream: stream}
	err = out.send(&driverpb.ExecTaskStreamingRequest{Setup: &driverpb.ExecTaskStreamingRequest_Setup{
		TaskId: id, Command: cmd.Args, Tty: cmd.TTY}})
	if err == nil || errors.Is(err, io.EOF) {
		// A size that is known goes first: a command may look at its terminal
		// before it reads, and input nobody reads holds up what is behind it.
		select {
		case size, ok := <-cmd.Resize:
			if ok {
				_ = out.send(sizeMessage(size)) // a broken stream shows when it is read
			}
		default:
		}
		if cmd.Stdin != nil {
			go out.copyInput(cmd.Stdin)
		}
		var senders sync.WaitGroup
		senders.Go(func() { out.sendSizes(ctx, cmd.Resize) })
		var r driver.ExitResult
		r, err = receiveExec(stream, cmd)
		cancel()
		senders.Wait()
		if err == nil {
			return r, nil
		}
	}
	var we *writeError
	if errors.As(err, &we) {
		return driver.ExitResult{}, fmt.Errorf("plugin %s: %s: %w", d.p.info.Name, op, we)
	}
	return driver.ExitResult{}, d.p.streamError(caller, op, err)
}

// writeError says that the caller's own output failed.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// receiveExec copies output until the result has come and the stream has ended.
func receiveExec(stream driverpb.Driver_ExecTaskStreamingClient, cmd driver.ExecCommand) (driver.ExitResult, error) {
	var r *driver.ExitResult
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if r == nil {
				return driver.ExitResult{}, errors.New("driver ended the command without a result")
			}
			return *r, nil
		}
		if err != nil {
			return driver.ExitResult{}, err
		}
		if data := m.GetStdout().GetData(); len(data) > 0 && cmd.Stdout != nil {
			if _, err := cmd.Stdout.Write(data); err != nil {
				return driver.ExitResult{}, &writeError{err}
			}
		}
		if data := m.GetStderr().GetData(); len(data) > 0 && cmd.Stderr != nil {
			if _, err := cmd.Stderr.Write(data); err != nil {
				return driver.ExitResult{}, &writeError{err}
			}
		}
		if m.GetExited() {
			got := result(m.GetResult())
			r = &got
		}
	}
}

// execInput orders what is sent by several goroutines.
type execInput struct {
	mu     sync.Mutex
	stream grpc.BidiStreamingClient[driverpb.ExecTaskStreamingRequest, driverpb.ExecTaskStreamingResponse]
}

func (o *execInput) send(m *driverpb.ExecTaskStreamingRequest) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream.Send(m)
}

// copyInput sends the input, then its end in a message of its own: drivers drop data in a closing message.
func (o *execInput) copyInput(in io.Reader) {
	buf := make([]byte, execChunk)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			op := &driverpb.ExecTaskStreamingIOOperation{Data: buf[:n]}
			if o.send(&driverpb.ExecTaskStreamingRequest{Stdin: op}) != nil {
				return
			}
		}
		if err != nil {
			end := &driverpb.ExecTaskStreamingIOOperation{Close: true}
			_ = o.send(&driverpb.ExecTaskStreamingRequest{Stdin: end})
			return
		}
	}
}

// sendSizes sends terminal sizes and heartbeats until ctx ends.
func (o *execInput) sendSizes(ctx context.Context, sizes <-chan driver.TerminalSize) {
	beat := time.NewTicker(execHeartbeat)
	defer beat.Stop()
	for {
		m := &driverpb.ExecTaskStreamingRequest{}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		case size, ok := <-sizes:
			if !ok {
				sizes = nil
				continue
			}
			m = sizeMessage(size)
		}
		if o.send(m) != nil {
			return
		}
	}
}

func sizeMessage(size driver.TerminalSize) *driverpb.ExecTaskStreamingRequest {
	return &driverpb.ExecTaskStreamingRequest{TtySize: &driverpb.ExecTaskStreamingRequest_TerminalSize{
		Height: int32(size.Height), Width: int32(size.Width),
	}}
}
