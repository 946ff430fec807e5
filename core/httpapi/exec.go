package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/seraiproject/serai/core/model"
)

// Frames of an exec session, see the API's document.
type execInput struct {
	Stdin *struct {
		Data  []byte `json:"data"`
		Close bool   `json:"close"`
	} `json:"stdin"`
	TTYSize *struct {
		Height int `json:"height"`
		Width  int `json:"width"`
	} `json:"tty_size"`
}

type execData struct {
	Data  []byte `json:"data,omitempty"`
	Close bool   `json:"close,omitempty"`
}

type execResult struct {
	ExitCode int `json:"exit_code,omitempty"`
}

type execOutput struct {
	Stdout *execData   `json:"stdout,omitempty"`
	Stderr *execData   `json:"stderr,omitempty"`
	Exited bool        `json:"exited,omitempty"`
	Result *execResult `json:"result,omitempty"`
}

const (
	// maxExecFrame is the most output in one frame.
	maxExecFrame = 4096
	// maxExecInput bounds one frame of a client.
	maxExecInput = 1 << 20
)

func clientAllocExec(r *request) (any, error) {
	if r.r.Header.Get("Upgrade") == "" {
		return nil, errors.New("websocket connection not found in context")
	}
	n, done, err := r.nodeFor(r.alloc())
	if done {
		return nil, nil
	}
	r.hijacked = true
	conn, aerr := websocket.Accept(r.w, r.r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if aerr != nil {
		return nil, aerr // Accept has answered
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxExecInput)
	if err == nil {
		err = r.exec(conn, n)
	}
	if err != nil {
		code := websocket.StatusInternalError
		var se *statusError
		if errors.As(err, &se) {
			code = websocket.StatusPolicyViolation
		}
		conn.Close(code, closeText(err)) // the client may be gone already
	}
	return nil, nil
}

func (r *request) exec(conn *websocket.Conn, n NodeBackend) error {
	ctx, cancel := context.WithCancel(r.ctx())
	defer cancel()
	if handshake, err := r.flag("ws_handshake"); err != nil {
		return badRequest(err.Error())
	} else if handshake {
		var hello struct {
			Version   int    `json:"version"`
			AuthToken string `json:"auth_token"`
		}
		_, msg, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(msg, &hello); err != nil {
			return err
		}
		if hello.Version != 1 {
			return badRequest(fmt.Sprintf("unexpected handshake value: %d", hello.Version))
		}
	}
	task := r.query.Get("task")
	if task == "" {
		return badRequest("must provide task name")
	}
	var cmd []string
	if err := json.Unmarshal([]byte(r.query.Get("command")), &cmd); err != nil || len(cmd) == 0 {
		return badRequest("command is not present")
	}
	tty := false
	if v := r.query.Get("tty"); v != "" {
		var err error
		if tty, err = strconv.ParseBool(v); err != nil {
			return badRequest(fmt.Sprintf("tty value is not a bool: %v", err))
		}
	}

	stdinR, stdinW := io.Pipe()
	defer stdinR.Close()
	resize := make(chan WindowSize, 1)
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		defer cancel() // a client that is gone ends the command
		readExecInput(ctx, conn, stdinW, resize)
	}()
	out := &execWriter{ctx: ctx, conn: conn}
	streams := ExecStreams{Stdin: stdinR, Stdout: out.stream(false), Stderr: out.stream(true), Resize: resize}
	code, err := n.Exec(ctx, r.alloc(), task, cmd, tty, streams)
	stdinR.Close()
	if err != nil {
		return execErr(err)
	}
	if err := out.send(execOutput{Stdout: &execData{Close: true}}); err != nil {
		return err
	}
	if !tty {
		if err := out.send(execOutput{Stderr: &execData{Close: true}}); err != nil {
			return err
		}
	}
	if err := out.send(execOutput{Exited: true, Result: &execResult{code}}); err != nil {
		return err
	}
	conn.Close(websocket.StatusNormalClosure, "") // ends the reader too
	<-reader
	return nil
}

// maxCloseText is the longest reason that a close frame has room for.
const maxCloseText = 123

// closeText is what the user is told. Where it does not fit, what stands
// before the cause goes first.
func closeText(err error) string {
	text := err.Error()
	for len(text) > maxCloseText {
		_, cause, ok := strings.Cut(text, ": ")
		if !ok {
			return text[:maxCloseText]
		}
		text = cause
	}
	return text
}

func execErr(err error) error {
	if errors.Is(err, model.ErrNotFound) || errors.Is(err, model.ErrUnsupported) {
		return badRequest(err.Error())
	}
	return err
}

// readExecInput passes what the client sends on until the client is gone.
func readExecInput(ctx context.Context, conn *websocket.Conn, stdin *io.PipeWriter, resize chan WindowSize) {
	defer stdin.Close()
	for {
		_, msg, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var in execInput
		if err := json.Unmarshal(msg, &in); err != nil {
			return
		}
		if s := in.TTYSize; s != nil {
			select {
			case <-resize: // only the newest size matters
			default:
			}
			resize <- WindowSize{Width: s.Width, Height: s.Height}
		}
		if s := in.Stdin; s != nil {
			if len(s.Data) > 0 {
				if _, err := stdin.Write(s.Data); err != nil {
					continue // the command does not read any more
				}
			}
			if s.Close {
				stdin.Close()
			}
		}
	}
}

// execWriter sends output frames, one at a time.
type execWriter struct {
	ctx  context.Context
	conn *websocket.Conn
	mu   sync.Mutex
}

func (w *execWriter) send(o execOutput) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conn.Write(w.ctx, websocket.MessageText, b)
}

func (w *execWriter) stream(stderr bool) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		sent := 0
		for len(p) > 0 {
			n := min(len(p), maxExecFrame)
			o := execOutput{Stdout: &execData{Data: p[:n]}}
			if stderr {
				o = execOutput{Stderr: o.Stdout}
			}
			if err := w.send(o); err != nil {
				return sent, err
			}
			sent, p = sent+n, p[n:]
		}
		return sent, nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
