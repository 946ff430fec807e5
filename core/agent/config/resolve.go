package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/go-sockaddr/template"
)

// Resolve fills in what depends on other values or on the machine: the node's
// name, folders, templates in addresses, and the addresses to advertise. It may
// be called again; what is set already stays.
func (c *Config) Resolve() error {
	var errs []error
	if c.NodeName == "" {
		name, err := os.Hostname()
		if err != nil {
			errs = append(errs, fmt.Errorf("name: read the host's name: %w; set it in the configuration", err))
		}
		c.NodeName = name
	}
	c.joinOldSpelling()
	errs = append(errs, c.resolveAddresses())
	c.resolveDirs()
	return errors.Join(errs...)
}

// joinOldSpelling moves server.start_join and its siblings to server_join.
func (c *Config) joinOldSpelling() {
	s := &c.Server
	if len(s.StartJoin)+len(s.RetryJoin) > 0 && len(s.Join.StartJoin)+len(s.Join.RetryJoin) > 0 {
		return // reported by Validate
	}
	if len(s.StartJoin) > 0 {
		s.Join.StartJoin, s.StartJoin = s.StartJoin, nil
	}
	if len(s.RetryJoin) > 0 {
		s.Join.RetryJoin, s.RetryJoin = s.RetryJoin, nil
	}
	if s.RetryInterval > 0 {
		s.Join.RetryInterval, s.RetryInterval = s.RetryInterval, 0
	}
	if s.RetryMaxOld > 0 {
		s.Join.RetryMax, s.RetryMaxOld = s.RetryMaxOld, 0
	}
}

// ResolveDirs fills in the folders that depend on DataDir and PluginDir.
// [Config.Resolve] calls it; an agent in development mode calls it again once
// it has given itself a data folder.
func (c *Config) ResolveDirs() { c.resolveDirs() }

func (c *Config) resolveDirs() {
	if c.PluginDir == "" {
		if exe, err := os.Executable(); err == nil {
			if real, err := filepath.EvalSymlinks(exe); err == nil {
				exe = real
			}
			c.PluginDir = filepath.Join(filepath.Dir(exe), "plugins")
		}
	}
	if !filepath.IsAbs(c.DataDir) {
		return // absent, or refused by Validate
	}
	under := func(dir *string, elem ...string) {
		if *dir == "" {
			*dir = filepath.Join(append([]string{c.DataDir}, elem...)...)
		}
	}
	under(&c.Server.DataDir, "server")
	under(&c.Client.StateDir, "client")
	under(&c.Client.AllocDir, "alloc")
	under(&c.Client.AllocMountsDir, "..", "alloc_mounts")
	under(&c.Client.HostVolumesDir, "host_volumes")
	under(&c.Client.HostVolumePluginDir, "host_volume_plugins")
	under(&c.Client.CommonPluginDir, "common_plugins")
}

func (c *Config) resolveAddresses() error {
	var errs []error
	single := func(key string, s *string) {
		out, err := expandAddress(*s)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		case len(strings.Fields(out)) > 1:
			errs = append(errs, fmt.Errorf("%s: %q gives several addresses (%s), want one", key, *s, out))
		default:
			*s = out
		}
	}
	single("bind_addr", &c.BindAddr)
	single("addresses.rpc", &c.Addresses.RPC)
	single("addresses.serf", &c.Addresses.Serf)
	http, err := expandAddress(c.Addresses.HTTP)
	if err != nil {
		errs = append(errs, fmt.Errorf("addresses.http: %w", err))
	}
	c.Addresses.HTTP = http
	single("client.network_interface", &c.Client.NetworkInterface)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, a := range []*string{&c.Addresses.HTTP, &c.Addresses.RPC, &c.Addresses.Serf} {
		if *a == "" {
			*a = c.BindAddr
		}
	}

	advertise := func(key string, s *string, bind string, port int) {
		given := *s
		out, err := expandAddress(given)
		if err == nil {
			out, err = c.advertised(out, bind, port)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("advertise.%s: %w", key, err))
			return
		}
		*s = out
	}
	firstHTTP := c.BindAddr
	if f := strings.Fields(c.Addresses.HTTP); len(f) > 0 {
		firstHTTP = f[0]
	}
	advertise("http", &c.AdvertiseAddrs.HTTP, firstHTTP, c.Ports.HTTP)
	if c.Server.Enabled || c.DevMode {
		advertise("rpc", &c.AdvertiseAddrs.RPC, c.Addresses.RPC, c.Ports.RPC)
		advertise("serf", &c.AdvertiseAddrs.Serf, c.Addresses.Serf, c.Ports.Serf)
	}
	return errors.Join(errs...)
}

// expandAddress evaluates go-sockaddr templates; other text stays as it is.
func expandAddress(s string) (string, error) {
	if !strings.Contains(s, "{{") {
		return s, nil
	}
	out, err := template.Parse(s)
	if err != nil {
		return "", fmt.Errorf("evaluate the template %q: %w", s, err)
	}
	if out = strings.TrimSpace(out); out == "" {
		return "", fmt.Errorf("the template %q gives no address on this machine", s)
	}
	return out, nil
}

// advertised is the ip:port to tell others: the given one, else the bind
// address, else the machine's first private address.
func (c *Config) advertised(given, bind string, port int) (string, error) {
	if given != "" {
		return withPort(given, port), nil
	}
	host := bind
	if ip := net.ParseIP(bind); ip != nil && ip.IsUnspecified() {
		private, err := template.Parse("{{ GetPrivateIP }}")
		if err != nil {
			return "", fmt.Errorf("find a private address: %w", err)
		}
		if host = private; host == "" {
			host = publicAddress()
		}
		if host == "" {
			if !c.DevMode {
				return "", errors.New("no address found that others could reach, please set advertise manually")
			}
			host = "127.0.0.1"
		}
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() && !c.DevMode {
		return "", errors.New("Defaulting advertise to localhost is unsafe, please set advertise manually") //nolint:staticcheck // operators search for this text
	}
	return withPort(host, port), nil
}

// publicAddress is the machine's first public address, or "".
func publicAddress() string {
	out, err := template.Parse("{{ GetPublicIP }}")
	if err != nil {
		return ""
	}
	return out
}

func withPort(addr string, port int) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), strconv.Itoa(port))
}

// BindHTTP lists the addresses, ip:port, the HTTP listeners bind to. BindRPC
// and BindSerf are their siblings for the other protocols.
func (c *Config) BindHTTP() []string {
	var out []string
	for _, a := range strings.Fields(c.Addresses.HTTP) {
		out = append(out, withPort(a, c.Ports.HTTP))
	}
	return out
}

// BindRPC is the address, ip:port, the RPC listener binds to.
func (c *Config) BindRPC() string { return withPort(c.Addresses.RPC, c.Ports.RPC) }

// BindSerf is the address, ip:port, gossip binds to, TCP and UDP.
func (c *Config) BindSerf() string { return withPort(c.Addresses.Serf, c.Ports.Serf) }

// loopbackInterface names the machine's loopback interface, or is "".
func loopbackInterface() string {
	all, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			return i.Name
		}
	}
	return ""
}
