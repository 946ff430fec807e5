package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

// tailFlags are the flags of commands that may show the end of a file.
type tailFlags struct {
	tail, follow *bool
	lines        *int64
	bytes        *int64
}

func (f *flags) tail() *tailFlags {
	return &tailFlags{
		follow: f.flagBool("f", "Go on with what is written from now on, until Ctrl-C.", false),
		tail:   f.flagBool("tail", "Show only the end: the last 10 lines, unless -n or -c says more.", false),
		lines:  f.flagInt64("n", "lines", -1, "With -tail, the number of lines."),
		bytes:  f.flagInt64("c", "bytes", -1, "With -tail, the number of bytes."),
	}
}

// bytesPerLine is a generous guess of how long lines are, for finding the last
// ones of a file.
const bytesPerLine = 256

// defaultTailLines is how many lines -tail shows.
const defaultTailLines = 10

// start is where to start a stream, and the number of lines to keep of what is
// there already (0: all).
func (t *tailFlags) start() (origin string, offset int64, lines int) {
	switch {
	case !*t.tail:
		return apiclient.OriginStart, 0, 0
	case *t.bytes >= 0:
		return apiclient.OriginEnd, *t.bytes, 0
	case *t.lines >= 0:
		lines = int(*t.lines)
	default:
		lines = defaultTailLines
	}
	return apiclient.OriginEnd, int64(lines+1) * bytesPerLine, lines
}

func allocLogs() *leaf {
	return &leaf{
		words: "alloc logs", aliases: []string{"logs"}, synopsis: "Print what a task wrote",
		args: "[options] <allocation> <task>", maxArgs: 2, wants: "one or two arguments: <allocation> [task]",
		prose: `Prints what a task wrote to its standard output, or with -stderr to its standard error. The task may be left out if there is only one. With -job, an allocation of that job is picked, and the first argument is the task.

With ACLs, the 'read-logs' capability is needed.`,
		complete: predictAllocs,
		setup: func(f *flags) func(*session) int {
			stdout := f.flagBool("stdout", "Show standard output. This is the default; with -f alone both are shown.", false)
			stderr := f.flagBool("stderr", "Show standard error.", false)
			tail := f.tail()
			task := f.flagString("task", "name", "", "The task.")
			pick := f.pick()
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			return func(s *session) int {
				if *stdout && *stderr && !*tail.follow {
					return s.fail("Only one of -stdout and -stderr can be given without -f")
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				a, rest, err := s.pickAlloc(ctx, pick, *verbose)
				if err != nil {
					return s.code(err)
				}
				name := *task
				if name == "" && len(rest) > 0 {
					name = rest[0]
				}
				name, err = onlyTask(a, name)
				if err != nil {
					return s.fail("Failed to validate task: %v", err)
				}
				node, err := s.api.OnNode(ctx, a.NodeID)
				if err != nil {
					return s.fail("Error querying node: %v", err)
				}
				defer node.Close()
				both := *tail.follow && *stdout == *stderr
				kinds := []string{"stdout"}
				switch {
				case both:
					kinds = append(kinds, "stderr")
				case *stderr:
					kinds = []string{"stderr"}
				}
				return s.printLogs(ctx, node, a.ID, name, kinds, tail)
			}
		},
	}
}

// pickFlags choose an allocation by its job.
type pickFlags struct{ job, group *string }

func (f *flags) pick() *pickFlags {
	return &pickFlags{
		job:   f.flagString("job", "id", "", "Take one of this job's allocations, a running one if there is one, instead of naming it."),
		group: f.flagString("group", "name", "", "With -job, the group to take it from."),
	}
}

// pickAlloc finds the allocation of the first argument, or one of the job given,
// and returns the arguments that are left.
func (s *session) pickAlloc(ctx context.Context, p *pickFlags, verbose bool) (*model.Allocation, []string, error) {
	if *p.job != "" {
		a, err := s.jobAlloc(ctx, *p.job, *p.group)
		return a, s.args, err
	}
	if len(s.args) == 0 {
		return nil, nil, told{s.misuse(s.leaf, exitError, "An allocation ID is required")}
	}
	a, err := s.fullAlloc(ctx, s.args[0], verbose, exitError)
	return a, s.args[1:], err
}

// printLogs prints one or both of a task's streams.
func (s *session) printLogs(ctx context.Context, node *apiclient.NodeClient, id model.AllocID, task string, kinds []string, tail *tailFlags) int {
	origin, offset, lines := tail.start()
	codes := make([]int, len(kinds))
	show := func(i int) {
		kind := kinds[i]
		to := s.deps.Stdout
		if kind == "stderr" && len(kinds) > 1 {
			to = s.deps.Stderr
		}
		frames, err := node.StreamLogs(ctx, id, apiclient.LogStream{Task: task, Type: kind, Origin: origin, Offset: offset, Follow: *tail.follow})
		if err == nil {
			err = copyTail(to, frames, lines)
		}
		if err != nil && ctx.Err() == nil {
			codes[i] = s.fail("Failed to read %s file: error reading file: %v", kind, err)
		}
	}
	var streams sync.WaitGroup
	for i := range kinds {
		streams.Go(func() { show(i) })
	}
	streams.Wait()
	for _, c := range codes {
		if c != exitOK {
			return c
		}
	}
	return exitOK
}

// settleTime is how long a stream must be silent for its first part to be over.
const settleTime = 300 * time.Millisecond

// copyTail copies a stream to its end and closes it. If lines is above zero, all
// but the last ones of what is there at the start are left out.
func copyTail(to io.Writer, from *apiclient.Frames, lines int) error {
	defer from.Close()
	if lines <= 0 {
		_, err := io.Copy(to, from)
		return err
	}
	type piece struct {
		data []byte
		err  error
	}
	pieces := make(chan piece)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			f, err := from.Next()
			p := piece{err: err}
			if f != nil {
				p.data = f.Data
			}
			select {
			case pieces <- p:
			case <-done:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	var held []byte
	settled := time.NewTimer(settleTime)
	defer settled.Stop()
	for {
		select {
		case p := <-pieces:
			if held == nil && lines == 0 {
				if _, err := to.Write(p.data); err != nil {
					return err
				}
			} else {
				held = append(held, p.data...)
				settled.Reset(settleTime)
			}
			if p.err == nil {
				continue
			}
			if _, err := to.Write(lastLines(held, lines)); err != nil {
				return err
			}
			if errors.Is(p.err, io.EOF) {
				return nil
			}
			return p.err
		case <-settled.C:
			if _, err := to.Write(lastLines(held, lines)); err != nil {
				return err
			}
			held, lines = nil, 0
		}
	}
}

// lastLines is the last n lines of text.
func lastLines(text []byte, n int) []byte {
	if n <= 0 || len(text) == 0 {
		return nil
	}
	at := len(text)
	if text[at-1] == '\n' {
		at--
	}
	for ; n > 0; n-- {
		i := bytes.LastIndexByte(text[:at], '\n')
		if i < 0 {
			return text
		}
		at = i
	}
	return text[at+1:]
}
