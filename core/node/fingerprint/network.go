package fingerprint

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/seraiproject/serai/core/model"
)

// defaultMbits is the speed of an interface that does not tell its own.
const defaultMbits = 1000

func (r *Result) network(c *Config) error {
	name := c.NetworkInterface
	if name == "" {
		name = c.defaultInterface()
	}
	if name == "" {
		return fmt.Errorf("fingerprint network: no default route; set client.network_interface")
	}
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("fingerprint network: %w", err)
	}
	i := slices.IndexFunc(all, func(i net.Interface) bool { return i.Name == name })
	if i < 0 {
		return fmt.Errorf("fingerprint network: no interface %s; correct client.network_interface", name)
	}
	addrs, err := usable(all[i])
	if err != nil {
		return err
	}
	slices.SortStableFunc(addrs, func(a, b netip.Prefix) int { return c.rank(a.Addr()) - c.rank(b.Addr()) })
	if len(addrs) == 0 {
		return fmt.Errorf("fingerprint network: interface %s has no address", name)
	}
	r.Attributes["unique.network.ip-address"] = addrs[0].Addr().String()
	speed := c.speed(name)
	for _, p := range addrs {
		bits := p.Addr().BitLen()
		r.Resources.Networks = append(r.Resources.Networks, &model.NetworkResource{
			Mode: "host", Device: name, IP: p.Addr().String(), CIDR: netip.PrefixFrom(p.Addr(), bits).String(), MBits: speed,
		})
	}
	for _, hn := range c.HostNetworks {
		r.HostNetworks[hn.Name] = &hn
	}
	for _, iface := range all {
		node, err := c.nodeNetwork(iface, iface.Name == name)
		if err != nil {
			return err
		}
		if node != nil {
			r.Resources.NodeNetworks = append(r.Resources.NodeNetworks, node)
		}
	}
	return nil
}

// rank orders addresses: the preferred family first, link-local ones last.
func (c *Config) rank(a netip.Addr) int {
	rank := 1
	if a.Is4() == (c.AddressFamily != "ipv6") {
		rank = 0
	}
	if a.IsLinkLocalUnicast() {
		rank += 2
	}
	return rank
}

// usable are the addresses of an interface that tasks can be reached at:
// without IPv6 link-local ones when there are others.
func usable(i net.Interface) ([]netip.Prefix, error) {
	addrs, err := i.Addrs()
	if err != nil {
		return nil, fmt.Errorf("fingerprint network: addresses of %s: %w", i.Name, err)
	}
	var good, local []netip.Prefix
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		if p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			local = append(local, p)
		} else {
			good = append(good, p)
		}
	}
	if len(good) == 0 {
		return local, nil
	}
	return good, nil
}

// nodeNetwork describes an interface with the host networks that its addresses
// belong to; nil when it belongs to none.
func (c *Config) nodeNetwork(i net.Interface, isDefault bool) (*model.NodeNetwork, error) {
	addrs, err := usable(i)
	if err != nil {
		return nil, err
	}
	n := &model.NodeNetwork{Mode: "host", Device: i.Name, MacAddress: i.HardwareAddr.String(), Speed: c.speed(i.Name)}
	for _, p := range addrs {
		family := "ipv4"
		if p.Addr().Is6() {
			family = "ipv6"
		}
		add := func(alias, ports string) {
			n.Addresses = append(n.Addresses, model.NodeNetworkAddress{
				Family: family, Alias: alias, Address: p.Addr().String(), ReservedPorts: ports,
			})
		}
		if isDefault {
			add("default", c.ReservedPorts)
		}
		for _, hn := range c.HostNetworks {
			if hn.Interface != "" && hn.Interface != i.Name {
				continue
			}
			if hn.CIDR != "" {
				cidr, err := netip.ParsePrefix(hn.CIDR)
				if err != nil {
					return nil, fmt.Errorf("fingerprint network: cidr of host_network %s: %w", hn.Name, err)
				}
				if !cidr.Contains(p.Addr()) {
					continue
				}
			}
			add(hn.Name, hn.ReservedPorts)
		}
	}
	if len(n.Addresses) == 0 {
		return nil, nil
	}
	return n, nil
}

func (c *Config) speed(name string) int {
	if mbits := number(c.read("/sys/class/net/" + name + "/speed")); mbits > 0 {
		return int(mbits)
	}
	return defaultMbits
}

// defaultInterface is the one with the default route of the lowest metric.
func (c *Config) defaultInterface() string {
	name, best := "", int64(-1)
	for line := range strings.Lines(c.read("/proc/net/route")) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		if m := number(f[6]); best < 0 || m < best {
			name, best = f[0], m
		}
	}
	if name != "" {
		return name
	}
	for line := range strings.Lines(c.read("/proc/net/ipv6_route")) {
		f := strings.Fields(line)
		if len(f) < 10 || f[1] != "00" || strings.Trim(f[0], "0") != "" || f[9] == "lo" {
			continue
		}
		m, err := strconv.ParseInt(f[5], 16, 64)
		if err == nil && (best < 0 || m < best) {
			name, best = f[9], m
		}
	}
	return name
}
