package model

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

func (v *validation) networks(g *TaskGroup) {
	labels, static := map[string]bool{}, map[string]string{}
	check := func(mode string, ports []Port) {
		for _, p := range ports {
			if labels[p.Label] {
				v.fault("port %q is defined twice", p.Label)
			}
			labels[p.Label] = true
			if p.To < -1 || p.To > 65535 {
				v.fault("port %q: to must be -1 to 65535, is %d", p.Label, p.To)
			}
			if p.Value > 65535 || p.Value < 0 {
				v.fault("port %q: static must be 1 to 65535, is %d", p.Label, p.Value)
			}
			if p.IgnoreCollision && mode != "" && mode != "host" {
				v.fault("port %q: ignore_collision is only for host networks", p.Label)
			}
			if p.Value > 0 && !p.IgnoreCollision {
				at := fmt.Sprintf("%s:%d", p.HostNetwork, p.Value)
				if other, ok := static[at]; ok {
					v.fault("ports %q and %q are both static %d", other, p.Label, p.Value)
				}
				static[at] = p.Label
			}
		}
	}
	for _, n := range g.Networks {
		v.at("network", func() {
			check(n.Mode, n.ReservedPorts)
			check(n.Mode, n.DynamicPorts)
			if n.MBits != 0 {
				v.warn("mbits is deprecated and does nothing")
			}
		})
	}
	for _, t := range g.Tasks {
		if t.Resources == nil {
			continue
		}
		for _, n := range t.Resources.Networks {
			v.in("task", t.Name, func() {
				check(n.Mode, n.ReservedPorts)
				check(n.Mode, n.DynamicPorts)
			})
		}
	}
}

// portLabels are the ports that services of the group can name.
func (g *TaskGroup) portLabels() map[string]bool {
	labels := map[string]bool{}
	add := func(networks []*NetworkResource) {
		for _, n := range networks {
			for _, p := range n.ReservedPorts {
				labels[p.Label] = true
			}
			for _, p := range n.DynamicPorts {
				labels[p.Label] = true
			}
		}
	}
	add(g.Networks)
	for _, t := range g.Tasks {
		if t.Resources != nil {
			add(t.Resources.Networks)
		}
	}
	return labels
}

func (v *validation) services(g *TaskGroup) {
	providers, unique := map[string]bool{}, map[string]bool{}
	all := func(list []*Service) {
		for _, s := range list {
			providers[s.Provider] = true
			key := s.Name + "\x00" + s.PortLabel
			if unique[key] {
				v.fault("service %q on port %q is not unique", s.Name, s.PortLabel)
			}
			unique[key] = true
		}
	}
	all(g.Services)
	for _, t := range g.Tasks {
		all(t.Services)
	}
	if len(providers) > 1 {
		v.fault("all services of a group must have the same provider")
	}
	for _, s := range g.Services {
		v.in("service", s.Name, func() {
			v.service(g, s)
			if s.AddressMode == "driver" {
				v.fault("address_mode driver is only for services of a task")
			}
		})
	}
}

func (v *validation) taskServices(g *TaskGroup, t *Task) {
	ports := g.portLabels()
	for _, s := range t.Services {
		v.in("service", s.Name, func() {
			v.service(g, s)
			if s.AddressMode == "alloc" {
				v.fault("address_mode alloc is only for services of a group")
			}
			if s.TaskName != t.Name {
				v.fault("task is %q, must be the service's own task", s.TaskName)
			}
			if p := s.PortLabel; p != "" && !ports[p] && !strings.Contains(p, "${") {
				if _, err := strconv.Atoi(p); err != nil || s.AddressMode != "driver" {
					v.fault("port %q is not defined by a network block", p)
				}
			}
		})
	}
}

var (
	interpolation = regexp.MustCompile(`\$\{[^}]*\}`)
	serviceName   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
)

