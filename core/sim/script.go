package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// Execute runs one command of a script and returns what it shows. These are:
//
//	node add NAME [cpu=MHZ] [memory=MB] [disk=MB] [dc=DC] [ports=N] [max_allocs=N] [meta.KEY=VALUE]
//	node down NAME | node up NAME          cut off and heard of again
//	node ineligible NAME | node eligible NAME
//	drain NAME [deadline=DURATION]
//	register NAME [KEY=VALUE]...           see jobKeys; or register {JSON}
//	stop NAME [purge]
//	promote NAME
//	alloc fail|complete|stop NAME          such as web.web[0]: the newest that runs
//	advance DURATION
//	failover                               another server leads
//	restore                                go on from a snapshot
//	allocs [JOB] | evals [JOB] | deployment [JOB] | nodes | jobs
//
// A command that is refused shows why. The error says that the cluster itself
// is broken.
func (c *Cluster) Execute(line string) (string, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return "", nil
	}
	if words[0] == "register" {
		job, err := parseJob(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "register")))
		if err == nil {
			err = c.Register(job)
		}
		return shown(err)
	}
	args := arguments{words: words}
	var err error
	text := ""
	switch cmd := args.word(); cmd {
	case "node":
		err = c.executeNode(&args)
	case "drain":
		name := args.word()
		err = c.Drain(name, args.duration("deadline"))
	case "stop":
		name := args.word()
		err = c.Deregister(model.JobID(name), args.word() == "purge")
	case "promote":
		err = c.Promote(model.JobID(args.word()))
	case "alloc":
		err = c.executeAlloc(&args)
	case "advance":
		var d time.Duration
		if d, err = time.ParseDuration(args.word()); err == nil {
			err = c.Advance(d)
		}
	case "failover":
		err = c.Failover()
	case "restore":
		err = c.Restore()
	case "allocs", "evals", "deployment", "nodes", "jobs":
		text = c.show(cmd, model.JobID(args.word()))
	default:
		err = model.Errorf(model.ErrInvalid, "unknown command %q", cmd)
	}
	if err = errors.Join(err, args.left()); err != nil {
		return shown(err)
	}
	return text, nil
}

// shown tells an answer to a script from a broken cluster.
func shown(err error) (string, error) {
	if err == nil {
		return "", nil
	}
	if refused(err) {
		return "refused: " + strings.TrimSpace(err.Error()) + "\n", nil
	}
	return "", err
}

func (c *Cluster) executeNode(args *arguments) error {
	verb, name := args.word(), args.word()
	switch verb {
	case "add":
		spec := NodeSpec{
			Name: name, Datacenter: args.text("dc"), CPU: int64(args.number("cpu")), MemoryMB: int64(args.number("memory")),
			DiskMB: int64(args.number("disk")), Ports: args.number("ports"), MaxAllocs: args.number("max_allocs"), Meta: args.prefixed("meta."),
		}
		if err := args.left(); err != nil {
			return err
		}
		return c.AddNode(spec)
	case "down":
		return c.Silence(name)
	case "up":
		return c.Return(name)
	case "ineligible", "eligible":
		return c.SetEligible(name, verb == "eligible")
	}
	return model.Errorf(model.ErrInvalid, "unknown command node %s", verb)
}

func (c *Cluster) executeAlloc(args *arguments) error {
	verb, name := args.word(), args.word()
	var newest *model.Allocation
	for a := range c.State().AllocsReverse() {
		if a.Name == name && !a.Terminal() {
			newest = a
			break
		}
	}
	if newest == nil {
		return model.Errorf(model.ErrNotFound, "no allocation %s runs", name)
	}
	switch verb {
	case "fail", "complete":
		return c.EndAlloc(newest.ID, verb == "fail")
	case "stop":
		return c.StopAlloc(newest.ID)
	}
	return model.Errorf(model.ErrInvalid, "unknown command alloc %s", verb)
}

// arguments are the words of a command.
type arguments struct {
	words []string
	err   error
}

// word takes the next word that is no KEY=VALUE, or nothing.
func (a *arguments) word() string {
	for i, w := range a.words {
		if !strings.Contains(w, "=") {
			a.words = slices.Delete(a.words, i, i+1)
			return w
		}
	}
	return ""
}

// text takes the value of a key, or nothing.
func (a *arguments) text(key string) string {
	for i, w := range a.words {
		if k, v, ok := strings.Cut(w, "="); ok && k == key {
			a.words = slices.Delete(a.words, i, i+1)
			return v
		}
	}
	return ""
}

func (a *arguments) number(key string) int {
	text := a.text(key)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		a.err = errors.Join(a.err, model.Errorf(model.ErrInvalid, "%s must be a number", key))
	}
	return n
}

