package model

import "strconv"

// NetworkResource is a network that a group asks for, or has been given.
type NetworkResource struct {
	Mode          string     `json:",omitempty" msg:",omitempty"`
	Device        string     `json:",omitempty" msg:",omitempty"`
	CIDR          string     `json:",omitempty" msg:",omitempty"`
	IP            string     `json:",omitempty" msg:",omitempty"`
	Hostname      string     `json:",omitempty" msg:",omitempty"`
	MBits         int        `json:",omitempty" msg:",omitempty"`
	DNS           *DNSConfig `json:",omitempty" msg:",omitempty"`
	ReservedPorts []Port     `json:",omitempty" msg:",omitempty"`
	DynamicPorts  []Port     `json:",omitempty" msg:",omitempty"`
	CNI           *CNIConfig `json:",omitempty" msg:",omitempty"`
}

// Port is one port of a NetworkResource. Value is 0 until a dynamic port has
// been chosen. To is the port inside the network namespace; -1 means the same
// as Value.
type Port struct {
	Label           string `json:",omitempty" msg:",omitempty"`
	Value           int    `json:",omitempty" msg:",omitempty"`
	To              int    `json:",omitempty" msg:",omitempty"`
	HostNetwork     string `json:",omitempty" msg:",omitempty"`
	IgnoreCollision bool   `json:",omitempty" msg:",omitempty"`
}

// DNSConfig replaces the resolver configuration of a network namespace.
type DNSConfig struct {
	Servers  []string `msg:",allownil"`
	Searches []string `msg:",allownil"`
	Options  []string `msg:",allownil"`
}

// CNIConfig passes arguments to CNI plugins.
type CNIConfig struct {
	Args map[string]string `msg:",allownil"`
}

// PortMapping is a port of an allocation with the address it is reached at.
type PortMapping struct {
	Label           string
	Value           int
	To              int `json:",omitempty" msg:",omitempty"`
	HostIP          string
	IgnoreCollision bool `json:",omitempty" msg:",omitempty"`
}

// Addr is the host address and port.
func (p PortMapping) Addr() string { return p.HostIP + ":" + strconv.Itoa(p.Value) }
