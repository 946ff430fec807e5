package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ParsePorts reads a list of ports and ranges, "22,8000-8010", into ascending
// order without duplicates.
func ParsePorts(s string) ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		lo, err1 := strconv.Atoi(strings.TrimSpace(from))
		hi, err2 := strconv.Atoi(strings.TrimSpace(to))
		if err1 != nil || err2 != nil || lo < 1 || hi > 65535 || lo > hi {
			return nil, fmt.Errorf("%q is neither a port nor a range such as 8000-8010", part)
		}
		for p := lo; p <= hi; p++ {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
