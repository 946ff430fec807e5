package cli

import (
	"fmt"

	"github.com/seraiproject/serai/core/model"
)

// placementReasons explains why a group could not be placed, one line each.
func placementReasons(m *model.AllocMetric) []string {
	if m == nil {
		return nil
	}
	var out []string
	add := func(format string, args ...any) { out = append(out, "* "+fmt.Sprintf(format, args...)) }
	if m.NodesEvaluated == 0 {
		add("No nodes were eligible for evaluation")
	}
	for _, dc := range sortedKeys(m.NodesAvailable) {
		if m.NodesAvailable[dc] == 0 {
			add("No nodes are available in datacenter %q", dc)
		}
	}
	for _, class := range sortedKeys(m.ClassFiltered) {
		add("Class %q: %d nodes excluded by filter", class, m.ClassFiltered[class])
	}
	for _, c := range sortedKeys(m.ConstraintFiltered) {
		add("Constraint \"%s\": %d nodes excluded by filter", c, m.ConstraintFiltered[c])
	}
	if m.NodesExhausted > 0 {
		add("Resources exhausted on %d nodes", m.NodesExhausted)
	}
	for _, class := range sortedKeys(m.ClassExhausted) {
		add("Class %q exhausted on %d nodes", class, m.ClassExhausted[class])
	}
	for _, dim := range sortedKeys(m.DimensionExhausted) {
		add("Dimension \"%s\" exhausted on %d nodes", dim, m.DimensionExhausted[dim])
	}
	for _, q := range m.QuotaExhausted {
		add("Quota limit hit \"%s\"", q)
	}
	return out
}

// groupFailure is the headline of one group that could not be placed.
func groupFailure(group string, m *model.AllocMetric) string {
	n, noun := m.CoalescedFailures+1, "allocation"
	if n > 1 {
		noun = "allocations"
	}
	return fmt.Sprintf("Task Group %q (failed to place %d %s):", group, n, noun)
}
