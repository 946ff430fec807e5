package state

import (
	"iter"

	"github.com/seraiproject/serai/core/model"
)

// Namespace returns a namespace, or nil.
func (s *Snapshot) Namespace(ws WatchSet, name string) *model.Namespace {
	n, _ := first[*model.Namespace](s, ws, TableNamespaces, byID, key1(name))
	return n
}

// Namespaces returns the namespaces whose name starts with prefix, by name.
func (s *Snapshot) Namespaces(ws WatchSet, prefix string) iter.Seq[*model.Namespace] {
	return rows[*model.Namespace](s, ws, TableNamespaces, byID, prefix1(prefix))
}

// NodePool returns a node pool, or nil.
func (s *Snapshot) NodePool(ws WatchSet, name string) *model.NodePool {
	p, _ := first[*model.NodePool](s, ws, TableNodePools, byID, key1(name))
	return p
}

// NodePools returns the node pools whose name starts with prefix, by name.
func (s *Snapshot) NodePools(ws WatchSet, prefix string) iter.Seq[*model.NodePool] {
	return rows[*model.NodePool](s, ws, TableNodePools, byID, prefix1(prefix))
}

// DefaultSchedulerConfig is what a region starts with.
func DefaultSchedulerConfig(index uint64) *model.SchedulerConfiguration {
	return &model.SchedulerConfiguration{
		SchedulerAlgorithm: "binpack",
		PreemptionConfig:   model.PreemptionConfig{SystemSchedulerEnabled: true},
		CreateIndex:        index, ModifyIndex: index,
	}
}

// SchedulerConfig returns the scheduler's settings; never nil.
func (s *Snapshot) SchedulerConfig(ws WatchSet) *model.SchedulerConfiguration {
	if c, ok := first[*model.SchedulerConfiguration](s, ws, TableConfig, byID, clusterKey); ok {
		return c
	}
	return DefaultSchedulerConfig(1)
}

// SetSchedulerConfig replaces the scheduler's settings. With cas only if
// c.ModifyIndex is the stored one; it reports whether it did.
func (t *Txn) SetSchedulerConfig(c *model.SchedulerConfiguration, cas bool) bool {
	old := t.SchedulerConfig(nil)
	if cas && old.ModifyIndex != c.ModifyIndex {
		return false
	}
	next := *c
	next.CreateIndex, next.ModifyIndex = old.CreateIndex, t.now
	t.put(TableConfig, &next)
	t.changes.Config = &next
	return true
}