func (a *arguments) duration(key string) time.Duration {
	text := a.text(key)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		a.err = errors.Join(a.err, model.Errorf(model.ErrInvalid, "%s must be a duration", key))
	}
	return d
}

func (a *arguments) prefixed(prefix string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(a.words); {
		k, v, ok := strings.Cut(a.words[i], "=")
		if !ok || !strings.HasPrefix(k, prefix) {
			i++
			continue
		}
		out[strings.TrimPrefix(k, prefix)] = v
		a.words = slices.Delete(a.words, i, i+1)
	}
	return out
}

// left fails when there are words that nothing has taken.
func (a *arguments) left() error {
	if len(a.words) > 0 {
		return errors.Join(a.err, model.Errorf(model.ErrInvalid, "unknown argument %q", a.words[0]))
	}
	return a.err
}

// jobKeys are the keys of register, beside the sim keys of MetaRuns and its
// like without "sim.", which become meta of the job:
//
//	type count cpu memory cores disk priority dc
//	v                    anything: a change of it replaces allocations
//	port dynamic         a static port; how many dynamic ones
//	update canary        update.max_parallel and .canary: have deployments
//	auto_promote auto_revert progress healthy    the rest of the update block
//	attempts delay       a reschedule policy that ends
//	lost_after           disconnect.lost_after
//	distinct spread      distinct_hosts; spread over an attribute
//	migrate              migrate.max_parallel
var jobKeys = []string{
	"type", "count", "cpu", "memory", "cores", "disk", "priority", "dc", "v", "port", "dynamic", "update", "canary",
	"auto_promote", "auto_revert", "progress", "healthy", "attempts", "delay", "lost_after", "distinct", "spread", "migrate",
}

// parseJob reads a job: JSON, or a name and keys.
func parseJob(text string) (*model.Job, error) {
	if strings.HasPrefix(text, "{") {
		job := &model.Job{}
		if err := json.Unmarshal([]byte(text), job); err != nil {
			return nil, model.Errorf(model.ErrInvalid, "read job: %v", err)
		}
		return job, nil
	}
	args := arguments{words: strings.Fields(text)}
	name := args.word()
	given := map[string]string{}
	for _, k := range jobKeys {
		if v := args.text(k); v != "" {
			given[k] = v
		}
	}
	meta := map[string]any{}
	for _, k := range []string{MetaStarts, MetaRuns, MetaFails, MetaStops} {
		if v := args.text(strings.TrimPrefix(k, "sim.")); v != "" {
			meta[k] = v
		}
	}
	if err := args.left(); err != nil {
		return nil, err
	}
	doc, err := jobDocument(name, given)
	if err != nil {
		return nil, err
	}
	doc["Meta"] = meta
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("describe job %s: %w", name, err)
	}
	job := &model.Job{}
	if err := json.Unmarshal(b, job); err != nil {
		return nil, model.Errorf(model.ErrInvalid, "read job %s: %v", name, err)
	}
	return job, nil
}

// jobDocument makes the JSON document of a job, which the model fills with its
// defaults.
func jobDocument(name string, given map[string]string) (map[string]any, error) {
	var faults error
	number := func(key string, otherwise int) int {
		text, ok := given[key]
		if !ok {
			return otherwise
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			faults = errors.Join(faults, model.Errorf(model.ErrInvalid, "%s must be a number", key))
		}
		return n
	}
	duration := func(into map[string]any, key, name string) {
		if text, ok := given[key]; ok {
			d, err := time.ParseDuration(text)
			if err != nil {
				faults = errors.Join(faults, model.Errorf(model.ErrInvalid, "%s must be a duration", key))
			}
			into[name] = d
		}
	}
	resources := map[string]any{"CPU": number("cpu", 100), "MemoryMB": number("memory", 100)}
	if n := number("cores", 0); n > 0 {
		resources = map[string]any{"Cores": n, "MemoryMB": number("memory", 100)}
	}
	group := map[string]any{
		"Name": name, "Count": number("count", 1), "EphemeralDisk": map[string]any{"SizeMB": number("disk", 300)},
		"Tasks": []any{map[string]any{
			"Name": "task", "Driver": "mock", "Env": map[string]any{"V": given["v"]}, "Resources": resources,
		}},
	}
	var dynamic, static []any
	for i := range number("dynamic", 0) {
		dynamic = append(dynamic, map[string]any{"Label": fmt.Sprint("p", i)})
	}
	if p := number("port", 0); p > 0 {
		static = append(static, map[string]any{"Label": "static", "Value": p})
	}
	if len(dynamic)+len(static) > 0 {
		group["Networks"] = []any{map[string]any{"Mode": "host", "DynamicPorts": dynamic, "ReservedPorts": static}}
	}
	update := map[string]any{"MaxParallel": number("update", 0)}
	for key, name := range map[string]string{"auto_promote": "AutoPromote", "auto_revert": "AutoRevert"} {
		update[name] = given[key] == "true"
	}
	update["Canary"] = number("canary", 0)
	duration(update, "progress", "ProgressDeadline")
	duration(update, "healthy", "HealthyDeadline")
	jobType := given["type"]
	if jobType == "" {
		jobType = model.JobTypeService
	}
	if jobType == model.JobTypeService {
		group["Update"] = update
	}
	reschedule := map[string]any{}
	if _, ok := given["attempts"]; ok {
		reschedule["Unlimited"], reschedule["Attempts"], reschedule["Interval"] = false, number("attempts", 0), 24*time.Hour
		reschedule["DelayFunction"] = "constant"
	}
	duration(reschedule, "delay", "Delay")
	if len(reschedule) > 0 {
		group["ReschedulePolicy"] = reschedule
	}
	if _, ok := given["lost_after"]; ok {
		d := map[string]any{"Replace": true}
		duration(d, "lost_after", "LostAfter")
		group["Disconnect"] = d
	}
	if _, ok := given["migrate"]; ok {
		group["Migrate"] = map[string]any{"MaxParallel": number("migrate", 1)}
	}
	job := map[string]any{
		"ID": name, "Name": name, "Type": jobType, "Priority": number("priority", model.DefaultJobPriority),
		"Datacenters": []string{"*"}, "TaskGroups": []any{group},
	}
	if dc, ok := given["dc"]; ok {
		job["Datacenters"] = []string{dc}
	}
	if given["distinct"] == "true" {
		job["Constraints"] = []any{map[string]any{"Operand": model.OpDistinctHosts}}
	}
	if attribute, ok := given["spread"]; ok {
		job["Spreads"] = []any{map[string]any{"Attribute": attribute, "Weight": 50}}
	}
	return job, faults
}

