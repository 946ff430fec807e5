// Package feasible says whether a node may run a task group, and why not.
//
// What follows from the kind of a node alone (see cluster.Kinds) is worked out
// once per kind; only conditions on unique attributes are asked of every node.
// What depends on use, that is resources, ports and the job's other
// allocations, is not decided here.
package feasible

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// Reasons for which nodes are filtered, besides the constraints themselves.
const (
	ReasonDrivers     = "missing drivers"
	ReasonDevices     = "missing devices"
	ReasonNetwork     = "missing network"
	ReasonHostVolumes = "missing compatible host volumes"
)

// A Group is a task group made ready to be asked of many nodes of one view.
// It is not safe for concurrent use.
type Group struct {
	// DistinctHosts is set when no two allocations may share a node: those
	// of the job, or (GroupHosts) those of the group.
	DistinctHosts, GroupHosts bool
	// Properties limit how many allocations share a node property.
	Properties []DistinctProperty
	// Escaped is set when the job looks at unique attributes, so that
	// eligibility does not follow from the class of a node.
	Escaped bool

	job     []condition // of the job
	group   []condition // of the group and its tasks
	unique  []condition
	tg      *model.TaskGroup
	drivers []string

	affinities []weighted
	weights    float64
	perNode    bool // an affinity looks at unique attributes

	kinds    *cluster.Kinds
	verdicts []verdict // by kind
}

type weighted struct {
	condition
	weight float64
}

type verdict struct {
	known    bool
	reason   string
	lasting  bool // the reason follows from the class
	affinity float64
}

// DistinctProperty is a distinct_property constraint.
type DistinctProperty struct {
	Value   func(*model.Node) (string, bool)
	Limit   int
	OfGroup bool // counts the group's allocations, not the job's
	Key     string
}

// New prepares a group of a job for the nodes of a view.
func New(job *model.Job, tg *model.TaskGroup, kinds *cluster.Kinds) *Group {
	g := &Group{tg: tg, kinds: kinds, verdicts: make([]verdict, kinds.Len)}
	for _, c := range job.Constraints {
		g.constrain(c, &g.job, false)
	}
	for _, c := range tg.Constraints {
		g.constrain(c, &g.group, true)
	}
	for _, a := range job.Affinities {
		g.prefer(a)
	}
	for _, a := range tg.Affinities {
		g.prefer(a)
	}
	for _, t := range tg.Tasks {
		for _, c := range t.Constraints {
			g.constrain(c, &g.group, true)
		}
		for _, a := range t.Affinities {
			g.prefer(a)
		}
		if !slices.Contains(g.drivers, t.Driver) {
			g.drivers = append(g.drivers, t.Driver)
		}
	}
	return g
}

func (g *Group) constrain(c *model.Constraint, into *[]condition, ofGroup bool) {
	switch c.Operand {
	case model.OpDistinctHosts:
		if on, err := strconv.ParseBool(c.RTarget); err == nil && !on {
			return
		}
		if ofGroup {
			g.GroupHosts = true
		} else {
			g.DistinctHosts = true
		}
		return
	case model.OpDistinctProperty:
		limit, err := strconv.Atoi(c.RTarget)
		if err != nil || limit < 1 {
			limit = 1
		}
		g.Properties = append(g.Properties, DistinctProperty{
			Value: Property(c.LTarget), Limit: limit, OfGroup: ofGroup, Key: strings.TrimSpace(c.String()),
		})
		return
	}
	cond := newCondition(c.LTarget, c.Operand, c.RTarget)
	if cond.unique() {
		g.unique = append(g.unique, cond)
		g.Escaped = true
		return
	}
	*into = append(*into, cond)
}

func (g *Group) prefer(a *model.Affinity) {
	w := weighted{newCondition(a.LTarget, a.Operand, a.RTarget), float64(a.Weight)}
	g.affinities = append(g.affinities, w)
	g.weights += max(w.weight, -w.weight)
	g.perNode = g.perNode || w.unique()
}

// HasAffinities reports whether the group prefers some nodes.
func (g *Group) HasAffinities() bool { return g.weights > 0 }

// Reason returns why the node cannot run the group, or nothing. It counts
// under that text in AllocMetric.ConstraintFiltered.
func (g *Group) Reason(ordinal int32, n *cluster.Node) string {
	if r := g.ofKind(ordinal, n).reason; r != "" {
		return r
	}
	for i := range g.unique {
		if !g.unique[i].holds(n.Node) {
			return g.unique[i].key
		}
	}
	return ""
}

