package feasible

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// target is one side of a constraint: a literal, or a property of the node.
type target struct {
	literal string
	value   func(*model.Node) (string, bool) // nil: literal
	unique  bool                             // differs among nodes of one class
}

var nodeTargets = map[string]struct {
	value  func(*model.Node) string
	unique bool
}{
	"node.unique.id":   {func(n *model.Node) string { return string(n.ID) }, true},
	"node.unique.name": {func(n *model.Node) string { return n.Name }, true},
	"node.datacenter":  {func(n *model.Node) string { return n.Datacenter }, false},
	"node.class":       {func(n *model.Node) string { return n.NodeClass }, false},
	"node.pool":        {func(n *model.Node) string { return n.NodePool }, false},
}

// parseTarget reads a side of a constraint. Only a text that is one reference
// as a whole, ${…}, is resolved; any other text stands for itself.
func parseTarget(text string) target {
	if !strings.HasPrefix(text, "${") || !strings.HasSuffix(text, "}") {
		return target{literal: text}
	}
	name := text[2 : len(text)-1]
	if t, ok := nodeTargets[name]; ok {
		return target{unique: t.unique, value: func(n *model.Node) (string, bool) { return t.value(n), true }}
	}
	if key, ok := strings.CutPrefix(name, "attr."); ok {
		return target{unique: cluster.IsUnique(key), value: func(n *model.Node) (string, bool) {
			v, ok := n.Attributes[key]
			return v, ok
		}}
	}
	if key, ok := strings.CutPrefix(name, "meta."); ok {
		return target{unique: cluster.IsUnique(key), value: func(n *model.Node) (string, bool) {
			v, ok := n.Meta[key]
			return v, ok
		}}
	}
	return target{value: func(*model.Node) (string, bool) { return "", false }}
}

func (t target) of(n *model.Node) (string, bool) {
	if t.value == nil {
		return t.literal, true
	}
	return t.value(n)
}

// Property returns the value of an interpolation target such as ${meta.rack}.
// A text that is no reference is taken as an attribute's name.
func Property(attribute string) func(*model.Node) (string, bool) {
	if !strings.HasPrefix(attribute, "${") {
		attribute = "${attr." + attribute + "}"
	}
	return parseTarget(attribute).of
}

// condition is a constraint or affinity made ready to be asked of many nodes.
type condition struct {
	left, right target
	match       func(l, r string, lok, rok bool) bool
	key         string // under which nodes it filtered are counted
}

func newCondition(l, operand, r string) condition {
	c := condition{left: parseTarget(l), right: parseTarget(r), key: l + " " + operand + " " + r}
	c.match = matcher(operand, c.right)
	return c
}

func (c *condition) unique() bool { return c.left.unique || c.right.unique }

func (c *condition) holds(n *model.Node) bool {
	l, lok := c.left.of(n)
	r, rok := c.right.of(n)
	return c.match(l, r, lok, rok)
}

// Holds evaluates an operand for two values that may be missing.
func Holds(operand, l, r string, lok, rok bool) bool {
	return matcher(operand, target{literal: r})(l, r, lok, rok)
}

// matcher returns the comparison that an operand stands for. What is costly to
// parse is parsed once when the right side is a literal.
func matcher(operand string, right target) func(l, r string, lok, rok bool) bool {
	both := func(f func(l, r string) bool) func(l, r string, lok, rok bool) bool {
		return func(l, r string, lok, rok bool) bool { return lok && rok && f(l, r) }
	}
	switch operand {
	case "", "=", "==", "is":
		return both(func(l, r string) bool { return l == r })
	case "!=", "not":
		return func(l, r string, lok, rok bool) bool { return (lok || rok) && (lok != rok || l != r) }
	case "<":
		return both(func(l, r string) bool { return compare(l, r) < 0 })
	case "<=":
		return both(func(l, r string) bool { return compare(l, r) <= 0 })
	case ">":
		return both(func(l, r string) bool { return compare(l, r) > 0 })
	case ">=":
		return both(func(l, r string) bool { return compare(l, r) >= 0 })
	case model.OpRegexp:
		compile := once(right, regexp.Compile)
		return both(func(l, r string) bool {
			re, err := compile(r)
			return err == nil && re.MatchString(l)
		})
	case model.OpVersion:
		parse := once(right, version.NewConstraint)
		return both(func(l, r string) bool {
			want, err := parse(r)
			if err != nil {
				return false
			}
			v, err := version.NewVersion(l)
			return err == nil && want.Check(v)
		})
	case model.OpSemver:
		parse := once(right, parseSemver)
		return both(func(l, r string) bool {
			want, err := parse(r)
			if err != nil {
				return false
			}
			v, err := version.NewSemver(l)
			return err == nil && want.holds(v)
		})
	case model.OpSetContains, model.OpSetContainsAll:
		split := once(right, splitSet)
		return both(func(l, r string) bool {
			want, _ := split(r)
			for _, w := range want {
				if !setHas(l, w) {
					return false
				}
			}
			return true
		})
	case model.OpSetContainsAny:
		split := once(right, splitSet)
		return both(func(l, r string) bool {
			want, _ := split(r)
			return slices.ContainsFunc(want, func(w string) bool { return setHas(l, w) })
		})
	case model.OpIsSet:
		return func(_, _ string, lok, _ bool) bool { return lok }
	case model.OpIsNotSet:
		return func(_, _ string, lok, _ bool) bool { return !lok }
	}
	return func(_, _ string, _, _ bool) bool { return false }
}

// once parses a literal right side a single time.
func once[T any](right target, parse func(string) (T, error)) func(string) (T, error) {
	if right.value != nil {
		return parse
	}
	v, err := parse(right.literal)
	return func(string) (T, error) { return v, err }
}

func splitSet(text string) ([]string, error) {
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts, nil
}

func setHas(set, want string) bool {
	for part := range strings.SplitSeq(set, ",") {
		if strings.TrimSpace(part) == want {
			return true
		}
	}
	return false
}

// compare orders integers and floats by value and other texts by bytes.
func compare(l, r string) int {
	if a, err := strconv.ParseInt(l, 10, 64); err == nil {
		if b, err := strconv.ParseInt(r, 10, 64); err == nil {
			return cmp.Compare(a, b)
		}
	}
	if a, err := strconv.ParseFloat(l, 64); err == nil {
		if b, err := strconv.ParseFloat(r, 64); err == nil {
			return cmp.Compare(a, b)
		}
	}
	return strings.Compare(l, r)
}

// semverRange is a comma-separated list of bounds; all must hold.
type semverRange []struct {
	operand string
	bound   *version.Version
}

func parseSemver(text string) (semverRange, error) {
	var all semverRange
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		digits := strings.IndexFunc(part, func(r rune) bool { return !strings.ContainsRune("<>=! ", r) })
		if digits < 0 {
			digits = len(part)
		}
		bound, err := version.NewSemver(part[digits:])
		if err != nil {
			return nil, err
		}
		all = append(all, struct {
			operand string
			bound   *version.Version
		}{strings.TrimSpace(part[:digits]), bound})
	}
	return all, nil
}

func (s semverRange) holds(v *version.Version) bool {
	for _, b := range s {
		c := v.Compare(b.bound)
		ok := false
		switch b.operand {
		case "", "=", "==":
			ok = c == 0
		case "!=":
			ok = c != 0
		case "<":
			ok = c < 0
		case "<=":
			ok = c <= 0
		case ">":
			ok = c > 0
		case ">=":
			ok = c >= 0
		}
		if !ok {
			return false
		}
	}
	return true
}
