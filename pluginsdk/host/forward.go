package host

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"sort"
	"strings"
	"sync"

	"github.com/seraiproject/serai/pluginsdk/internal/wire"
)

// maxLogLine is the longest line that is looked into, in bytes. Longer ones are logged in pieces.
const maxLogLine = 64 << 10

// forwarder turns the lines of a plugin's stderr into records of the host's log.
type forwarder struct {
	log *slog.Logger

	mu   sync.Mutex
	last string
	// crashing says that the plugin has begun to print a crash.
	crashing bool
}

func newForwarder(log *slog.Logger) *forwarder { return &forwarder{log: log} }

// lastLine is the last thing said, for the message about a plugin that failed to start.
func (f *forwarder) lastLine() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// run reads until the pipe ends or ctx does, and closes it.
func (f *forwarder) run(ctx context.Context, pipe *os.File) {
	stop := context.AfterFunc(ctx, func() { pipe.Close() })
	defer stop()
	defer pipe.Close()
	r := bufio.NewReaderSize(pipe, maxLogLine)
	continued := false
	for {
		line, more, err := r.ReadLine()
		if err != nil {
			return
		}
		if more || continued {
			f.log.Debug(string(line))
		} else {
			f.line(ctx, string(line))
		}
		continued = more
	}
}

func (f *forwarder) line(ctx context.Context, line string) {
	level, message, attrs := f.parse(line)
	if message == "" {
		return
	}
	f.mu.Lock()
	if f.last == "" || !f.crashing || strings.HasPrefix(message, "panic: ") {
		f.last = message
	}
	f.mu.Unlock()
	f.log.LogAttrs(ctx, level, message, attrs...)
}

// tags are how plugins without structured logs mark levels.
var tags = []struct {
	prefix string
	level  slog.Level
}{
	{"[TRACE]", wire.LevelTrace},
	{"[DEBUG]", slog.LevelDebug},
	{"[INFO]", slog.LevelInfo},
	{"[WARN]", slog.LevelWarn},
	{"[ERROR]", slog.LevelError},
}

func (f *forwarder) parse(line string) (slog.Level, string, []slog.Attr) {
	if strings.HasPrefix(line, "{") {
		if level, message, attrs, ok := parseStructured(line); ok {
			return level, message, attrs
		}
	}
	for _, t := range tags {
		if strings.HasPrefix(line, t.prefix) {
			return t.level, strings.TrimSpace(strings.TrimPrefix(line, t.prefix)), nil
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
		f.crashing = true
	}
	if f.crashing {
		return slog.LevelError, line, nil
	}
	return slog.LevelDebug, line, nil
}

// parseStructured reads a line of hclog's JSON. Members of the wrong type make it an ordinary line.
func parseStructured(line string) (slog.Level, string, []slog.Attr, bool) {
	var members map[string]any
	if err := json.Unmarshal([]byte(line), &members); err != nil {
		return 0, "", nil, false
	}
	message, ok1 := members["@message"].(string)
	name, ok2 := members["@level"].(string)
	if !ok1 || !ok2 {
		return 0, "", nil, false
	}
	level := slog.LevelDebug
	switch strings.ToLower(name) {
	case "trace":
		level = wire.LevelTrace
	case "info":
		level = slog.LevelInfo
	case "warn", "warning":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	keys := make([]string, 0, len(members))
	for k := range members {
		switch k {
		case "@message", "@level", "@timestamp", "@caller":
		default:
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	attrs := make([]slog.Attr, 0, len(keys))
	for _, k := range keys {
		attrs = append(attrs, slog.Any(strings.TrimPrefix(k, "@"), members[k]))
	}
	return level, message, attrs, true
}
