package wire

import (
	"io"
	"log/slog"
	"os"
	"strings"
)

// stderr is kept because serving replaces os.Stderr by a pipe to the host's discretion.
var stderr = os.Stderr

// LevelTrace is below slog's levels; hosts know it by this name.
const LevelTrace = slog.LevelDebug - 4

// Logger writes the lines that hosts read on a plugin's stderr. All levels are written; the host filters.
func Logger() *slog.Logger { return slog.New(handler(stderr)) }

func handler(w io.Writer) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: LevelTrace,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.TimeKey:
				return slog.String("@timestamp", a.Value.Time().Format("2006-01-02T15:04:05.000000Z07:00"))
			case slog.LevelKey:
				level, _ := a.Value.Any().(slog.Level)
				return slog.String("@level", levelName(level))
			case slog.MessageKey:
				return slog.String("@message", a.Value.String())
			}
			if err, ok := a.Value.Any().(error); ok {
				return slog.String(a.Key, err.Error())
			}
			return a
		},
	})
}

func levelName(l slog.Level) string {
	if l < slog.LevelDebug {
		return "trace"
	}
	name, _, _ := strings.Cut(strings.ToLower(l.String()), "+")
	return name
}
