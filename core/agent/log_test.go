package agent

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestLogLines(t *testing.T) {
	var out bytes.Buffer
	least := &slog.LevelVar{}
	log := newLogger(&out, least, false, false).With(subsystem, "node").With("node", "1234")
	log.Debug("not shown")
	log.Info("registered", "ttl", "10 s", slog.Group("a", "b", 1))
	least.Set(slog.LevelDebug)
	log.WithGroup("g").Debug("shown", "err", errors.New("x"))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[INFO\]  node: registered: node=1234 ttl="10 s" a\.b=1$`,
		`^\S+ \[DEBUG\] node: shown: node=1234 g\.err=x$`,
	}
	if len(lines) != len(want) {
		t.Fatalf("lines: %q", lines)
	}
	for i, w := range want {
		if !regexp.MustCompile(w).MatchString(lines[i]) {
			t.Errorf("line %q, want %s", lines[i], w)
		}
	}
	if _, err := level("loud"); err == nil {
		t.Error("level loud was taken")
	}
}
