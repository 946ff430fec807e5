package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// SGR sequences.
const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// paint colours text if colours are wanted.
func (s *session) paint(code, text string) string {
	if !s.color || text == "" || code == "" {
		return text
	}
	return code + text + reset
}

// width is the number of columns text takes, colours not counted.
func width(text string) int {
	for {
		i := strings.Index(text, "\x1b[")
		if i < 0 {
			return utf8.RuneCountInString(text)
		}
		j := strings.IndexByte(text[i:], 'm')
		if j < 0 {
			return utf8.RuneCountInString(text)
		}
		text = text[:i] + text[i+j+1:]
	}
}

// table lays out rows, the first being the header: columns are left-aligned and
// two spaces apart. It ends without a newline.
func table(rows ...[]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	var b strings.Builder
	for r, row := range rows {
		if r > 0 {
			b.WriteByte('\n')
		}
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-width(cell)+2))
			}
		}
	}
	return b.String()
}

// pairs lays out keys and values, "key = value", keys padded to the widest. It
// ends without a newline.
func pairs(keysAndValues ...string) string {
	widest := 0
	for i := 0; i < len(keysAndValues); i += 2 {
		widest = max(widest, width(keysAndValues[i]))
	}
	var lines []string
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		key := keysAndValues[i]
		lines = append(lines, key+strings.Repeat(" ", widest-width(key))+" = "+orNone(keysAndValues[i+1]))
	}
	return strings.Join(lines, "\n")
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

// clock is a time in the zone of the user, to the second; the zero time is N/A.
func (s *session) clock(t time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return t.In(s.deps.Location).Format(time.RFC3339)
}

func (s *session) clockNano(ns int64) string { return s.clock(fromNano(ns)) }

// fromNano is a Unix time; zero nanoseconds are the zero time.
func fromNano(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// ago is how far away a time is: "14s ago", "3m37s from now".
func (s *session) ago(t time.Time) string {
	if t.IsZero() {
		return "N/A"
	}
	return relative(t, s.now())
}

func relative(t, now time.Time) string {
	d, suffix := now.Sub(t), "ago"
	if d < 0 {
		d, suffix = -d, "from now"
	}
	return coarse(d) + " " + suffix
}

// coarse is a duration in its two largest units.
func coarse(d time.Duration) string {
	secs := int64(math.Round(d.Seconds()))
	units := []struct {
		name string
		secs int64
	}{{"y", 365 * 86400}, {"mo", 30 * 86400}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}}
	for i, u := range units {
		n := secs / u.secs
		if n == 0 {
			continue
		}
		out := fmt.Sprintf("%d%s", n, u.name)
		if i+1 < len(units) {
			if rest := (secs - n*u.secs) / units[i+1].secs; rest > 0 {
				out += fmt.Sprintf("%d%s", rest, units[i+1].name)
			}
		}
		return out
	}
	return "0s"
}

// when is a time as tables show it: relative, or absolute with -verbose.
func (s *session) when(ns int64, verbose bool) string {
	if verbose {
		return s.clockNano(ns)
	}
	return s.ago(fromNano(ns))
}

// bytesText is a size in IEC units.
func bytesText(n uint64) string { return humanize.IBytes(n) }

// mib is a number of MiB as a size.
func mib(n int64) string { return humanize.IBytes(uint64(max(n, 0)) << 20) }

// indent puts n spaces before every line that is not empty.
func indent(text string, n int) string {
	pad := strings.Repeat(" ", n)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if l != "" {
			lines[i] = pad + l
		}
	}
	return strings.Join(lines, "\n")
}

// wrap breaks text at spaces into lines of at most width columns.
func wrap(text string, columns int) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > columns {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}

// sortedKeys lists a map's keys in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
