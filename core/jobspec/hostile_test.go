package jobspec

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostile feeds large files of the kinds that cost most. The bound is far
// above what they take, and far below what a square of their size would.
func TestHostile(t *testing.T) {
	t.Parallel()
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const n = 20_000
	tests := []struct{ name, src string }{
		{"unknown attributes", "job \"j\" {\n" + repeat(n, "x%d = 1\n") + "}\n"},
		{"unknown blocks", "job \"j\" {\n" + repeat(n, "x%d {}\n") + "}\n"},
		{"unknown fields", `{"Job": {` + repeat(n, `"x%d": 1, `) + `"ID": "j"}}`},
		{"wrong fields", `{"Job": {"TaskGroups": [` + repeat(n, `{"Count": "%d"}, `) + `{}]}}`},
		{"locals", "locals {\n" + repeat(n, "x%d = 1\n") + "}\njob \"j\" {}\n"},
		{"chain of locals", "locals {\nx0 = 1\n" + repeat(n, "y%[1]d = try(local.y%[1]d0, 1)\n") + "}\njob \"j\" {}\n"},
		{"variables", "variables {\n" + repeat(n, "x%d = 1\n") + "}\njob \"j\" {}\n"},
		{"conditions", "job \"j\" {\n  priority = " + repeat(n, "true ? %d : ") + "1\n}\n"},
		{"templates", "job \"j\" {\n  name = \"" + strings.Repeat("${\"", 1000) + "\"\n}\n"},
		{"JSON lists", strings.Repeat("[", 100_000)},
		{"long name", "job \"j\" {\n" + strings.Repeat("x", 1<<20) + " = 1\n}\n"},
		{"long line", "job \"j\" { name = \"" + strings.Repeat("x", 1<<20) + "${var.x}\" }\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			_, err := parse("hostile", []byte(tt.src), Options{}, nil)
			if err != nil && len(err.Error()) > 64<<10 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %s", took)
			} else {
				t.Log(took)
			}
		})
	}
}
