package feasible

import (
	"strconv"
	"strings"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/scheduler/cluster"
)

// hasDevices reports whether the node has enough healthy devices for all tasks
// at once, whoever uses them now.
func (g *Group) hasDevices(n *model.Node) bool {
	_, ok := chooseDevices(g.tg, n, nil)
	return ok
}

// WantsDevices reports whether a task of the group asks for devices.
func WantsDevices(tg *model.TaskGroup) bool {
	for _, t := range tg.Tasks {
		if t.Resources != nil && len(t.Resources.Devices) > 0 {
			return true
		}
	}
	return false
}

// Devices chooses free, healthy instances for every task of a group that asks
// for some, preferring those that its device affinities prefer. It returns
// nothing when there are too few.
func Devices(tg *model.TaskGroup, n *cluster.Node) (map[string][]*model.AllocatedDevice, bool) {
	return chooseDevices(tg, n.Node, n.UsedDevices())
}

func chooseDevices(tg *model.TaskGroup, n *model.Node, used map[string]map[string]int) (map[string][]*model.AllocatedDevice, bool) {
	var all map[string][]*model.AllocatedDevice
	taken := map[string]bool{}
	for _, t := range tg.Tasks {
		if t.Resources == nil {
			continue
		}
		for _, ask := range t.Resources.Devices {
			if ask.Count == 0 {
				continue
			}
			d := chooseGroup(ask, n, used, taken)
			if d == nil {
				return nil, false
			}
			if all == nil {
				all = map[string][]*model.AllocatedDevice{}
			}
			all[t.Name] = append(all[t.Name], d)
		}
	}
	return all, true
}

// chooseGroup serves one ask from the best device group that has enough.
func chooseGroup(ask *model.RequestedDevice, n *model.Node, used map[string]map[string]int, taken map[string]bool) *model.AllocatedDevice {
	if n.NodeResources == nil {
		return nil
	}
	var best *model.AllocatedDevice
	bestScore := 0.0
	for _, d := range n.NodeResources.Devices {
		if !matchesDevice(ask, d) {
			continue
		}
		group := d.Vendor + "/" + d.Type + "/" + d.Name
		var ids []string
		for _, i := range d.Instances {
			if i.Healthy && used[group][i.ID] == 0 && !taken[group+"/"+i.ID] && uint64(len(ids)) < ask.Count {
				ids = append(ids, i.ID)
			}
		}
		if uint64(len(ids)) < ask.Count {
			continue
		}
		if s := deviceAffinity(ask, d); best == nil || s > bestScore {
			best, bestScore = &model.AllocatedDevice{Vendor: d.Vendor, Type: d.Type, Name: d.Name, DeviceIDs: ids}, s
		}
	}
	if best != nil {
		for _, id := range best.DeviceIDs {
			taken[best.Vendor+"/"+best.Type+"/"+best.Name+"/"+id] = true
		}
	}
	return best
}

// DeviceScore is the share of device affinities that the chosen devices meet;
// ok is false when no task has any.
func DeviceScore(tg *model.TaskGroup, n *model.Node, chosen map[string][]*model.AllocatedDevice) (score float64, ok bool) {
	met, weights := 0.0, 0.0
	for _, t := range tg.Tasks {
		if t.Resources == nil {
			continue
		}
		i := 0
		for _, ask := range t.Resources.Devices {
			if ask.Count == 0 {
				continue
			}
			total := 0.0
			for _, a := range ask.Affinities {
				total += max(float64(a.Weight), -float64(a.Weight))
			}
			if total > 0 && i < len(chosen[t.Name]) {
				c := chosen[t.Name][i]
				for _, d := range n.NodeResources.Devices {
					if d.Vendor == c.Vendor && d.Type == c.Type && d.Name == c.Name {
						met += deviceAffinity(ask, d) * total
					}
				}
				weights += total
			}
			i++
		}
	}
	if weights == 0 {
		return 0, false
	}
	return met / weights, true
}

func deviceAffinity(ask *model.RequestedDevice, d *model.NodeDevice) float64 {
	sum, total := 0.0, 0.0
	for _, a := range ask.Affinities {
		w := float64(a.Weight)
		total += max(w, -w)
		if deviceHolds(d, a.LTarget, a.Operand, a.RTarget) {
			sum += w
		}
	}
	if total == 0 {
		return 0
	}
	return sum / total
}