// Affinity is the node's share of the weights of all affinities, from -1 to 1.
func (g *Group) Affinity(ordinal int32, n *cluster.Node) float64 {
	if !g.perNode {
		return g.ofKind(ordinal, n).affinity
	}
	return g.affinityOf(n.Node)
}

func (g *Group) affinityOf(n *model.Node) float64 {
	if g.weights == 0 {
		return 0
	}
	sum := 0.0
	for i := range g.affinities {
		if g.affinities[i].holds(n) {
			sum += g.affinities[i].weight
		}
	}
	return sum / g.weights
}

func (g *Group) ofKind(ordinal int32, n *cluster.Node) *verdict {
	v := &g.verdicts[g.kinds.Of[ordinal]]
	if !v.known {
		v.known = true
		v.reason, v.lasting = g.check(n)
		v.affinity = g.affinityOf(n.Node)
	}
	return v
}

// Eligibility says of every class of node that was looked at whether some node
// of it can run the group, into the map. A class whose nodes lack something that
// can come without the class changing (a driver that is healthy, a volume, a
// network) is left out, which leaves it open.
func (g *Group) Eligibility(v *cluster.View, into map[string]bool) {
	seen := make([]bool, len(g.verdicts))
	v.All(func(o int32, n *cluster.Node) {
		k := g.kinds.Of[o]
		if seen[k] || !g.verdicts[k].known {
			return
		}
		seen[k] = true
		class := n.Node.ComputedClass
		if class == "" {
			class = cluster.ComputeClass(n.Node)
		}
		if eligible := g.verdicts[k].reason == ""; eligible || g.verdicts[k].lasting {
			into[class] = into[class] || eligible
		}
	})
}

func (g *Group) check(n *cluster.Node) (reason string, lasting bool) {
	for i := range g.job {
		if !g.job[i].holds(n.Node) {
			return g.job[i].key, true
		}
	}
	for i := range g.group {
		if !g.group[i].holds(n.Node) {
			return g.group[i].key, true
		}
	}
	for _, d := range g.drivers {
		if !hasDriver(n.Node, d) {
			return ReasonDrivers, false
		}
	}
	if !g.hasDevices(n.Node) {
		return ReasonDevices, false
	}
	if r := g.network(n); r != "" {
		return r, false
	}
	return g.volumes(n.Node), false
}

func hasDriver(n *model.Node, name string) bool {
	if d := n.Drivers[name]; d != nil {
		return d.Detected && d.Healthy
	}
	on, err := strconv.ParseBool(n.Attributes["driver."+name])
	return err == nil && on
}

func (g *Group) network(n *cluster.Node) string {
	for _, w := range g.tg.Networks {
		switch w.Mode {
		case "", "host", "none":
		default:
			if !offersNetwork(n.Node, w.Mode) {
				return ReasonNetwork
			}
		}
		for _, ports := range [][]model.Port{w.DynamicPorts, w.ReservedPorts} {
			for _, p := range ports {
				if !n.HasHostNetwork(p.HostNetwork) {
					return fmt.Sprintf("missing host network %q for port %q", p.HostNetwork, p.Label)
				}
			}
		}
	}
	return ""
}

func offersNetwork(n *model.Node, mode string) bool {
	r := n.NodeResources
	if r == nil {
		return false
	}
	return slices.ContainsFunc(r.NodeNetworks, func(w *model.NodeNetwork) bool { return w.Mode == mode }) ||
		slices.ContainsFunc(r.Networks, func(w *model.NetworkResource) bool { return w.Mode == mode })
}

func (g *Group) volumes(n *model.Node) string {
	for _, v := range g.tg.Volumes {
		switch v.Type {
		case "host":
			if !v.PerAlloc && !hasVolume(n, v, v.Source) {
				return ReasonHostVolumes
			}
		case "csi":
			return "missing CSI volume " + v.Source
		default:
			return "missing compatible volumes"
		}
	}
	return ""
}

func hasVolume(n *model.Node, v *model.VolumeRequest, source string) bool {
	have := n.HostVolumes[source]
	return have != nil && (v.ReadOnly || !have.ReadOnly)
}

// PerAlloc reports whether allocations of the group need different volumes.
func (g *Group) PerAlloc() bool {
	for _, v := range g.tg.Volumes {
		if v.PerAlloc {
			return true
		}
	}
	return false
}

// HasVolumesOf reports whether the node has the volumes of the allocation with
// that index.
func (g *Group) HasVolumesOf(n *model.Node, index int) bool {
	for _, v := range g.tg.Volumes {
		if v.PerAlloc && !hasVolume(n, v, v.Source+"["+strconv.Itoa(index)+"]") {
			return false
		}
	}
	return true
}
