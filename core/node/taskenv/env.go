package taskenv

import (
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seraiproject/serai/core/model"
)

// Config is what an environment is made of. Alloc (with its Job), Task and
// Node are required and only read.
type Config struct {
	Alloc  *model.Allocation
	Task   *model.Task
	Node   *model.Node
	Region string

	// The task's directories as the task itself sees them.
	AllocDir, TaskDir, SecretsDir string

	ParentCgroup string
	// Host is the agent's own environment for drivers whose tasks inherit
	// it, without what the operator denies.
	Host map[string]string
	// Device is added by the devices that were reserved for the task.
	Device map[string]string
}

// Env is the environment of one task. It does not change after New.
type Env struct {
	vars  map[string]string // what the task is given
	names map[string]string // what Replace knows besides: uncleaned spellings, node facts
	node  map[string]string // the node facts alone, by dotted name
}

// New makes the environment of a task.
func New(c *Config) *Env {
	e := &Env{vars: map[string]string{}, names: map[string]string{}, node: nodeFacts(c.Node, c.Region)}
	maps.Copy(e.vars, c.Host)
	maps.Copy(e.vars, c.Device)
	maps.Copy(e.names, e.node)
	e.identity(c)
	e.directories(c)
	e.resources(c)
	e.ports(c)
	e.meta(c)
	e.own(c.Task.Env)
	return e
}

// Map returns the environment. The caller owns it.
func (e *Env) Map() map[string]string { return maps.Clone(e.vars) }

// nodeFacts are the names under node, attr and meta.
func nodeFacts(n *model.Node, region string) map[string]string {
	f := map[string]string{
		"node.unique.id":   string(n.ID),
		"node.unique.name": n.Name,
		"node.datacenter":  n.Datacenter,
		"node.region":      region,
		"node.class":       n.NodeClass,
		"node.pool":        n.NodePool,
	}
	for k, v := range n.Attributes {
		f["attr."+k] = v
	}
	for k, v := range n.Meta {
		f["meta."+k] = v
	}
	return f
}

func (e *Env) identity(c *Config) {
	a, job := c.Alloc, c.Alloc.Job
	e.vars["NOMAD_ALLOC_ID"] = string(a.ID)
	e.vars["NOMAD_SHORT_ALLOC_ID"] = model.Short(a.ID)
	e.vars["NOMAD_ALLOC_NAME"] = a.Name
	e.vars["NOMAD_ALLOC_INDEX"] = strconv.Itoa(max(a.Index(), 0))
	e.vars["NOMAD_JOB_ID"] = string(job.ID)
	e.vars["NOMAD_JOB_NAME"] = job.Name
	if job.ParentID != "" {
		e.vars["NOMAD_JOB_PARENT_ID"] = string(job.ParentID)
	}
	e.vars["NOMAD_GROUP_NAME"] = a.TaskGroup
	e.vars["NOMAD_TASK_NAME"] = c.Task.Name
	e.vars["NOMAD_NAMESPACE"] = a.Namespace
	e.vars["NOMAD_REGION"] = c.Region
	e.vars["NOMAD_DC"] = c.Node.Datacenter
}

func (e *Env) directories(c *Config) {
	e.vars["NOMAD_ALLOC_DIR"] = c.AllocDir
	e.vars["NOMAD_TASK_DIR"] = c.TaskDir
	e.vars["NOMAD_SECRETS_DIR"] = c.SecretsDir
	e.vars["NOMAD_UNIX_ADDR"] = "unix://" + c.SecretsDir + "/api.sock"
	if c.ParentCgroup != "" {
		e.vars["NOMAD_PARENT_CGROUP"] = c.ParentCgroup
	}
}

func (e *Env) resources(c *Config) {
	var r *model.AllocatedTaskResources
	if c.Alloc.AllocatedResources != nil {
		r = c.Alloc.AllocatedResources.Tasks[c.Task.Name]
	}
	if r == nil {
		return
	}
	e.vars["NOMAD_CPU_LIMIT"] = strconv.FormatInt(r.Cpu.CpuShares, 10)
	// Without cores the value is a space: that is what tasks have always
	// been given.
	cores := CPUList(r.Cpu.ReservedCores)
	if cores == "" {
		cores = " "
	}
	e.vars["NOMAD_CPU_CORES"] = cores
	e.vars["NOMAD_MEMORY_LIMIT"] = strconv.FormatInt(r.Memory.MemoryMB, 10)
	if r.Memory.MemoryMaxMB > 0 {
		e.vars["NOMAD_MEMORY_MAX_LIMIT"] = strconv.FormatInt(r.Memory.MemoryMaxMB, 10)
	}
}

