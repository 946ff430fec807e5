package model

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"
)

// maxJobCount is the most allocations that one job may ask for.
const maxJobCount = 50000

// Validate reports every fault of a canonical job, as FieldErrors, and what is
// worth a warning though it is accepted.
func (j *Job) Validate() (warnings []string, err error) {
	v := &validation{}
	v.job(j)
	return v.warnings, v.errs.Err()
}

// FormatWarnings joins warnings as the API carries them; "" for none.
func FormatWarnings(warnings []string) string {
	if len(warnings) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d warning(s):\n\n", len(warnings))
	for _, w := range warnings {
		fmt.Fprintf(&b, "* %s\n", w)
	}
	return b.String()
}

// A validation collects faults. path is where the document is being looked at.
type validation struct {
	path     []string
	errs     FieldErrors
	warnings []string
}

func (v *validation) in(what, name string, fn func()) {
	v.path = append(v.path, fmt.Sprintf("%s %q", what, name))
	fn()
	v.path = v.path[:len(v.path)-1]
}

func (v *validation) at(what string, fn func()) {
	v.path = append(v.path, what)
	fn()
	v.path = v.path[:len(v.path)-1]
}

func (v *validation) fault(format string, args ...any) {
	v.errs.Addf(strings.Join(v.path, " / "), format, args...)
}

func (v *validation) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(v.path) > 0 {
		text = strings.Join(v.path, " / ") + ": " + text
	}
	v.warnings = append(v.warnings, text)
}

func (v *validation) oneOf(what, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	v.fault("%s %q is not one of %s", what, value, strings.Join(allowed, ", "))
}

func (v *validation) notNegative(what string, d time.Duration) {
	if d < 0 {
		v.fault("%s must not be negative, is %s", what, d)
	}
}

func (v *validation) job(j *Job) {
	switch {
	case j.ID == "":
		v.fault("Missing job ID")
	case strings.Contains(string(j.ID), " "):
		v.fault("Job ID %q contains a space", j.ID)
	case strings.Contains(string(j.ID), "\x00"):
		v.fault("Job ID contains a null character")
	}
	if strings.Contains(j.Name, "\x00") {
		v.fault("Job name contains a null character")
	}
	if j.Region == "" {
		v.fault("Missing job region")
	}
	if j.Namespace == "" {
		v.fault("Missing job namespace")
	}
	v.oneOf("Job type", j.Type, JobTypeService, JobTypeBatch, JobTypeSystem, JobTypeSysBatch)
	if j.Priority < 1 || j.Priority > MaxJobPriority {
		v.fault("Job priority must be between 1 and %d, is %d", MaxJobPriority, j.Priority)
	}
	for _, dc := range j.Datacenters {
		if dc == "" {
			v.fault("Job datacenter must not be an empty string")
		}
	}
	if len(j.TaskGroups) == 0 {
		v.fault("Missing job task groups")
	}
	if j.Multiregion != nil && len(j.Multiregion.Regions) > 0 {
		v.fault("multiregion jobs are not supported")
	}
	v.constraints(j.Constraints, true)
	v.affinities(j.Affinities, j.Type)
	v.spreads(j.Spreads, j.Type)
	v.periodic(j)
	v.parameterized(j)

	seen, total := map[string]int{}, 0
	for i, g := range j.TaskGroups {
		if g.Name == "" {
			v.fault("group %d has no name", i+1)
		} else if first, ok := seen[g.Name]; ok {
			v.fault("group %d redefines %q from group %d", i+1, g.Name, first)
		} else {
			seen[g.Name] = i + 1
		}
		total += max(g.Count, 0)
		v.in("group", g.Name, func() { v.group(j, g) })
	}
	if total > maxJobCount {
		v.fault("the counts of all groups add up to %d, more than %d", total, maxJobCount)
	}
}

func (v *validation) periodic(j *Job) {
	p := j.Periodic
	if p == nil {
		return
	}
	if j.Type != JobTypeBatch && j.Type != JobTypeSysBatch {
		v.fault("periodic is only for batch and sysbatch jobs")
	}
	if !p.Enabled {
		return
	}
	v.at("periodic", func() {
		specs := p.Specs
		switch {
		case p.Spec != "" && len(p.Specs) > 0:
			v.fault("only one of cron and crons may be given")
		case p.Spec != "":
			specs = []string{p.Spec}
			v.warn("cron is deprecated, use crons")
		case len(p.Specs) == 0:
			v.fault("crons is missing")
		}
		if _, err := time.LoadLocation(p.TimeZone); err != nil {
			v.fault("time_zone %q is not known", p.TimeZone)
		}
		if p.SpecType != "cron" {
			v.fault("SpecType %q is not known, use cron", p.SpecType)
		}
		for _, s := range specs {
			if strings.HasPrefix(strings.TrimSpace(s), "@reboot") {
				v.fault("cron %q: @reboot is not supported", s)
			} else if _, err := cronexpr.Parse(s); err != nil {
				v.fault("cron %q: %v", s, err)
			}
		}
	})
}

