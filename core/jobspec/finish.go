package jobspec

import (
	"fmt"
	"strings"
)

// finishJob names the job, wraps tasks that stand directly in it in groups of
// their own, and hands vault and secret blocks down to the tasks.
func finishJob(d *decoder, n *node) {
	if !n.has("name") {
		n.out["Name"] = n.label
	}
	groups := make([]any, 0, len(n.children))
	for _, c := range n.children {
		switch c.row.name {
		case "group":
			groups = append(groups, c.out)
			for _, t := range c.each("task") {
				inherit(t, c, n)
			}
		case "task":
			g := groupSpec.blank()
			g["Name"] = c.label
			g["Tasks"] = []any{c.out}
			groups = append(groups, g)
			inherit(c, n)
		}
	}
	if len(groups) > 0 {
		n.out["TaskGroups"] = groups
	}
}

// inherit gives a task the vault block of the nearest of outer, given from
// the inside out, and the secrets of all of them after its own.
func inherit(task *node, outer ...*node) {
	var secrets []any
	for _, s := range task.each("secret") {
		secrets = append(secrets, s.out)
	}
	for _, n := range outer {
		if vault := n.each("vault"); len(vault) > 0 && task.out["Vault"] == nil {
			task.out["Vault"] = vault[0].out
		}
		for _, s := range n.each("secret") {
			secrets = append(secrets, s.out)
		}
	}
	if len(secrets) > 0 {
		task.out["Secrets"] = secrets
	}
}

// finishTask routes identities and drops blocks that say nothing.
func finishTask(d *decoder, n *node) {
	var named []any
	var own *node
	for _, c := range n.each("identity") {
		if name := c.text("name"); name != "" && name != "default" {
			named = append(named, c.out)
			continue
		}
		if own != nil {
			d.warnf(c.rng, "the task's default identity is defined twice; this one wins")
		}
		own = c
	}
	if own != nil {
		n.out["Identity"] = own.out
	}
	if named != nil {
		n.out["Identities"] = named
	}

	var mounts []any
	for _, c := range n.each("volume_mount") {
		if len(c.vals) > 0 {
			mounts = append(mounts, c.out)
		}
	}
	n.out["VolumeMounts"] = nil
	if mounts != nil {
		n.out["VolumeMounts"] = mounts
	}
	for _, c := range n.each("schedule") {
		if len(c.children) == 0 {
			n.out["Schedule"] = nil
		}
	}
}

func finishPeriodic(d *decoder, n *node) {
	if n.has("cron") || n.has("crons") {
		n.out["SpecType"] = "cron"
	}
}

func finishGroupScaling(d *decoder, n *node) {
	if t := n.text("type"); t != "" && t != "horizontal" {
		d.errorf(n.at["type"], "type: the scaling of a group can only be \"horizontal\"")
	}
	n.out["Type"] = "horizontal"
}

func finishTaskScaling(d *decoder, n *node) {
	switch n.label {
	case "cpu", "mem":
		n.out["Type"] = "vertical_" + n.label
	case "": // reported already
	default:
		d.errorf(n.rng, "the scaling of a task is named \"cpu\" or \"mem\", not %s", quoted(n.label))
	}
}

// finishNetwork sorts ports by whether the job or the scheduler picks them.
func finishNetwork(d *decoder, n *node) {
	var dynamic, reserved []any
	for _, c := range n.children {
		switch c.row.name {
		case "port":
			if v, _ := c.out["Value"].(int64); v > 0 {
				reserved = append(reserved, c.out)
			} else {
				delete(c.out, "Value")
				dynamic = append(dynamic, c.out)
			}
		case "reserved_ports":
			reserved = append(reserved, c.out)
		}
	}
	n.out["DynamicPorts"], n.out["ReservedPorts"] = nil, nil
	if dynamic != nil {
		n.out["DynamicPorts"] = dynamic
	}
	if reserved != nil {
		n.out["ReservedPorts"] = reserved
	}
}

// finishConstraint applies the shorthands of a constraint.
func finishConstraint(d *decoder, n *node) {
	operands(d, n, "version", "semver", "regexp", "set_contains", "distinct_hosts", "distinct_property")
	for _, name := range []string{"set_contains_any", "set_contains_all", "is_set", "is_not_set"} {
		if rng, set := n.at[name]; set {
			d.warnf(rng, "%s has no effect as an attribute of constraint: write operator = %q", name, name)
		}
	}
}

// finishAffinity does so for an affinity.
func finishAffinity(d *decoder, n *node) {
	operands(d, n, "version", "semver", "regexp", "set_contains", "set_contains_any", "set_contains_all")
}

// operands sets the operand, where the last shorthand used wins.
func operands(d *decoder, n *node, shorthands ...string) {
	var used []string
	for _, name := range shorthands {
		v, set := n.vals[name]
		if !set {
			continue
		}
		used = append(used, name)
		n.out["Operand"] = name
		switch name {
		case "distinct_hosts":
			n.out["RTarget"] = fmt.Sprint(v)
		case "distinct_property":
			n.out["LTarget"] = v
		default:
			n.out["RTarget"] = v
		}
	}
	if len(used) > 1 {
		d.warnf(n.rng, "%s says %s at once; only %s counts", n.spec.name, strings.Join(used, " and "), used[len(used)-1])
	}
	if n.out["Operand"] == "" {
		n.out["Operand"] = "="
	}
}
