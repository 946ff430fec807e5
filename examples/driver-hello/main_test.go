package main

import (
	"os"
	"strings"
	"testing"
)

// TestShort holds the promise of the README: a useful driver is about a hundred lines.
func TestShort(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	code := 0
	for _, line := range strings.Split(string(source), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			code++
		}
	}
	if total := strings.Count(string(source), "\n"); total > 120 || code > 100 {
		t.Errorf("the example has %d lines, %d of code; it must stay within 120 and 100", total, code)
	}
}