// show lists objects.
func (c *Cluster) show(what string, job model.JobID) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	snap := c.State()
	wanted := func(id model.JobID) bool { return job == "" || job == id }
	switch what {
	case "allocs":
		var rows []*model.Allocation
		for a := range snap.Allocs(nil) {
			if wanted(a.JobID) {
				rows = append(rows, a)
			}
		}
		slices.SortStableFunc(rows, func(a, b *model.Allocation) int {
			if a.JobID != b.JobID {
				return strings.Compare(string(a.JobID), string(b.JobID))
			}
			return a.Index() - b.Index()
		})
		for _, a := range rows {
			health := "-"
			switch {
			case a.DeploymentStatus.IsHealthy():
				health = "healthy"
			case a.DeploymentStatus.IsUnhealthy():
				health = "unhealthy"
			}
			if a.DeploymentStatus.IsCanary() {
				health += " canary"
			}
			fmt.Fprintf(w, "%s\tv%d\t%s\t%s\t%s\t%s\n", a.Name, a.JobVersion, a.NodeName, a.DesiredStatus, a.ClientStatus, health)
		}
	case "evals":
		for e := range snap.Evals(nil) {
			if !wanted(e.JobID) {
				continue
			}
			text := e.Status
			if e.Status == model.EvalStatusPending && !e.WaitUntil.IsZero() {
				text += " in " + e.WaitUntil.Sub(c.now).String()
			}
			if n := e.QueuedAllocations[string(e.JobID)]; n > 0 {
				text += fmt.Sprintf(", %d queued", n)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", e.JobID, e.TriggeredBy, text)
		}
	case "deployment":
		for d := range snap.Deployments(nil) {
			if !wanted(d.JobID) {
				continue
			}
			for _, name := range sorted(d.TaskGroups) {
				g := d.TaskGroups[name]
				fmt.Fprintf(w, "%s v%d\t%s\t%d/%d healthy, %d placed, %d unhealthy\t%s\n", d.JobID, d.JobVersion, d.Status,
					g.HealthyAllocs, g.DesiredTotal, g.PlacedAllocs, g.UnhealthyAllocs, d.StatusDescription)
			}
		}
	case "nodes":
		view := snap.Cluster()
		for n := range snap.Nodes(nil, "") {
			used := view.Node(n.ID)
			text := n.SchedulingEligibility
			if n.Drain {
				text = "draining"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d/%d MHz\t%d/%d MB\t%d allocs\n", n.Name, n.Status, text, used.UsedCPU,
				n.NodeResources.Cpu.CpuShares, used.UsedMemoryMB, n.NodeResources.Memory.MemoryMB, len(used.Allocs))
		}
	case "jobs":
		for j := range snap.Jobs(nil, model.AllNamespaces, "") {
			stable := ""
			if j.Stable {
				stable = "stable"
			}
			fmt.Fprintf(w, "%s\tv%d\t%s\t%s\n", j.ID, j.Version, j.Status, stable)
		}
	}
	w.Flush()
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
