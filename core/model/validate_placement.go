package model

import (
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	version "github.com/hashicorp/go-version"
)

// constraints checks constraints; the distinct ones are not for tasks.
func (v *validation) constraints(list []*Constraint, distinct bool) {
	for _, c := range list {
		v.in("constraint", strings.TrimSpace(c.String()), func() {
			switch c.Operand {
			case OpDistinctHosts, OpDistinctProperty:
				if !distinct {
					v.fault("%s is not for tasks", c.Operand)
				}
				if c.Operand == OpDistinctProperty {
					v.target(c.LTarget)
				}
				return
			case OpIsSet, OpIsNotSet:
				if c.RTarget != "" {
					v.fault("%s takes no value", c.Operand)
				}
			default:
				v.operand(c.Operand, c.RTarget)
			}
			v.target(c.LTarget)
		})
	}
}

// operand checks a comparison and its right side.
func (v *validation) operand(operand, value string) {
	switch operand {
	case "=", "==", "is", "!=", "not", "<", "<=", ">", ">=",
		OpSetContains, OpSetContainsAll, OpSetContainsAny:
		if value == "" {
			v.fault("operator %q needs a value", operand)
		}
	case OpRegexp:
		if _, err := regexp.Compile(value); err != nil {
			v.fault("regular expression does not compile: %v", err)
		}
	case OpVersion:
		if _, err := version.NewConstraint(value); err != nil {
			v.fault("version constraint %q: %v", value, err)
		}
	case OpSemver:
		if strings.Contains(value, "~>") {
			v.fault("semver constraint %q: ~> is only for version", value)
		} else if _, err := semver.NewConstraint(value); err != nil {
			v.fault("semver constraint %q: %v", value, err)
		}
	default:
		v.fault("operator %q is not known", operand)
	}
}

// target checks the attribute that a constraint looks at.
func (v *validation) target(t string) {
	if t == "" {
		v.fault("needs an attribute")
		return
	}
	if !strings.HasPrefix(t, "$") {
		return
	}
	if !strings.HasPrefix(t, "${") || !strings.HasSuffix(t, "}") {
		v.fault("attribute %q must be of the form ${name}", t)
		return
	}
	name := t[2 : len(t)-1]
	switch name {
	case "node.unique.id", "node.datacenter", "node.unique.name", "node.class", "node.pool":
		return
	}
	if strings.HasPrefix(name, "attr.") || strings.HasPrefix(name, "meta.") {
		return
	}
	v.fault("unsupported attribute %q", t)
}

func (v *validation) affinities(list []*Affinity, jobType string) {
	if len(list) > 0 && jobType == JobTypeSystem {
		v.fault("system jobs have no affinity")
	}
	for _, a := range list {
		v.in("affinity", a.LTarget, func() {
			switch a.Operand {
			case OpDistinctHosts, OpDistinctProperty, OpIsSet, OpIsNotSet:
				v.fault("operator %q is not for affinities", a.Operand)
			default:
				v.operand(a.Operand, a.RTarget)
			}
			if a.LTarget == "" {
				v.fault("needs an attribute")
			}
			if a.Weight == 0 || a.Weight < -100 || a.Weight > 100 {
				v.fault("weight must be -100 to 100 and not 0, is %d", a.Weight)
			}
		})
	}
}

func (v *validation) spreads(list []*Spread, jobType string) {
	if len(list) > 0 && jobType == JobTypeSystem {
		v.fault("system jobs have no spread")
	}
	for _, s := range list {
		v.in("spread", s.Attribute, func() {
			if s.Attribute == "" {
				v.fault("needs an attribute")
			}
			if s.Weight < 1 || s.Weight > 100 {
				v.fault("weight must be 1 to 100, is %d", s.Weight)
			}
			seen, sum := map[string]bool{}, 0
			for _, t := range s.SpreadTarget {
				if seen[t.Value] {
					v.fault("target %q is given twice", t.Value)
				}
				seen[t.Value] = true
				if t.Percent > 100 {
					v.fault("target %q: percent must be 0 to 100, is %d", t.Value, t.Percent)
				}
				sum += int(t.Percent)
			}
			if sum > 100 {
				v.fault("the targets add up to %d percent, more than 100", sum)
			}
		})
	}
}
