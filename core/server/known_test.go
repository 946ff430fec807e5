package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKnownServersAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), knownFile)
	if got, err := loadKnown(path); got != nil || err != nil {
		t.Errorf("nothing kept: %v %v", got, err)
	}
	want := []string{"10.0.0.1:4648", "10.0.0.2:4648"}
	if err := writeKnown(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := loadKnown(path)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := os.WriteFile(path, []byte("[\"half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadKnown(path); err == nil {
		t.Error("half a file was taken")
	}
}