func (v *validation) parameterized(j *Job) {
	p := j.ParameterizedJob
	if p == nil {
		return
	}
	if j.Type != JobTypeBatch && j.Type != JobTypeSysBatch {
		v.fault("parameterized is only for batch and sysbatch jobs")
	}
	v.at("parameterized", func() {
		v.oneOf("payload", p.Payload, "optional", "required", "forbidden")
		for _, k := range p.MetaRequired {
			for _, o := range p.MetaOptional {
				if k == o {
					v.fault("meta key %q is both required and optional", k)
				}
			}
		}
	})
}

func (v *validation) group(j *Job, g *TaskGroup) {
	if strings.Contains(g.Name, "\x00") {
		v.fault("name contains a null character")
	}
	if g.Count < 0 {
		v.fault("count must not be negative, is %d", g.Count)
	}
	if j.Type == JobTypeSystem && g.Count > 1 {
		v.fault("count of a system job must be 0 or 1, is %d", g.Count)
	}
	if g.ShutdownDelay != nil {
		v.notNegative("shutdown_delay", *g.ShutdownDelay)
	}
	if d := g.MaxRunDuration; d != nil {
		if *d <= 0 {
			v.fault("max_run_duration must be positive, is %s", *d)
		}
		if rolls(j.Type) {
			v.fault("max_run_duration is only for batch and sysbatch jobs")
		}
	}
	v.constraints(g.Constraints, true)
	v.affinities(g.Affinities, j.Type)
	v.spreads(g.Spreads, j.Type)
	v.at("restart", func() { v.restart(g.RestartPolicy) })
	v.at("reschedule", func() { v.reschedule(j.Type, g.ReschedulePolicy) })
	v.at("update", func() { v.update(j.Type, g) })
	v.at("migrate", func() { v.migrate(j.Type, g.Migrate) })
	v.at("disconnect", func() { v.disconnect(g.Disconnect) })
	v.at("scaling", func() { v.scaling(j.Type, g) })
	if g.EphemeralDisk.SizeMB < 10 {
		v.fault("ephemeral_disk size must be at least 10 MB, is %d", g.EphemeralDisk.SizeMB)
	}
	v.networks(g)
	for name, vol := range g.Volumes {
		v.in("volume", name, func() { v.volume(j, g, vol) })
	}
	v.services(g)

	if len(g.Tasks) == 0 {
		v.fault("Missing tasks")
		return
	}
	seen, mains, leaders := map[string]bool{}, 0, 0
	for _, t := range g.Tasks {
		if t.Name != "" && seen[t.Name] {
			v.fault("task %q is defined twice", t.Name)
		}
		seen[t.Name] = true
		if t.IsMain() {
			mains++
		}
		if t.Leader {
			leaders++
		}
		v.in("task", t.Name, func() { v.task(j, g, t) })
	}
	if mains == 0 {
		v.fault("the group must have a main task, one without a lifecycle block")
	}
	if leaders > 1 {
		v.fault("only one task may be the leader, %d are", leaders)
	}
	v.shutdownDelayWarning(g)
}

func (v *validation) shutdownDelayWarning(g *TaskGroup) {
	delayed := g.ShutdownDelay != nil && *g.ShutdownDelay > 0
	services := len(g.Services) > 0
	for _, t := range g.Tasks {
		delayed = delayed || t.ShutdownDelay > 0
		services = services || len(t.Services) > 0
	}
	if services && !delayed {
		v.warn("has services but no shutdown_delay; clients may still connect while tasks stop")
	}
}

func (v *validation) restart(p *RestartPolicy) {
	v.oneOf("mode", p.Mode, RestartModeFail, RestartModeDelay)
	if p.Mode == RestartModeDelay && p.Attempts == 0 {
		v.fault("mode delay with 0 attempts is ambiguous, use mode fail")
	}
	if p.Interval < 5*time.Second {
		v.fault("interval must be at least 5s, is %s", p.Interval)
	}
	if time.Duration(p.Attempts)*p.Delay > p.Interval {
		v.fault("%d attempts with a delay of %s do not fit into an interval of %s", p.Attempts, p.Delay, p.Interval)
	}
}

func (v *validation) reschedule(jobType string, p *ReschedulePolicy) {
	if p == nil {
		return
	}
	if jobType == JobTypeSystem || jobType == JobTypeSysBatch {
		v.fault("%s jobs are not rescheduled", jobType)
		return
	}
	if !p.Unlimited && p.Attempts == 0 {
		return // turned off
	}
	if p.Unlimited && p.Attempts > 0 {
		v.fault("unlimited with attempts %d is ambiguous, set one of them", p.Attempts)
	}
	if p.Attempts > 0 && p.Interval <= 0 {
		v.fault("attempts need an interval")
	}
	if p.Attempts > 0 && p.Interval > 0 && p.Interval < 15*time.Second {
		v.fault("interval must be at least 15s, is %s", p.Interval)
	}
	if p.Delay < 5*time.Second {
		v.fault("delay must be at least 5s, is %s", p.Delay)
	}
	v.oneOf("delay_function", p.DelayFunction, "constant", "exponential", "fibonacci")
	if p.DelayFunction != "constant" {
		if p.MaxDelay < 5*time.Second {
			v.fault("max_delay must be at least 5s, is %s", p.MaxDelay)
		}
		if p.MaxDelay < p.Delay {
			v.fault("max_delay %s is less than delay %s", p.MaxDelay, p.Delay)
		}
	}
	if !p.Unlimited && p.Attempts > 0 {
		var need time.Duration
		for n := range p.Attempts {
			need += p.DelayAfter(n)
		}
		if need > p.Interval {
			v.fault("%d attempts need an interval of at least %s, is %s", p.Attempts, need, p.Interval)
		}
	}
}