func matchesDevice(ask *model.RequestedDevice, d *model.NodeDevice) bool {
	parts := strings.SplitN(ask.Name, "/", 3)
	switch len(parts) {
	case 1:
		if parts[0] != d.Type {
			return false
		}
	case 2:
		if parts[0] != d.Vendor || parts[1] != d.Type {
			return false
		}
	default:
		if parts[0] != d.Vendor || parts[1] != d.Type || parts[2] != d.Name {
			return false
		}
	}
	for _, c := range ask.Constraints {
		if !deviceHolds(d, c.LTarget, c.Operand, c.RTarget) {
			return false
		}
	}
	return true
}

func deviceHolds(d *model.NodeDevice, l, operand, r string) bool {
	lv, lok := deviceTarget(d, l)
	rv, rok := deviceTarget(d, r)
	if lok && rok {
		if a, fa, ok := quantity(lv); ok {
			if b, fb, ok := quantity(rv); ok && fa == fb {
				lv, rv = strconv.FormatFloat(a, 'f', -1, 64), strconv.FormatFloat(b, 'f', -1, 64)
			}
		}
	}
	return Holds(operand, lv, rv, lok, rok)
}

func deviceTarget(d *model.NodeDevice, text string) (string, bool) {
	if !strings.HasPrefix(text, "${") || !strings.HasSuffix(text, "}") {
		return text, true
	}
	switch name := text[2 : len(text)-1]; name {
	case "device.vendor":
		return d.Vendor, true
	case "device.type":
		return d.Type, true
	case "device.model":
		return d.Name, true
	case "device.ids":
		ids := make([]string, len(d.Instances))
		for i := range d.Instances {
			ids[i] = d.Instances[i].ID
		}
		return strings.Join(ids, ","), true
	default:
		key, ok := strings.CutPrefix(name, "device.attr.")
		if !ok {
			return "", false
		}
		a := d.Attributes[key]
		switch {
		case a == nil:
		case a.String != nil:
			return *a.String, true
		case a.Int != nil:
			return strconv.FormatInt(*a.Int, 10) + a.Unit, true
		case a.Float != nil:
			return strconv.FormatFloat(*a.Float, 'f', -1, 64) + a.Unit, true
		case a.Bool != nil:
			return strconv.FormatBool(*a.Bool), true
		}
		return "", false
	}
}

// unitScale gives every unit its family and its size in the family's base.
var unitScale = func() map[string]struct {
	family string
	scale  float64
} {
	m := map[string]struct {
		family string
		scale  float64
	}{}
	add := func(unit, family string, scale float64) {
		m[unit] = struct {
			family string
			scale  float64
		}{family, scale}
	}
	binary, decimal := 1.0, 1.0
	for _, prefix := range []string{"K", "M", "G", "T", "P", "E"} {
		binary *= 1024
		decimal *= 1000
		small := prefix
		if prefix == "K" {
			small = "k"
		}
		add(prefix+"iB", "bytes", binary)
		add(prefix+"iB/s", "bytes/s", binary)
		add(small+"B", "bytes", decimal)
		add(small+"B/s", "bytes/s", decimal)
	}
	add("B", "bytes", 1)
	add("B/s", "bytes/s", 1)
	add("MHz", "hertz", 1e6)
	add("GHz", "hertz", 1e9)
	add("mW", "watts", 1e-3)
	add("W", "watts", 1)
	add("kW", "watts", 1e3)
	add("MW", "watts", 1e6)
	add("GW", "watts", 1e9)
	add("", "", 1)
	return m
}()

// quantity reads a number with an optional unit, such as 11 GiB.
func quantity(text string) (value float64, family string, ok bool) {
	end := strings.LastIndexAny(text, "0123456789.") + 1
	n, err := strconv.ParseFloat(strings.TrimSpace(text[:end]), 64)
	if err != nil {
		return 0, "", false
	}
	u, known := unitScale[strings.TrimSpace(text[end:])]
	if !known {
		return 0, "", false
	}
	return n * u.scale, u.family, true
}

// HasDeviceAffinities reports whether a task prefers some devices.
func HasDeviceAffinities(tg *model.TaskGroup) bool {
	for _, t := range tg.Tasks {
		if t.Resources == nil {
			continue
		}
		for _, d := range t.Resources.Devices {
			if len(d.Affinities) > 0 {
				return true
			}
		}
	}
	return false
}
