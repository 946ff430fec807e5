package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seraiproject/serai/core/model"
)

// DefaultHostNetwork is the host network of ports that name none.
const DefaultHostNetwork = "default"

// portKey is an address of the node (by its position) and a port on it.
type portKey uint32

func keyOf(address, port int) portKey { return portKey(address)<<16 | portKey(port) }

// address is one address of a node, with the ports that are not for
// allocations.
type address struct {
	network  string
	ip       string
	device   string
	reserved []span
}

type span struct{ first, last int }

func inSpans(s []span, port int) bool {
	for _, r := range s {
		if port >= r.first && port <= r.last {
			return true
		}
	}
	return false
}

// parseSpans reads a list such as "22,80,8500-8600". Parts that are no number
// are left out: agents check their configuration.
func parseSpans(text string) []span {
	var spans []span
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.Atoi(strings.TrimSpace(first))
		if err != nil {
			continue
		}
		b := a
		if ranged {
			if b, err = strconv.Atoi(strings.TrimSpace(last)); err != nil {
				continue
			}
		}
		spans = append(spans, span{a, b})
	}
	return spans
}

func addressesOf(n *model.Node) []address {
	var all []address
	r := n.NodeResources
	if r != nil {
		for _, w := range r.NodeNetworks {
			for _, a := range w.Addresses {
				all = append(all, address{a.Alias, a.Address, w.Device, parseSpans(a.ReservedPorts)})
			}
		}
		if len(all) == 0 {
			for _, w := range r.Networks {
				if w.IP != "" {
					all = append(all, address{network: DefaultHostNetwork, ip: w.IP, device: w.Device})
				}
			}
		}
	}
	if len(all) == 0 {
		if ip := n.Attributes["unique.network.ip-address"]; ip != "" {
			all = append(all, address{network: DefaultHostNetwork, ip: ip})
		}
	}
	// A node whose addresses all have names of their own still serves ports
	// that name no network.
	if !slices.ContainsFunc(all, func(a address) bool { return a.network == DefaultHostNetwork || a.network == "" }) {
		for i := range all {
			c := all[i]
			c.network = DefaultHostNetwork
			all = append(all, c)
		}
	}
	for i := range all {
		if all[i].network == "" {
			all[i].network = DefaultHostNetwork
		}
	}
	return all
}

// position finds an address by its IP. Ports of addresses that the node no
// longer has count on the first one, so that they stay taken.
func (h *hardware) position(ip string) int {
	for i := range h.addresses {
		if h.addresses[i].ip == ip {
			return i
		}
	}
	return 0
}

// HasHostNetwork reports whether the node has an address on that network.
func (h *hardware) HasHostNetwork(name string) bool {
	if name == "" || name == DefaultHostNetwork {
		return true
	}
	return slices.ContainsFunc(h.addresses, func(a address) bool { return a.network == name })
}

func insertPort(ports []portKey, k portKey) []portKey {
	i, _ := slices.BinarySearch(ports, k)
	return slices.Insert(ports, i, k)
}

func removePort(ports []portKey, k portKey) []portKey {
	if i, ok := slices.BinarySearch(ports, k); ok {
		return slices.Delete(ports, i, i+1)
	}
	return ports
}

// eachPort calls f for every port that an allocation holds.
func (n *Node) eachPort(r *model.AllocatedResources, f func(portKey)) {
	if len(r.Shared.Ports) > 0 {
		for _, p := range r.Shared.Ports {
			if !p.IgnoreCollision {
				f(keyOf(n.position(p.HostIP), p.Value))
			}
		}
	} else {
		for _, w := range r.Shared.Networks {
			n.eachNetworkPort(w, f)
		}
	}
	for _, t := range r.Tasks {
		for _, w := range t.Networks {
			n.eachNetworkPort(w, f)
		}
	}
}

func (n *Node) eachNetworkPort(w *model.NetworkResource, f func(portKey)) {
	at := n.position(w.IP)
	for _, p := range w.ReservedPorts {
		if !p.IgnoreCollision {
			f(keyOf(at, p.Value))
		}
	}
	for _, p := range w.DynamicPorts {
		f(keyOf(at, p.Value))
	}
}

