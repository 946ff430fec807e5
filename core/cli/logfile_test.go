package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLogFile(t *testing.T) {
	dir := t.TempDir()
	clock := now
	l, err := openLogFile(dir+"/", 10, time.Hour, 2, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"first\n", "two\n", "third\n", "fourth\n"} { // 6+4, then each alone
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(time.Second)
	}
	clock = clock.Add(time.Hour)
	if _, err := l.Write([]byte("late\n")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(dir, "serai*.log"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	// "first two" was the oldest of three former files and is gone.
	if want := "third\n|fourth\n|late\n"; strings.Join(got, "|") != want {
		t.Errorf("files hold %q", got)
	}
}
