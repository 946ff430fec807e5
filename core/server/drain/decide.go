package drain

import (
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// todo is what is to be done about draining nodes now.
type todo struct {
	migrate []*model.Allocation // to be replaced elsewhere
	stop    []*model.Allocation // to be stopped; their slots count as used
	done    []*model.Node
	next    time.Time // the next deadline; zero: none
}

// late reports whether a node's drain is forced by now.
func late(n *model.Node, now time.Time) bool {
	s := n.DrainStrategy
	return s.Deadline < 0 || !s.ForceDeadline.IsZero() && !now.Before(s.ForceDeadline)
}

// group names a task group whose allocations leave at a pace of their own.
type group struct {
	job  model.JobKey
	name string
}

// decide looks at the draining nodes. It depends on nothing but its arguments.
func decide(snap *state.Snapshot, ids []model.NodeID, now time.Time) todo {
	var t todo
	leaving := map[group][]*model.Allocation{}
	for _, id := range ids {
		n := snap.Node(nil, id)
		if n == nil || n.DrainStrategy == nil {
			continue
		}
		force := late(n, now)
		if at := n.DrainStrategy.ForceDeadline; !force && !at.IsZero() && (t.next.IsZero() || at.Before(t.next)) {
			t.next = at
		}
		var system []*model.Allocation
		left := 0
		for a := range snap.AllocsByNode(nil, id) {
			if a.Terminal() || a.Job == nil {
				continue
			}
			switch a.Job.Type {
			case model.JobTypeSystem:
				system = append(system, a)
				continue
			case model.JobTypeService:
				left++
				if a.DesiredTransition.ShouldMigrate() {
					continue
				}
				if force {
					t.migrate = append(t.migrate, a)
				} else {
					k := group{a.JobKey(), a.TaskGroup}
					leaving[k] = append(leaving[k], a)
				}
			default:
				left++
				if force && !a.DesiredTransition.ShouldMigrate() {
					t.stop = append(t.stop, a)
				}
			}
		}
		if left > 0 {
			continue
		}
		pending := false
		if !n.DrainStrategy.IgnoreSystemJobs {
			for _, a := range system {
				pending = true
				if !a.DesiredTransition.ShouldMigrate() {
					t.migrate = append(t.migrate, a)
				}
			}
		}
		if !pending {
			t.done = append(t.done, n)
		}
	}
	for k, allocs := range leaving {
		t.migrate = append(t.migrate, pace(snap, k, allocs)...)
	}
	return t
}

// pace chooses which of a group's leaving allocations may go now: as many as
// leave enough healthy ones behind.
func pace(snap *state.Snapshot, k group, leaving []*model.Allocation) []*model.Allocation {
	job := snap.Job(nil, k.job)
	if job == nil {
		return leaving
	}
	g := job.Group(k.name)
	if g == nil {
		return leaving
	}
	parallel := 1
	if g.Migrate != nil {
		parallel = max(g.Migrate.MaxParallel, 1)
	}
	healthy := 0
	for a := range snap.AllocsByJob(nil, k.job) {
		if a.TaskGroup == k.name && !a.Terminal() && !a.DesiredTransition.ShouldMigrate() &&
			a.DeploymentStatus != nil && a.DeploymentStatus.Healthy != nil {
			healthy++
		}
	}
	room := healthy - (g.Count - parallel)
	var out []*model.Allocation
	for _, a := range leaving {
		if room <= 0 {
			break
		}
		if a.DeploymentStatus == nil || a.DeploymentStatus.Healthy == nil {
			continue // not moved before it is known how it does
		}
		out = append(out, a)
		room--
	}
	return out
}