func (e *Env) ports(c *Config) {
	r := c.Alloc.AllocatedResources
	if r == nil {
		return
	}
	for _, p := range r.Shared.Ports {
		e.port(p.Label, p.HostIP, p.Value, p.To)
	}
	if len(r.Shared.Ports) == 0 {
		for _, n := range r.Shared.Networks {
			for _, p := range slices.Concat(n.ReservedPorts, n.DynamicPorts) {
				e.port(p.Label, n.IP, p.Value, p.To)
			}
		}
	}
	// Ports that a task asks for itself are also known to its siblings.
	for task, tr := range r.Tasks {
		for _, n := range tr.Networks {
			for _, p := range slices.Concat(n.ReservedPorts, n.DynamicPorts) {
				if task == c.Task.Name {
					e.port(p.Label, n.IP, p.Value, p.To)
				} else {
					e.spell("NOMAD_IP_", task+"_"+p.Label, n.IP)
					e.spell("NOMAD_PORT_", task+"_"+p.Label, strconv.Itoa(p.Value))
					e.spell("NOMAD_ADDR_", task+"_"+p.Label, net.JoinHostPort(n.IP, strconv.Itoa(p.Value)))
				}
			}
		}
	}
}

// port adds a labelled port. Which names have their label cleaned, and which
// have not, is part of the contract.
func (e *Env) port(label, ip string, value, to int) {
	inner := value
	if to > 0 {
		inner = to
	}
	host := strconv.Itoa(value)
	addr := net.JoinHostPort(ip, host)
	e.spell("NOMAD_IP_", label, ip)
	e.spell("NOMAD_PORT_", label, strconv.Itoa(inner))
	e.spell("NOMAD_ADDR_", label, addr)
	e.spell("NOMAD_HOST_PORT_", label, host)
	e.vars["NOMAD_HOST_IP_"+label] = ip
	e.vars["NOMAD_HOST_ADDR_"+label] = addr
	e.vars["NOMAD_ALLOC_PORT_"+label] = strconv.Itoa(inner)
}

// spell sets a variable under its cleaned name, and lets Replace find it
// under the name as the job file spells it.
func (e *Env) spell(prefix, key, value string) {
	e.vars[prefix+cleanName(key)] = value
	e.names[prefix+key] = value
}

func cleanName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.':
			return r
		}
		return '_'
	}, s)
}

// meta adds the metadata of job, group and task; the nearest wins.
func (e *Env) meta(c *Config) {
	merged := map[string]string{}
	maps.Copy(merged, c.Alloc.Job.Meta)
	if g := c.Alloc.Group(); g != nil {
		maps.Copy(merged, g.Meta)
	}
	maps.Copy(merged, c.Task.Meta)
	// Upper-case copies first: a key that is given in upper case wins.
	for _, k := range slices.Sorted(maps.Keys(merged)) {
		merged[k] = e.Replace(merged[k])
		e.spell("NOMAD_META_", strings.ToUpper(k), merged[k])
	}
	for _, k := range slices.Sorted(maps.Keys(merged)) {
		e.spell("NOMAD_META_", k, merged[k])
	}
}

// maxValue bounds what values that refer to each other can grow to; beyond it
// a value stays as it is written.
const maxValue = 128 << 10

// own adds the env block. A value may refer to all else, and to other values
// of the block; a value that (over others) refers to itself keeps that
// reference as text.
func (e *Env) own(block map[string]string) {
	done := map[string]string{}
	active := map[string]bool{}
	var resolve func(key string) string
	lookup := func(name string) (string, bool) {
		if _, ok := block[name]; ok {
			if active[name] {
				return "", false
			}
			return resolve(name), true
		}
		return e.lookup(name)
	}
	resolve = func(key string) string {
		if v, ok := done[key]; ok {
			return v
		}
		active[key] = true
		v := replace(block[key], lookup)
		if len(v) > maxValue {
			v = block[key]
		}
		delete(active, key)
		done[key] = v
		return v
	}
	for _, k := range slices.Sorted(maps.Keys(block)) {
		resolve(k)
	}
	maps.Copy(e.vars, done)
	// An override of NOMAD_… also counts for other spellings.
	for k, v := range done {
		if _, ok := e.names[k]; ok {
			e.names[k] = v
		}
	}
}

func (e *Env) lookup(name string) (string, bool) {
	if v, ok := e.names[name]; ok {
		return v, true
	}
	v, ok := e.vars[name]
	return v, ok
}

// reference is ${name}, without spaces, quotes, brackets or braces inside.
var reference = regexp.MustCompile(`\$\{([^\s{}"\[\]$]+)\}`)

// Replace substitutes every ${name} that is known, once, and leaves all other
// text as it is.
func (e *Env) Replace(s string) string { return replace(s, e.lookup) }

func replace(s string, lookup func(string) (string, bool)) string {
	if !strings.Contains(s, "${") {
		return s
	}
	return reference.ReplaceAllStringFunc(s, func(ref string) string {
		if v, ok := lookup(ref[2 : len(ref)-1]); ok {
			return v
		}
		return ref
	})
}

// CPUList writes core numbers as the kernel does: "0-2,7".
func CPUList(cores []uint16) string {
	s := slices.Clone(cores)
	slices.Sort(s)
	s = slices.Compact(s)
	var b strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j+1 < len(s) && s[j+1] == s[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(s[i])))
		if j > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(int(s[j])))
		}
		i = j + 1
	}
	return b.String()
}