// A PortAsk is a port that an allocation wants on its node.
type PortAsk struct {
	Label           string
	Static          int    // 0: any port of the node's dynamic range
	To              int    // -1: the same as on the host
	Network         string // host network; empty: the default one
	IgnoreCollision bool
}

// An Offer is the ports that a node can give for a list of PortAsk, in its
// order.
type Offer struct {
	Ports []model.PortMapping
	keys  []portKey
}

// Device is the network interface that the offer's first port is on.
func (n *Node) Device(o Offer) string {
	if len(o.keys) == 0 {
		return ""
	}
	return n.addresses[int(o.keys[0]>>16)].device
}

// Ports chooses ports for asks. random(n) must return a number in [0,n). The
// reason is empty when all could be found, else the exhausted dimension.
// Nothing is counted until Take.
func (n *Node) Ports(asks []PortAsk, random func(int) int) (offer Offer, reason string) {
	if len(asks) == 0 {
		return Offer{}, ""
	}
	offer = Offer{Ports: make([]model.PortMapping, 0, len(asks)), keys: make([]portKey, 0, len(asks))}
	// Static ports first: a dynamic one must not take their place.
	for _, static := range [2]bool{true, false} {
		for _, ask := range asks {
			if (ask.Static > 0) != static {
				continue
			}
			at, port, reason := n.choosePort(ask, offer.keys, random)
			if reason != "" {
				return Offer{}, reason
			}
			if !ask.IgnoreCollision || !static {
				offer.keys = append(offer.keys, keyOf(at, port))
			}
			to := ask.To
			if to == -1 {
				to = port
			}
			offer.Ports = append(offer.Ports, model.PortMapping{
				Label: ask.Label, Value: port, To: to, HostIP: n.addresses[at].ip,
				IgnoreCollision: ask.IgnoreCollision && static,
			})
		}
	}
	return offer, ""
}

func (n *Node) choosePort(ask PortAsk, taken []portKey, random func(int) int) (at, port int, reason string) {
	network := ask.Network
	if network == "" {
		network = DefaultHostNetwork
	}
	found := false
	for i := range n.addresses {
		if n.addresses[i].network != network {
			continue
		}
		found = true
		if ask.Static > 0 {
			if ask.IgnoreCollision || n.portFree(i, ask.Static, taken) {
				return i, ask.Static, ""
			}
			continue
		}
		if p := n.dynamicPort(i, taken, random); p > 0 {
			return i, p, ""
		}
	}
	switch {
	case !found:
		return 0, 0, fmt.Sprintf("network: no addresses available for %s network", network)
	case ask.Static > 0:
		return 0, 0, fmt.Sprintf("network: reserved port collision %s=%d", ask.Label, ask.Static)
	}
	return 0, 0, "network: dynamic port selection failed"
}

// StaticPortsFit returns the reason why static ports of asks cannot be had, or
// nothing. It is what may be asked cheaply of many nodes.
func (n *Node) StaticPortsFit(asks []PortAsk) string {
	for _, ask := range asks {
		if ask.Static > 0 {
			if _, _, reason := n.choosePort(ask, nil, nil); reason != "" {
				return reason
			}
		}
	}
	return ""
}

func (n *Node) portFree(at, port int, taken []portKey) bool {
	if inSpans(n.reserved, port) || inSpans(n.addresses[at].reserved, port) {
		return false
	}
	k := keyOf(at, port)
	if _, used := slices.BinarySearch(n.ports, k); used {
		return false
	}
	return !slices.Contains(taken, k)
}

// dynamicPort tries a few ports at random, which nearly always does it and
// keeps ports from being re-used at once, and then looks at all of them.
func (n *Node) dynamicPort(at int, taken []portKey, random func(int) int) int {
	size := n.maxPort - n.minPort + 1
	if size <= 0 {
		return 0
	}
	for range 20 {
		if p := n.minPort + random(size); n.portFree(at, p, taken) {
			return p
		}
	}
	start := random(size)
	for i := range size {
		if p := n.minPort + (start+i)%size; n.portFree(at, p, taken) {
			return p
		}
	}
	return 0
}
