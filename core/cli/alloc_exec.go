package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/seraiproject/serai/core/apiclient"
)

func allocExec() *leaf {
	return &leaf{
		words: "alloc exec", aliases: []string{"exec"}, synopsis: "Run a command inside a task",
		args: "[options] <allocation> <command>", minArgs: 1, maxArgs: -1, wants: "at least two arguments: <allocation> <command>",
		prose: `Runs a command inside a task, with its environment and its view of the file system, and ends with the command's exit code. The task may be left out if there is only one. With -job, an allocation of that job is picked, and the arguments are the command.

On a terminal, the escape character at the start of a line, followed by a dot, closes the session.

With ACLs, the 'alloc-exec' capability is needed, and 'alloc-node-exec' for drivers that do not isolate the file system.`,
		complete: predictAllocs,
		setup: func(f *flags) func(*session) int {
			task := f.flagString("task", "name", "", "The task.")
			pick := f.pick()
			stdin := f.flagBool("i", "Pass standard input to the command. Default: true.", true)
			tty := f.flagBool("t", "Give the command a terminal. Default: whether standard input is one.", false)
			escape := f.flagString("e", "character", "~", "The escape character, or \"none\".")
			return func(s *session) int {
				if !f.given("t") {
					*tty = isTerminal(s.deps.Stdin) && isTerminal(s.deps.Stdout)
				}
				if *tty && !*stdin {
					return s.fail("-i must be enabled if running with tty")
				}
				if *escape != "none" && len(*escape) != 1 {
					return s.fail("-e requires 'none' or a single character")
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if !*tty {
					ctx, cancel = s.deps.interruptible()
					defer cancel()
				}
				a, command, err := s.pickAlloc(ctx, pick, false)
				if err != nil {
					return s.code(err)
				}
				if len(command) == 0 {
					return s.misuse(s.leaf, exitError, "A command is required")
				}
				name, err := onlyTask(a, *task)
				if err != nil {
					return s.fail("%v", err)
				}
				node, err := s.api.OnNode(ctx, a.NodeID)
				if err != nil {
					return s.fail("Error querying node: %v", err)
				}
				defer node.Close()
				req := apiclient.ExecRequest{AllocID: a.ID, Task: name, TTY: *tty, Command: command, Stdout: s.deps.Stdout, Stderr: s.deps.Stderr}
				if *stdin {
					req.Stdin = s.deps.Stdin
				}
				return s.exec(ctx, node, req, *escape)
			}
		},
	}
}

var errClosed = errors.New("the session was closed by the escape sequence")

// exec runs a session, with the terminal set up for it if there is one.
func (s *session) exec(ctx context.Context, node *apiclient.NodeClient, req apiclient.ExecRequest, escape string) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if req.TTY {
		restore, sizes, err := rawTerminal(ctx, s.deps.Stdin, s.deps.Stdout)
		if err != nil {
			return s.fail("failed to exec into task: set up the terminal: %v", err)
		}
		defer restore()
		req.Sizes = sizes
		if escape != "none" {
			req.Stdin = &escapeReader{from: req.Stdin, escape: escape[0], lineStart: true, closed: func() {
				s.printf("\r\nConnection closed\r\n")
				cancel(errClosed)
			}}
		}
	}
	code, err := node.Exec(ctx, req)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errClosed) {
			err = cause
		}
		return s.fail("failed to exec into task: %v", err)
	}
	return code
}

// rawTerminal passes keys on as they are pressed and tells the terminal's size.
// The returned function undoes it. Streams that are no terminals are left alone.
func rawTerminal(ctx context.Context, stdin io.Reader, stdout io.Writer) (func(), <-chan apiclient.TerminalSize, error) {
	in, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return func() {}, nil, nil
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, nil, fmt.Errorf("switch to raw mode: %w", err)
	}
	out, ok := stdout.(*os.File)
	if !ok {
		out = in
	}
	sizes := make(chan apiclient.TerminalSize)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if w, h, err := term.GetSize(int(out.Fd())); err == nil {
				select {
				case sizes <- apiclient.TerminalSize{Height: h, Width: w}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
		signal.Stop(changed)
		_ = term.Restore(int(in.Fd()), before)
	}, sizes, nil
}

// escapeReader passes input on until the escape character and a dot are typed at
// the start of a line. The escape character typed twice stands for itself.
type escapeReader struct {
	from      io.Reader
	escape    byte
	closed    func()
	lineStart bool
	held      bool // the escape character was read and not passed on
}

func (r *escapeReader) Read(p []byte) (int, error) {
	if len(p) < 2 {
		return 0, io.ErrShortBuffer
	}
	for {
		in := make([]byte, len(p)/2) // a held character may double what was read
		n, err := r.from.Read(in)
		out := p[:0]
		for _, b := range in[:n] {
			if r.held {
				r.held = false
				switch b {
				case '.':
					r.closed()
					return 0, io.EOF
				case r.escape:
				default:
					out = append(out, r.escape)
				}
			} else if r.lineStart && b == r.escape {
				r.held, r.lineStart = true, false
				continue
			}
			out = append(out, b)
			r.lineStart = b == '\n' || b == '\r'
		}
		if len(out) > 0 || err != nil {
			return len(out), err
		}
	}
}
