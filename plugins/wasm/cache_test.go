package wasm

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPrune(t *testing.T) {
	c := &cache{dir: t.TempDir()}
	now := time.Now()
	for name, used := range map[string]time.Time{"wazero-1.0.0/old": now.Add(-2 * time.Hour), "wazero-1.1.0/new": now, "other/old": now.Add(-2 * time.Hour)} {
		folder := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Join(folder, "inner"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(folder, used, used); err != nil {
			t.Fatal(err)
		}
	}
	c.prune(now.Add(-time.Hour))
	for name, want := range map[string]bool{"wazero-1.0.0/old": false, "wazero-1.1.0/new": true, "other/old": true} {
		if _, err := os.Stat(filepath.Join(c.dir, name)); (err == nil) != want {
			t.Errorf("%s: kept %v, want %v", name, err == nil, want)
		}
	}
}