func (v *validation) service(g *TaskGroup, s *Service) {
	plain := interpolation.ReplaceAllString(s.Name, "")
	if plain != "" && !serviceName.MatchString(strings.Trim(plain, "-")) || len(plain) > 63 {
		v.fault("name must be at most 63 letters, digits and dashes")
	}
	v.oneOf("provider", s.Provider, ProviderConsul, ProviderNomad)
	v.oneOf("address_mode", s.AddressMode, "auto", "host", "alloc", "alloc_ipv6", "driver")
	v.oneOf("on_update", s.OnUpdate, "require_healthy", "ignore_warnings", "ignore")
	if s.Address != "" && s.AddressMode != "auto" {
		v.fault("address needs address_mode auto")
	}
	if s.Cluster != "default" {
		v.fault("cluster %q: only the default cluster is supported", s.Cluster)
	}
	nomad := s.Provider == ProviderNomad
	if nomad && s.Identity != nil {
		v.fault("identity is only for provider consul")
	}
	if nomad && s.Connect != nil {
		v.fault("connect is only for provider consul")
	}
	if c := s.Connect; c != nil {
		n := 0
		for _, is := range []bool{c.Native, c.SidecarService != nil, c.Gateway != nil} {
			if is {
				n++
			}
		}
		if n != 1 {
			v.fault("connect needs exactly one of native, sidecar_service and gateway")
		}
	}
	for _, c := range s.Checks {
		v.in("check", c.Name, func() { v.check(g, s, c) })
	}
}

func (v *validation) check(g *TaskGroup, s *Service, c *ServiceCheck) {
	nomad := s.Provider == ProviderNomad
	kind := strings.ToLower(c.Type)
	if nomad {
		v.oneOf("type", kind, "http", "tcp")
	} else {
		v.oneOf("type", kind, "grpc", "http", "script", "tcp")
	}
	v.interval("interval", c.Interval)
	v.interval("timeout", c.Timeout)
	switch kind {
	case "http":
		if c.Path == "" {
			v.fault("an http check needs a path")
		} else if u, err := url.Parse(c.Path); err != nil || u.IsAbs() || u.Host != "" {
			v.fault("path %q must be relative, without scheme and host", c.Path)
		}
		if nomad && c.Method != "" {
			v.oneOf("method", c.Method, http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
				http.MethodDelete, http.MethodOptions, http.MethodPatch, http.MethodConnect, http.MethodTrace)
		}
	case "script":
		if c.Command == "" {
			v.fault("a script check needs a command")
		}
		if c.TaskName == "" {
			v.fault("a script check of a group service needs a task")
		}
	}
	if kind != "script" && c.PortLabel == "" && s.PortLabel == "" {
		v.fault("a %s check needs a port, its own or the service's", kind)
	}
	if c.TaskName != "" && g.Task(c.TaskName) == nil {
		v.fault("the group has no task %q", c.TaskName)
	}
	v.oneOf("address_mode", c.AddressMode, "", "alloc", "alloc_ipv6", "driver", "host")
	v.oneOf("initial_status", c.InitialStatus, "", "passing", "warning", "critical")
	v.oneOf("on_update", c.OnUpdate, "require_healthy", "ignore_warnings", "ignore")
	if nomad {
		switch {
		case c.AddressMode == "driver":
			v.fault("address_mode driver is only for provider consul")
		case c.SuccessBeforePassing+c.FailuresBeforeCritical+c.FailuresBeforeWarning > 0:
			v.fault("success_before_passing and failures_before_* are only for provider consul")
		case c.OnUpdate == "ignore_warnings":
			v.fault("on_update ignore_warnings is only for provider consul")
		case c.Expose:
			v.fault("expose is only for provider consul")
		case c.TLSServerName != "":
			v.fault("tls_server_name is only for provider consul")
		}
	}
	if r := c.CheckRestart; r != nil {
		if r.Limit < 0 {
			v.fault("check_restart limit must not be negative, is %d", r.Limit)
		}
		v.notNegative("check_restart grace", r.Grace)
		if c.OnUpdate == "ignore" {
			v.fault("on_update ignore does not go with check_restart")
		}
		if c.OnUpdate == "ignore_warnings" && !r.IgnoreWarnings {
			v.fault("on_update ignore_warnings needs check_restart ignore_warnings")
		}
	}
	if len(c.Notes) > 255 {
		v.fault("notes must be at most 255 characters, are %d", len(c.Notes))
	}
}