// DelayAfter is how long to wait before rescheduling after n earlier
// attempts.
func (p *ReschedulePolicy) DelayAfter(n int) time.Duration {
	d := p.Delay
	switch p.DelayFunction {
	case "exponential":
		for range n {
			if d *= 2; p.MaxDelay > 0 && d >= p.MaxDelay {
				break
			}
		}
	case "fibonacci":
		prev := time.Duration(0)
		for range n {
			prev, d = d, d+prev
			if p.MaxDelay > 0 && d >= p.MaxDelay {
				break
			}
		}
	default:
		return d
	}
	if p.MaxDelay > 0 && d > p.MaxDelay {
		d = p.MaxDelay
	}
	return d
}

func (v *validation) update(jobType string, g *TaskGroup) {
	u := g.Update
	if u == nil {
		return
	}
	if !rolls(jobType) {
		v.fault("%s jobs have no update block", jobType)
		return
	}
	v.oneOf("health_check", u.HealthCheck, HealthChecks, HealthTaskStates, HealthManual)
	if u.MaxParallel < 0 {
		v.fault("max_parallel must not be negative, is %d", u.MaxParallel)
	}
	if u.MaxParallel > g.Count && g.Count > 1 {
		v.warn("max_parallel %d is more than the count %d", u.MaxParallel, g.Count)
	}
	if u.Canary < 0 {
		v.fault("canary must not be negative, is %d", u.Canary)
	}
	if u.AutoPromote && u.Canary == 0 {
		v.fault("auto_promote needs canary to be more than 0")
	}
	v.notNegative("min_healthy_time", u.MinHealthyTime)
	v.notNegative("stagger", u.Stagger)
	v.notNegative("progress_deadline", u.ProgressDeadline)
	if u.HealthyDeadline <= 0 {
		v.fault("healthy_deadline must be positive, is %s", u.HealthyDeadline)
	}
	if u.MinHealthyTime >= u.HealthyDeadline {
		v.fault("min_healthy_time %s must be less than healthy_deadline %s", u.MinHealthyTime, u.HealthyDeadline)
	}
	if u.ProgressDeadline != 0 && u.HealthyDeadline >= u.ProgressDeadline {
		v.fault("healthy_deadline %s must be less than progress_deadline %s", u.HealthyDeadline, u.ProgressDeadline)
	}
}

func (v *validation) migrate(jobType string, m *MigrateStrategy) {
	if m == nil {
		return
	}
	if jobType != JobTypeService {
		v.fault("only service jobs have a migrate block, not %s", jobType)
		return
	}
	v.oneOf("health_check", m.HealthCheck, HealthChecks, HealthTaskStates)
	if m.MaxParallel < 0 {
		v.fault("max_parallel must not be negative, is %d", m.MaxParallel)
	}
	v.notNegative("min_healthy_time", m.MinHealthyTime)
	if m.MinHealthyTime >= m.HealthyDeadline {
		v.fault("min_healthy_time %s must be less than healthy_deadline %s", m.MinHealthyTime, m.HealthyDeadline)
	}
}

func (v *validation) disconnect(d *DisconnectStrategy) {
	if d == nil {
		return
	}
	v.notNegative("lost_after", d.LostAfter)
	if d.StopOnClientAfter != nil {
		v.notNegative("stop_on_client_after", *d.StopOnClientAfter)
		if d.LostAfter != 0 {
			v.fault("only one of lost_after and stop_on_client_after may be given")
		}
	}
	v.oneOf("reconcile", d.Reconcile, "best_score", "keep_original", "keep_replacement", "longest_running")
}

func (v *validation) scaling(jobType string, g *TaskGroup) {
	s := g.Scaling
	if s == nil {
		return
	}
	if jobType == JobTypeSystem {
		v.fault("system jobs cannot be scaled")
	}
	v.oneOf("type", s.Type, "horizontal")
	if s.Min < 0 {
		v.fault("min must not be negative, is %d", s.Min)
	}
	if s.Max < s.Min {
		v.fault("max %d is less than min %d", s.Max, s.Min)
	}
	if int64(g.Count) > s.Max {
		v.fault("count %d is more than max %d", g.Count, s.Max)
	}
	if int64(g.Count) < s.Min {
		v.fault("count %d is less than min %d", g.Count, s.Min)
	}
}
