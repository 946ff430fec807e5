package model

import "slices"

// Notes on a diff: what a change makes the scheduler do. The counts of a group
// are what it does; the notes on tasks are a rule of thumb that can disagree.
const (
	forcesCreate        = "forces create"
	forcesDestroy       = "forces destroy"
	forcesInplace       = "forces in-place update"
	forcesDestructive   = "forces create/destroy update"
	updateIgnore        = "ignore"
	updateCreate        = "create"
	updateDestroy       = "destroy"
	updateMigrate       = "migrate"
	updateCanary        = "canary"
	updateInplace       = "in-place update"
	updateCreateDestroy = "create/destroy update"
)

// destructiveObjects are the blocks of a task whose change is noted as
// replacing the allocation.
var destructiveObjects = []string{
	"Config", "Resources", "LogConfig", "Template", "Artifact", "Identity", "Action", "Vault", "Consul",
	"Secret", "DispatchPayload", "VolumeMount",
}

func annotate(d *JobDiff, plan *PlanAnnotations) {
	for _, g := range d.TaskGroups {
		if plan != nil {
			if u := plan.DesiredTGUpdates[g.Name]; u != nil {
				g.Updates = updateCounts(u)
			}
		}
		for _, f := range g.Fields {
			if f.Name == "Count" && f.Type != DiffNone {
				note := forcesCreate
				if g.Type == DiffDeleted || len(f.New) < len(f.Old) || len(f.New) == len(f.Old) && f.New < f.Old {
					note = forcesDestroy
				}
				f.Annotations = append(f.Annotations, note)
			}
		}
		for _, t := range g.Tasks {
			if note := taskNote(g, t); note != "" {
				t.Annotations = append(t.Annotations, note)
			}
		}
	}
}

func updateCounts(u *DesiredUpdates) map[string]uint64 {
	counts := map[string]uint64{
		updateIgnore: u.Ignore, updateCreate: u.Place, updateDestroy: u.Stop, updateMigrate: u.Migrate,
		updateCanary: u.Canary, updateInplace: u.InPlaceUpdate, updateCreateDestroy: u.DestructiveUpdate,
	}
	for k, n := range counts {
		if n == 0 {
			delete(counts, k)
		}
	}
	return counts
}

func taskNote(g *TaskGroupDiff, t *TaskDiff) string {
	switch {
	case t.Type == DiffNone:
		return ""
	case g.Type == DiffAdded:
		return forcesCreate
	case g.Type == DiffDeleted:
		return forcesDestroy
	case t.Type == DiffAdded || t.Type == DiffDeleted:
		return forcesDestructive
	}
	for _, f := range t.Fields {
		if f.Name != "KillTimeout" {
			return forcesDestructive
		}
	}
	for _, o := range t.Objects {
		if slices.Contains(destructiveObjects, o.Name) {
			return forcesDestructive
		}
	}
	return forcesInplace
}
