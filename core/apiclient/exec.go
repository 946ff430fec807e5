package apiclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/seraiproject/serai/core/model"
)

// TerminalSize is in characters.
type TerminalSize struct {
	Height int `json:"height"`
	Width  int `json:"width"`
}

// ExecRequest runs a command inside a task.
type ExecRequest struct {
	AllocID model.AllocID
	Task    string
	TTY     bool
	Command []string

	// Stdin may be nil. It is read until its end or until the command exits,
	// whichever is first; the read under way at that time is left behind.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Sizes are the terminal's sizes, the first one first. It may be nil.
	Sizes <-chan TerminalSize
}

type execStream struct {
	Data  []byte `json:"data,omitempty"`
	Close bool   `json:"close,omitempty"`
}

type execInput struct {
	Stdin   *execStream   `json:"stdin,omitempty"`
	TTYSize *TerminalSize `json:"tty_size,omitempty"`
}

type execOutput struct {
	Stdout *execStream `json:"stdout"`
	Stderr *execStream `json:"stderr"`
	Exited bool        `json:"exited"`
	Result *struct {
		ExitCode int `json:"exit_code"`
	} `json:"result"`
}

// execHeartbeat keeps idle sessions from being taken for dead.
const execHeartbeat = 10 * time.Second

// Exec runs a command inside a task and returns its exit code. An error means
// that it is not known how, or whether, the command ended.
func (n *NodeClient) Exec(ctx context.Context, r ExecRequest) (int, error) {
	var conn *websocket.Conn
	err := n.each(ctx, func(c *Client) (err error) {
		conn, err = c.dialExec(ctx, r)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer conn.CloseNow() //nolint:errcheck // the session is over either way
	conn.SetReadLimit(1 << 20)

	ctx, cancel := context.WithCancel(ctx)
	var senders sync.WaitGroup
	defer senders.Wait()
	defer cancel()
	input := make(chan execInput)
	senders.Go(func() { sendExec(ctx, conn, input, r.Sizes) })
	// Not waited for: a read of a terminal cannot be interrupted.
	go readStdin(ctx, r.Stdin, input)
	return receiveExec(ctx, conn, r)
}

func (c *Client) dialExec(ctx context.Context, r ExecRequest) (*websocket.Conn, error) {
	command, err := json.Marshal(r.Command)
	if err != nil {
		return nil, err
	}
	req, err := c.request(ctx, http.MethodGet, "/v1/client/allocation/"+Segment(r.AllocID)+"/exec", &Query{Params: url.Values{
		"task": {r.Task}, "tty": {strconv.FormatBool(r.TTY)}, "command": {string(command)},
	}}, nil)
	if err != nil {
		return nil, err
	}
	conn, resp, err := websocket.Dial(ctx, req.URL.String(), &websocket.DialOptions{HTTPClient: c.http, HTTPHeader: req.Header})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols && resp.StatusCode != 0 {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
			return nil, &StatusError{Code: resp.StatusCode, Body: string(body)}
		}
		return nil, err
	}
	return conn, nil
}

// readStdin turns input into frames until it ends.
func readStdin(ctx context.Context, stdin io.Reader, input chan<- execInput) {
	send := func(i execInput) bool {
		select {
		case input <- i:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for stdin != nil {
		buf := make([]byte, 2048)
		n, err := stdin.Read(buf)
		if n > 0 && !send(execInput{Stdin: &execStream{Data: buf[:n]}}) {
			return
		}
		if err != nil {
			break
		}
	}
	send(execInput{Stdin: &execStream{Close: true}})
}

func sendExec(ctx context.Context, conn *websocket.Conn, input <-chan execInput, sizes <-chan TerminalSize) {
	heartbeat := time.NewTicker(execHeartbeat)
	defer heartbeat.Stop()
	for {
		var i execInput
		select {
		case <-ctx.Done():
			return
		case i = <-input:
		case size, ok := <-sizes:
			if !ok {
				sizes = nil
				continue
			}
			i.TTYSize = &size
		case <-heartbeat.C:
		}
		b, err := json.Marshal(i)
		if err != nil || conn.Write(ctx, websocket.MessageText, b) != nil {
			return // the receiving side learns why
		}
	}
}

func receiveExec(ctx context.Context, conn *websocket.Conn, r ExecRequest) (int, error) {
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			var ce websocket.CloseError
			if errors.As(err, &ce) && ce.Reason != "" {
				return 0, errors.New(ce.Reason)
			}
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			return 0, fmt.Errorf("the session ended before the command did: %w", err)
		}
		var out execOutput
		if err := json.Unmarshal(b, &out); err != nil {
			return 0, fmt.Errorf("read the session: %w", err)
		}
		if out.Stdout != nil && r.Stdout != nil {
			if _, err := r.Stdout.Write(out.Stdout.Data); err != nil {
				return 0, err
			}
		}
		if out.Stderr != nil && r.Stderr != nil {
			if _, err := r.Stderr.Write(out.Stderr.Data); err != nil {
				return 0, err
			}
		}
		if out.Exited {
			if out.Result == nil {
				return 0, nil
			}
			return out.Result.ExitCode, nil
		}
	}
}
