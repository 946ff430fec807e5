package fsm

import (
	"maps"
	"slices"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// SchedulerConfig replaces the scheduler's settings; with CAS only if
// Config.ModifyIndex is the stored one. It answers a bool: whether it did.
type SchedulerConfig struct {
	Config *model.SchedulerConfiguration
	CAS    bool
}

// Kind says which command it is.
func (*SchedulerConfig) Kind() Kind { return KindSchedulerConfig }

func (c *SchedulerConfig) apply(t *state.Txn, _ uint64) (any, error) {
	return t.SetSchedulerConfig(c.Config, c.CAS), nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
