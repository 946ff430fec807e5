package model

import (
	"encoding/hex"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	actionName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	secretName   = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)
	identityName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
)

func (v *validation) task(j *Job, g *TaskGroup, t *Task) {
	if t.Name == "" {
		v.fault("Missing task name")
	}
	if strings.ContainsAny(t.Name, `/\`) {
		v.fault("name must not contain slashes")
	}
	if strings.Contains(t.Name, "\x00") {
		v.fault("name contains a null character")
	}
	if t.Driver == "" {
		v.fault("Missing task driver")
	}
	v.notNegative("kill_timeout", t.KillTimeout)
	v.notNegative("shutdown_delay", t.ShutdownDelay)
	if u := g.Update; u != nil && u.ProgressDeadline > 0 && t.KillTimeout > u.ProgressDeadline {
		v.fault("kill_timeout %s is longer than the group's progress_deadline %s", t.KillTimeout, u.ProgressDeadline)
	}
	if t.ShutdownDelay > 0 && j.Type == JobTypeSysBatch {
		v.warn("shutdown_delay has little use in a sysbatch job")
	}
	v.constraints(t.Constraints, false)
	v.affinities(t.Affinities, j.Type)
	v.at("resources", func() { v.resources(t.Resources) })
	v.at("logs", func() { v.logs(g, t.LogConfig) })
	if l := t.Lifecycle; l != nil {
		v.oneOf("lifecycle hook", l.Hook, HookPrestart, HookPoststart, HookPoststop)
	}
	v.templates(t)
	v.artifacts(t)
	v.taskServices(g, t)
	for _, m := range t.VolumeMounts {
		if m.Volume == "" {
			v.fault("volume_mount needs a volume")
		} else if g.Volumes[m.Volume] == nil {
			v.fault("volume_mount: the group has no volume %q", m.Volume)
		}
		v.oneOf("volume_mount propagation_mode", m.PropagationMode, "private", "host-to-task", "bidirectional")
		v.oneOf("volume_mount selinux_label", m.SELinuxLabel, "", "z", "Z")
	}
	v.identities(t)
	actions := map[string]bool{}
	for _, a := range t.Actions {
		if !actionName.MatchString(a.Name) {
			v.fault("action name %q must be 1 to 128 letters, digits, dashes or underscores", a.Name)
		}
		if actions[a.Name] {
			v.fault("action %q is defined twice", a.Name)
		}
		actions[a.Name] = true
		if a.Command == "" {
			v.fault("action %q has no command", a.Name)
		}
	}
	secrets := map[string]bool{}
	for _, s := range t.Secrets {
		if !secretName.MatchString(s.Name) {
			v.fault("secret name %q must be 1 to 128 letters, digits or underscores", s.Name)
		}
		if secrets[s.Name] {
			v.fault("secret %q is defined twice", s.Name)
		}
		secrets[s.Name] = true
		if s.Provider == "" || s.Path == "" {
			v.fault("secret %q needs a provider and a path", s.Name)
		}
	}
	if d := t.DispatchPayload; d != nil && escapes(path.Join("local", d.File)) {
		v.fault("dispatch_payload file %q leaves the allocation's directory", d.File)
	}
	if c := t.CSIPluginConfig; c != nil {
		if c.ID == "" {
			v.fault("csi_plugin needs an id")
		}
		v.oneOf("csi_plugin type", c.Type, "node", "controller", "monolith")
	}
	if vt := t.Vault; vt != nil {
		v.oneOf("vault change_mode", vt.ChangeMode, "noop", "restart", "signal")
		v.fault("vault is not available: the servers have no Vault cluster")
	}
	if strings.HasPrefix(t.Kind, "connect-proxy:") {
		v.fault("kind %q is for injected proxies", t.Kind)
	}
	for _, p := range t.ScalingPolicies {
		v.oneOf("scaling type", p.Type, "vertical_cpu", "vertical_mem")
	}
}

func (v *validation) resources(r *Resources) {
	switch {
	case r.Cores < 0:
		v.fault("cores must not be negative, is %d", r.Cores)
	case r.Cores > 0 && r.CPU > 0:
		v.fault("only one of cpu and cores may be given")
	case r.Cores == 0 && r.CPU < 1:
		v.fault("cpu must be at least 1 MHz, is %d", r.CPU)
	}
	if r.MemoryMB < 10 {
		v.fault("memory must be at least 10 MB, is %d", r.MemoryMB)
	}
	if r.MemoryMaxMB != 0 && r.MemoryMaxMB != -1 && r.MemoryMaxMB < r.MemoryMB {
		v.fault("memory_max %d is less than memory %d", r.MemoryMaxMB, r.MemoryMB)
	}
	if r.SecretsMB < 0 {
		v.fault("secrets must not be negative, is %d", r.SecretsMB)
	}
	if r.IOPS != 0 {
		v.warn("iops is deprecated and does nothing")
	}
	if len(r.Networks) > 0 {
		v.warn("a network block in resources is deprecated, move it to the group")
	}
	if n := r.NUMA; n != nil {
		v.oneOf("numa affinity", orEmpty(n.Affinity, "none"), "none", "prefer", "require")
	}
	for _, d := range r.Devices {
		if d.Name == "" {
			v.fault("device needs a name")
		}
		for _, c := range d.Constraints {
			if c.Operand == OpDistinctHosts || c.Operand == OpDistinctProperty {
				v.fault("device %q: %s is not for devices", d.Name, c.Operand)
			}
		}
	}
}

func (v *validation) logs(g *TaskGroup, l *LogConfig) {
	if l.MaxFiles < 1 {
		v.fault("max_files must be at least 1, is %d", l.MaxFiles)
	}
	if l.MaxFileSizeMB < 1 {
		v.fault("max_file_size must be at least 1 MB, is %d", l.MaxFileSizeMB)
	}
	if size := l.MaxFiles * l.MaxFileSizeMB; size >= g.EphemeralDisk.SizeMB {
		v.fault("log storage of %d MB must be less than the ephemeral disk of %d MB", size, g.EphemeralDisk.SizeMB)
	}
}

func (v *validation) templates(t *Task) {
	seen := map[string]bool{}
	for _, tm := range t.Templates {
		v.in("template", tm.DestPath, func() {
			if tm.SourcePath == "" && tm.EmbeddedTmpl == "" {
				v.fault("needs data or a source")
			}
			if tm.DestPath == "" {
				v.fault("needs a destination")
			} else if escapes(path.Join("task", tm.DestPath)) {
				v.fault("the destination leaves the allocation's directory")
			}
			if seen[tm.DestPath] {
				v.fault("another template has the same destination")
			}
			seen[tm.DestPath] = true
			v.oneOf("change_mode", tm.ChangeMode, "noop", "restart", "signal", "script")
			if tm.ChangeMode == "script" && (tm.ChangeScript == nil || tm.ChangeScript.Command == "") {
				v.fault("change_mode script needs a change_script with a command")
			}
			if tm.ChangeMode == "signal" && tm.Envvars {
				v.fault("change_mode signal does not go with env, a signal cannot change the environment")
			}
			v.notNegative("splay", tm.Splay)
			if _, err := strconv.ParseUint(tm.Perms, 8, 12); err != nil {
				v.fault("perms %q is not an octal mode", tm.Perms)
			}
			if w := tm.Wait; w != nil && w.Min != nil && w.Max != nil && *w.Min > *w.Max {
				v.fault("wait min %s is more than max %s", *w.Min, *w.Max)
			}
		})
	}
}

func (v *validation) artifacts(t *Task) {
	for _, a := range t.Artifacts {
		v.in("artifact", a.GetterSource, func() {
			if a.GetterSource == "" {
				v.fault("needs a source")
			}
			v.oneOf("mode", a.GetterMode, "any", "file", "dir")
			if escapes(path.Join("task", a.RelativeDest)) {
				v.fault("the destination %q leaves the allocation's directory", a.RelativeDest)
			}
			sum, ok := a.GetterOptions["checksum"]
			if !ok || strings.Contains(sum, "${") {
				return
			}
			kind, digits, found := strings.Cut(sum, ":")
			lengths := map[string]int{"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
			raw, err := hex.DecodeString(digits)
			switch {
			case !found:
				v.fault("checksum %q is not of the form type:value", sum)
			case lengths[kind] == 0:
				v.fault("checksum type %q is not one of md5, sha1, sha256, sha512", kind)
			case err != nil || len(raw) != lengths[kind]:
				v.fault("checksum %q is not %d hex digits", digits, 2*lengths[kind])
			}
		})
	}
}

// escapes reports whether a path below the allocation's directory leads out of
// it. Paths with interpolations are checked again by the node.
func escapes(p string) bool {
	p = path.Clean(p)
	return p == ".." || strings.HasPrefix(p, "../") || strings.HasPrefix(p, "/")
}

func (v *validation) identities(t *Task) {
	all := append([]*WorkloadIdentity{t.Identity}, t.Identities...)
	for i, id := range all {
		v.in("identity", id.Name, func() {
			if !identityName.MatchString(id.Name) {
				v.fault("name must be 1 to 128 letters, digits, dashes or underscores")
			}
			for _, a := range id.Audience {
				if a == "" {
					v.fault("aud must not hold an empty string")
				}
			}
			v.oneOf("change_mode", id.ChangeMode, "", "noop", "restart", "signal")
			if (id.ChangeMode == "signal") != (id.ChangeSignal != "") {
				v.fault("change_signal goes with change_mode signal, and only with it")
			}
			if id.Filepath != "" && !id.File {
				v.fault("filepath needs file = true")
			}
			v.notNegative("ttl", id.TTL)
			if i == 0 && id.TTL != 0 {
				v.fault("the default identity has no ttl")
			}
			if i > 0 {
				if len(id.Audience) != 1 {
					v.warn("should have exactly one aud")
				}
				if id.TTL == 0 {
					v.warn("should have a ttl")
				}
			}
			if id.Env && id.ChangeMode != "restart" {
				v.warn("env without change_mode restart will hold an expired token")
			}
		})
	}
}

func (v *validation) volume(j *Job, g *TaskGroup, vol *VolumeRequest) {
	if vol.Type != "host" && vol.Type != "csi" {
		return
	}
	if vol.Source == "" {
		v.fault("needs a source")
	}
	if vol.PerAlloc {
		if j.Type == JobTypeSystem || j.Type == JobTypeSysBatch {
			v.fault("per_alloc is not for %s jobs", j.Type)
		}
		if g.Update != nil && g.Update.Canary > 0 {
			v.fault("per_alloc does not go with canaries")
		}
		if vol.Sticky {
			v.fault("per_alloc does not go with sticky")
		}
	}
	if vol.Type == "host" {
		v.oneOf("access_mode", vol.AccessMode, "", "single-node-reader-only", "single-node-writer",
			"single-node-single-writer", "single-node-multi-writer")
		if vol.MountOptions != nil {
			v.fault("mount_options are not for host volumes")
		}
		return
	}
	if vol.AccessMode == "" || vol.AttachmentMode == "" {
		v.fault("a csi volume needs access_mode and attachment_mode")
	}
	if strings.HasSuffix(vol.AccessMode, "-reader-only") && !vol.ReadOnly {
		v.fault("access_mode %s needs read_only", vol.AccessMode)
	}
	if vol.AccessMode == "single-node-writer" && g.Count > 1 && !vol.PerAlloc {
		v.fault("access_mode %s does not go with count %d unless per_alloc is set", vol.AccessMode, g.Count)
	}
	if vol.AccessMode == "multi-node-single-writer" && g.Count > 1 && !vol.ReadOnly {
		v.fault("access_mode %s does not go with count %d unless read_only is set", vol.AccessMode, g.Count)
	}
}

func (v *validation) interval(what string, d time.Duration) {
	if d < time.Second {
		v.fault("%s must be at least 1s, is %s", what, d)
	}
}
