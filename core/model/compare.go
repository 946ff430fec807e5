package model

import (
	"reflect"
	"slices"
	"strings"
)

// SpecEquals reports whether two canonical jobs ask for the same: everything
// that a user writes, and Stop, but not what the servers keep about a job. The
// order of ports does not matter.
func (j *Job) SpecEquals(o *Job) bool {
	if j == nil || o == nil {
		return j == o
	}
	return reflect.DeepEqual(j.spec(), o.spec())
}

// spec returns a copy of j without what the servers keep about it.
func (j *Job) spec() *Job {
	c := j.Clone()
	c.Status, c.StatusDescription, c.Stable, c.Version, c.SubmitTime = "", "", false, 0, 0
	c.CreateIndex, c.ModifyIndex, c.JobModifyIndex, c.VersionTag = 0, 0, 0, nil
	c.NomadTokenID = ""
	for _, g := range c.TaskGroups {
		sortPorts(g.Networks)
		if g.Scaling != nil {
			g.Scaling.ID, g.Scaling.CreateIndex, g.Scaling.ModifyIndex = "", 0, 0
		}
		for _, t := range g.Tasks {
			sortPorts(t.Resources.Networks)
		}
	}
	return c
}

func sortPorts(networks []*NetworkResource) {
	for _, n := range networks {
		for _, ports := range [][]Port{n.ReservedPorts, n.DynamicPorts} {
			slices.SortStableFunc(ports, func(a, b Port) int { return strings.Compare(a.Label, b.Label) })
		}
	}
}
