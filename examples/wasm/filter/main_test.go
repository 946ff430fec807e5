package main

import (
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	for _, test := range []struct {
		name, in, want string
		lines          int
	}{
		{"nothing", "", "", 0},
		{"lines", "one two\n\nthree", "  1  2  ONE TWO\n  2  0  \n  3  1  THREE\n3 lines, 3 words\n", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			lines, err := filter(strings.NewReader(test.in), &out)
			if err != nil || lines != test.lines || out.String() != test.want {
				t.Errorf("%d lines, %v, output %q", lines, err, out.String())
			}
		})
	}
}
