package sim

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what scripts show into testdata")

// TestScripts runs the scripts of testdata. A command is a line that begins
// with "> "; what it shows follows, up to the next one. Lines that begin with #
// are comments.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the script shows something else (-want +got):\n%s", diff)
			}
		})
	}
}

// runScript returns the script with what its commands show now.
func runScript(t *testing.T, script string) string {
	c := New(Config{Seed: 1})
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		command, isCommand := strings.CutPrefix(line, "> ")
		switch {
		case strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
			continue
		case !isCommand:
			continue
		}
		out.WriteString(line + "\n")
		shown, err := c.Execute(command)
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		for _, fault := range c.Check() {
			t.Errorf("after %q: %s", command, fault)
		}
		out.WriteString(shown)
	}
	return out.String()
}
