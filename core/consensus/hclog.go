package consensus

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// hcLogger lets libraries that want an hclog.Logger write to an slog.Logger.
type hcLogger struct {
	to   *slog.Logger
	name string
	args []any
}

func newHCLog(to *slog.Logger) hclog.Logger { return &hcLogger{to: to} }

var levels = map[hclog.Level]slog.Level{
	hclog.Trace: slog.LevelDebug - 4, hclog.Debug: slog.LevelDebug, hclog.NoLevel: slog.LevelInfo,
	hclog.Info: slog.LevelInfo, hclog.Warn: slog.LevelWarn, hclog.Error: slog.LevelError,
}

func (l *hcLogger) Log(level hclog.Level, msg string, args ...any) {
	if level == hclog.Off || !l.to.Enabled(context.Background(), levels[level]) {
		return
	}
	all := append(slices.Clip(l.args), args...)
	for i, a := range all {
		// A value to be formatted is a format and its operands.
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			if format, ok := f[0].(string); ok {
				all[i] = fmt.Sprintf(format, f[1:]...)
			}
		}
	}
	l.to.Log(context.Background(), levels[level], msg, all...)
}

func (l *hcLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *hcLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *hcLogger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *hcLogger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *hcLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *hcLogger) is(level hclog.Level) bool {
	return l.to.Enabled(context.Background(), levels[level])
}

func (l *hcLogger) IsTrace() bool { return l.is(hclog.Trace) }
func (l *hcLogger) IsDebug() bool { return l.is(hclog.Debug) }
func (l *hcLogger) IsInfo() bool  { return l.is(hclog.Info) }
func (l *hcLogger) IsWarn() bool  { return l.is(hclog.Warn) }
func (l *hcLogger) IsError() bool { return l.is(hclog.Error) }

func (l *hcLogger) ImpliedArgs() []any { return l.args }
func (l *hcLogger) Name() string       { return l.name }

func (l *hcLogger) With(args ...any) hclog.Logger {
	return &hcLogger{to: l.to, name: l.name, args: append(slices.Clip(l.args), args...)}
}

func (l *hcLogger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return &hcLogger{to: l.to, name: name, args: l.args}
}

func (l *hcLogger) ResetNamed(name string) hclog.Logger {
	return &hcLogger{to: l.to, name: name, args: l.args}
}

func (l *hcLogger) SetLevel(hclog.Level) {} // the slog.Handler decides

func (l *hcLogger) GetLevel() hclog.Level {
	for _, level := range []hclog.Level{hclog.Trace, hclog.Debug, hclog.Info, hclog.Warn} {
		if l.is(level) {
			return level
		}
	}
	return hclog.Error
}

func (l *hcLogger) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(opts), "", 0)
}

func (l *hcLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return slog.NewLogLogger(l.to.Handler(), slog.LevelInfo).Writer()
}
