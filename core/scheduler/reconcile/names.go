package reconcile

import (
	"cmp"
	"slices"

	"github.com/seraiproject/serai/core/model"
)

// names hands out the names of a group's allocations.
type names struct {
	job   *model.Job
	group string
	count int
	inUse map[int]bool
	next  int
}

func newNames(job *model.Job, group string, count int) *names {
	return &names{job: job, group: group, count: count, inUse: map[int]bool{}}
}

func (n *names) take(allocs ...*model.Allocation) {
	for _, a := range allocs {
		n.inUse[a.Index()] = true
	}
}

// free returns the lowest index that is not in use and takes it.
func (n *names) free() int {
	for n.inUse[n.next] {
		n.next++
	}
	n.inUse[n.next] = true
	return n.next
}

func (n *names) of(index int) string {
	name := n.job.Name
	if name == "" {
		name = string(n.job.ID)
	}
	return model.AllocName(model.JobID(name), n.group, index)
}

// canaries chooses names for canaries: those of allocations that are to be
// replaced, then free ones, then ones beyond the count.
func (n *names) canaries(want int, have []*model.Allocation, replaced []*model.Allocation) []int {
	taken := map[int]bool{}
	for _, a := range have {
		taken[a.Index()] = true
	}
	var chosen []int
	add := func(i int) {
		if len(chosen) < want && i >= 0 && !taken[i] {
			taken[i] = true
			chosen = append(chosen, i)
		}
	}
	for _, a := range replaced {
		if i := a.Index(); i < n.count {
			add(i)
		}
	}
	for i := 0; i < n.count && len(chosen) < want; i++ {
		if !n.inUse[i] {
			add(i)
		}
	}
	for i := n.count; len(chosen) < want; i++ {
		add(i)
	}
	return chosen
}

// byIndex sorts allocations by name, older ones first among equals.
func byIndex(allocs []*model.Allocation) {
	type indexed struct {
		index int
		alloc *model.Allocation
	}
	list := make([]indexed, len(allocs))
	for i, a := range allocs {
		list[i] = indexed{a.Index(), a}
	}
	slices.SortFunc(list, func(x, y indexed) int {
		return cmp.Or(cmp.Compare(x.index, y.index), cmp.Compare(x.alloc.CreateIndex, y.alloc.CreateIndex),
			cmp.Compare(x.alloc.ID, y.alloc.ID))
	})
	for i := range list {
		allocs[i] = list[i].alloc
	}
}
