package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// level parses a level of the configuration.
func level(name string) (slog.Level, error) {
	switch strings.ToUpper(name) {
	case "TRACE":
		return slog.LevelDebug - 4, nil
	case "DEBUG":
		return slog.LevelDebug, nil
	case "", "INFO":
		return slog.LevelInfo, nil
	case "WARN":
		return slog.LevelWarn, nil
	case "ERR", "ERROR":
		return slog.LevelError, nil
	case "OFF":
		return slog.LevelError + 100, nil
	}
	return 0, fmt.Errorf("log_level %q is not one of TRACE, DEBUG, INFO, WARN, ERROR, OFF", name)
}

// newLogger returns the agent's logger. least can be changed while it is used.
func newLogger(w io.Writer, least *slog.LevelVar, asJSON, location bool) *slog.Logger {
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: least, AddSource: location}))
	}
	return slog.New(&lineHandler{out: &lineWriter{w: w}, least: least})
}

// lineHandler writes lines as operators know them:
//
//	2026-11-25T02:04:11.123Z [INFO]  node: registered: node=1234 ttl=10s
type lineHandler struct {
	out   *lineWriter
	least *slog.LevelVar
	name  string // from the attribute "subsystem"
	attrs string
	group string
}

type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.least.Level() }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Time.UTC().Format("2006-01-02T15:04:05.000Z"))
	fmt.Fprintf(&b, " %-7s ", "["+levelName(r.Level)+"]")
	if h.name != "" {
		b.WriteString(h.name + ": ")
	}
	b.WriteString(r.Message)
	attrs := h.attrs
	r.Attrs(func(a slog.Attr) bool {
		attrs += text(h.group, a)
		return true
	})
	if attrs != "" {
		b.WriteString(":" + attrs)
	}
	b.WriteByte('\n')
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := io.WriteString(h.out.w, b.String())
	return err
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelDebug:
		return "TRACE"
	case l < slog.LevelInfo:
		return "DEBUG"
	case l < slog.LevelWarn:
		return "INFO"
	case l < slog.LevelError:
		return "WARN"
	}
	return "ERROR"
}

func text(group string, a slog.Attr) string {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		var b strings.Builder
		for _, m := range v.Group() {
			b.WriteString(text(group+a.Key+".", m))
		}
		return b.String()
	}
	s := v.String()
	if s == "" || strings.ContainsAny(s, " \"\n\t=") {
		s = fmt.Sprintf("%q", s)
	}
	return " " + group + a.Key + "=" + s
}

// subsystem is the attribute that names the part of the agent that speaks.
const subsystem = "subsystem"

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	for _, a := range slices.Clone(attrs) {
		if a.Key == subsystem {
			c.name = a.Value.String()
			continue
		}
		c.attrs += text(h.group, a)
	}
	return &c
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.group += name + "."
	return &c
}
