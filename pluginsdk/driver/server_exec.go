package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

const (
	// maxExecOutput bounds each output of ExecTask, whose answer is one message.
	maxExecOutput = 1 << 20
	// execChunk is the largest piece of streamed output.
	execChunk = 32 << 10
)

func (s *server[C, T, H]) execer(id string, command []string) (Execer, error) {
	e, err := s.entry(id)
	if err != nil {
		return nil, err
	}
	t, ok := any(e.Task).(Execer)
	if !ok {
		return nil, fmt.Errorf("exec in task %s: %w", id, ErrNotSupported)
	}
	if len(command) == 0 {
		return nil, fmt.Errorf("exec in task %s: no command", id)
	}
	if _, ended := e.Outcome(); ended {
		return nil, fmt.Errorf("exec in task %s: task has ended", id)
	}
	return t, nil
}

// ExecTask runs a command and gives its output in one piece.
func (s *server[C, T, H]) ExecTask(ctx context.Context, req *driverpb.ExecTaskRequest) (*driverpb.ExecTaskResponse, error) {
	t, err := s.execer(req.GetTaskId(), req.GetCommand())
	if err != nil {
		return nil, err
	}
	if d := req.GetTimeout().AsDuration(); d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	var stdout, stderr bounded
	r, err := t.Exec(ctx, ExecCommand{Args: req.GetCommand(), Stdin: eof{}, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		return nil, fmt.Errorf("exec in task %s: %w", req.GetTaskId(), err)
	}
	return &driverpb.ExecTaskResponse{Stdout: stdout.data, Stderr: stderr.data, Result: wireResult(r)}, nil
}

// eof is an input without content.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// bounded keeps the beginning of an output and drops the rest.
type bounded struct {
	mu   sync.Mutex
	data []byte
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p[:min(len(p), maxExecOutput-len(b.data))]...)
	return len(p), nil
}

// ExecTaskStreaming runs a command whose input and output flow while it runs.
func (s *server[C, T, H]) ExecTaskStreaming(stream driverpb.Driver_ExecTaskStreamingServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	setup := first.GetSetup()
	if setup == nil {
		return errors.New("first message should always be setup")
	}
	t, err := s.execer(setup.GetTaskId(), setup.GetCommand())
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	stdin, stdinWriter := io.Pipe()
	defer stdin.Close()
	cmd := ExecCommand{
		Args:  setup.GetCommand(),
		TTY:   setup.GetTty(),
		Stdin: stdin,
	}
	var resize chan TerminalSize
	if cmd.TTY {
		resize = make(chan TerminalSize, 1)
		cmd.Resize = resize
	}
	out := &execOutput{stream: stream}
	cmd.Stdout = out.writer(func(op *driverpb.ExecTaskStreamingIOOperation) *driverpb.ExecTaskStreamingResponse {
		return &driverpb.ExecTaskStreamingResponse{Stdout: op}
	})
	cmd.Stderr = out.writer(func(op *driverpb.ExecTaskStreamingIOOperation) *driverpb.ExecTaskStreamingResponse {
		return &driverpb.ExecTaskStreamingResponse{Stderr: op}
	})
	// The receiver ends with the stream, which ends when this call returns; it cannot be waited for before.
	go receiveExec(stream, stdinWriter, resize, cancel)

	r, err := t.Exec(ctx, cmd)
	if err != nil {
		return fmt.Errorf("exec in task %s: %w", setup.GetTaskId(), err)
	}
	return out.finish(r)
}

// receiveExec feeds input and terminal sizes to a command until the host's side of the stream ends. A broken
// stream cancels the command; a host that merely has no more to say does not.
func receiveExec(stream driverpb.Driver_ExecTaskStreamingServer, stdin *io.PipeWriter, resize chan TerminalSize, cancel func()) {
	if resize != nil {
		defer close(resize)
	}
	for {
		req, err := stream.Recv()
		if err != nil {
			stdin.Close()
			if !errors.Is(err, io.EOF) {
				cancel()
			}
			return
		}
		if size := req.GetTtySize(); size != nil && resize != nil {
			// Only the newest size matters.
			select {
			case <-resize:
			default:
			}
			resize <- TerminalSize{Height: int(size.GetHeight()), Width: int(size.GetWidth())}
		}
		if in := req.GetStdin(); in != nil {
			if data := in.GetData(); len(data) > 0 {
				// An error says that the command reads no more; its end will come by itself.
				_, _ = stdin.Write(data)
			}
			if in.GetClose() {
				stdin.Close()
			}
		}
	}
}

// execOutput orders what is sent from several writers.
type execOutput struct {
	mu     sync.Mutex
	stream driverpb.Driver_ExecTaskStreamingServer
}

func (o *execOutput) send(m *driverpb.ExecTaskStreamingResponse) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream.Send(m)
}

// finish closes both outputs, then gives the result.
func (o *execOutput) finish(r ExitResult) error {
	end := &driverpb.ExecTaskStreamingIOOperation{Close: true}
	return errors.Join(
		o.send(&driverpb.ExecTaskStreamingResponse{Stdout: end}),
		o.send(&driverpb.ExecTaskStreamingResponse{Stderr: end}),
		o.send(&driverpb.ExecTaskStreamingResponse{Exited: true, Result: wireResult(r)}),
	)
}

type frame func(*driverpb.ExecTaskStreamingIOOperation) *driverpb.ExecTaskStreamingResponse

func (o *execOutput) writer(f frame) io.Writer { return &execWriter{out: o, frame: f} }

type execWriter struct {
	out   *execOutput
	frame frame
}

func (w *execWriter) Write(p []byte) (int, error) {
	for n := 0; n < len(p); n += execChunk {
		piece := p[n:min(n+execChunk, len(p))]
		if err := w.out.send(w.frame(&driverpb.ExecTaskStreamingIOOperation{Data: piece})); err != nil {
			return n, err
		}
	}
	return len(p), nil
}
