package exec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/capability"
)

// defaultCapabilities are what a task may have that does not ask for any, as
// far as the operator allows them.
var defaultCapabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// allCapabilities are those that the running kernel knows.
func allCapabilities() []string {
	known, err := capability.ListSupported()
	if err != nil {
		known = capability.ListKnown()
	}
	var names []string
	for _, c := range known {
		names = append(names, "CAP_"+strings.ToUpper(c.String()))
	}
	return names
}

// capabilitySet reads names in any of the usual spellings; "all" stands for
// every one of all. The result is sorted, without repetition.
func capabilitySet(names, all []string) ([]string, error) {
	known := allCapabilities()
	var set []string
	var unknown []string
	for _, name := range names {
		canonical := strings.ToUpper(strings.TrimSpace(name))
		if canonical == "ALL" {
			set = append(set, all...)
			continue
		}
		if !strings.HasPrefix(canonical, "CAP_") {
			canonical = "CAP_" + canonical
		}
		if !slices.Contains(known, canonical) {
			unknown = append(unknown, name)
			continue
		}
		set = append(set, canonical)
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("unknown capability %s", strings.Join(unknown, ", "))
	}
	slices.Sort(set)
	return slices.Compact(set), nil
}

// taskCapabilities are what a task may have, and what a user other than root
// has from the start: what its job asked for by name, and the right to bind
// low ports, which takes nothing from anyone.
func taskCapabilities(allowed, added, dropped []string) (may, ambient []string) {
	for _, name := range allowed {
		wanted := slices.Contains(defaultCapabilities, name) || slices.Contains(added, name)
		if !wanted || slices.Contains(dropped, name) {
			continue
		}
		may = append(may, name)
		if name == "CAP_NET_BIND_SERVICE" || slices.Contains(added, name) {
			ambient = append(ambient, name)
		}
	}
	return may, ambient
}

func shortCapability(name string) string {
	return strings.ToLower(strings.TrimPrefix(name, "CAP_"))
}

func shortCapabilities(names []string) []string {
	short := make([]string, len(names))
	for i, name := range names {
		short[i] = shortCapability(name)
	}
	return short
}
