package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

// deploymentQuiet is how long a deployment may stand still before its state is
// printed again.
const deploymentQuiet = 5 * time.Minute

// watchDeployment prints a deployment's state at every change until it is over,
// and then that of the rollback it may have led to. announce prints a headline
// first. It returns the exit code.
func (m *monitor) watchDeployment(ctx context.Context, id model.DeploymentID, announce bool) int {
	if announce {
		m.headline("Monitoring deployment %q", short(id, m.length))
	}
	m.watched = id
	var show deploymentView = &plainView{m: m}
	if m.color && isTerminal(m.deps.Stdout) {
		show = &liveView{m: m}
	}
	d, err := m.followDeployment(ctx, id, show)
	if err != nil {
		return m.interrupted(ctx, "Error fetching deployment: %v", err)
	}
	if d.Status == model.DeploymentStatusSuccessful {
		return exitOK
	}
	if d.Status == model.DeploymentStatusFailed && strings.Contains(d.StatusDescription, " - rolling back to job version") {
		if next := m.rollback(ctx, d); next != "" {
			m.println("")
			m.watchDeployment(ctx, next, false)
		}
	}
	return exitError
}

// rollback waits for the deployment that brings the former version back. There
// is none when the former version's allocations still run as they are.
func (m *monitor) rollback(ctx context.Context, failed *model.Deployment) model.DeploymentID {
	deadline := m.now().Add(10 * time.Second)
	q := &apiclient.Query{Namespace: failed.Namespace, Wait: pollInterval}
	for m.now().Before(deadline) {
		d, meta, err := m.api.LatestDeployment(ctx, failed.JobID, q)
		if err != nil {
			return ""
		}
		if d != nil && d.ID != failed.ID && d.CreateIndex > failed.CreateIndex {
			return d.ID
		}
		if q.Index = meta.Index; q.Index == 0 {
			return ""
		}
	}
	return ""
}

// followDeployment shows a deployment until its status is final.
func (m *monitor) followDeployment(ctx context.Context, id model.DeploymentID, show deploymentView) (*model.Deployment, error) {
	type answer struct {
		d    *model.Deployment
		meta *apiclient.Meta
		err  error
	}
	answers := make(chan answer, 1)
	ask := func(index uint64) {
		d, meta, err := m.api.Deployment(ctx, id, &apiclient.Query{Stale: true, Index: index, Wait: deploymentQuiet})
		answers <- answer{d, meta, err}
	}
	go ask(0)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			show.tick()
		case a := <-answers:
			if a.err != nil {
				return nil, a.err
			}
			show.update(a.d)
			if !a.d.Active() {
				show.end(a.d)
				return a.d, nil
			}
			if a.meta.Index == 0 {
				select {
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-time.After(pollInterval):
				}
			}
			go ask(a.meta.Index)
		}
	}
}

// deploymentView shows a deployment's progress.
type deploymentView interface {
	update(*model.Deployment)
	tick()
	end(*model.Deployment)
}

// plainView prints the whole state each time.
type plainView struct{ m *monitor }

func (v *plainView) update(d *model.Deployment) {
	v.m.printf("    \n%s\n%s\n", v.m.clock(v.m.now()), v.m.deploymentBlock(d, v.m.length))
}
func (v *plainView) tick()                 {}
func (v *plainView) end(*model.Deployment) {}

// liveView redraws the state in place, under a line with a spinner.
type liveView struct {
	m     *monitor
	d     *model.Deployment
	spin  int
	lines int // drawn last
}

var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

func (v *liveView) draw(headline string) {
	text := headline + "\n\n" + indent(v.m.clock(v.m.now())+"\n"+v.m.deploymentBlock(v.d, v.m.length), 4) + "\n"
	if v.lines > 0 {
		v.m.printf("\x1b[%dA\x1b[J", v.lines)
	}
	v.m.printf("%s", text)
	v.lines = strings.Count(text, "\n")
}

func (v *liveView) glyph() string { return string(spinner[v.spin%len(spinner)]) }

func (v *liveView) update(d *model.Deployment) {
	v.d = d
	v.draw(fmt.Sprintf("%s Deployment %q in progress...", v.glyph(), short(d.ID, v.m.length)))
}

func (v *liveView) tick() {
	if v.d != nil && v.d.Active() {
		v.spin++
		v.update(v.d)
	}
}

func (v *liveView) end(d *model.Deployment) {
	glyph := v.glyph()
	if d.Status == model.DeploymentStatusSuccessful {
		glyph = v.m.paint(green, "✓")
	}
	v.draw(fmt.Sprintf("%s Deployment %q %s", glyph, short(d.ID, v.m.length), d.Status))
}

// deploymentBlock is a deployment with its groups.
func (s *session) deploymentBlock(d *model.Deployment, length int) string {
	out := pairs(
		"ID", short(d.ID, length),
		"Job ID", string(d.JobID),
		"Job Version", fmt.Sprint(d.JobVersion),
		"Status", d.Status,
		"Description", d.StatusDescription,
	)
	if len(d.TaskGroups) > 0 {
		out += "\n\n" + s.paint(bold, "Deployed") + "\n" + s.deployedTable(d)
	}
	return out
}

// deployedTable counts a deployment's allocations per group. Some columns show
// only when a group uses them.
func (s *session) deployedTable(d *model.Deployment) string {
	var revert, canaries bool
	for _, g := range d.TaskGroups {
		revert = revert || g.AutoRevert
		canaries = canaries || g.DesiredCanaries > 0
	}
	row := func(group, autoRevert, promoted, desired, canary string, rest ...string) []string {
		out := []string{group}
		if revert {
			out = append(out, autoRevert)
		}
		if canaries {
			out = append(out, promoted)
		}
		out = append(out, desired)
		if canaries {
			out = append(out, canary)
		}
		return append(out, rest...)
	}
	rows := [][]string{row("Task Group", "Auto Revert", "Promoted", "Desired", "Canaries", "Placed", "Healthy", "Unhealthy", "Progress Deadline")}
	for _, name := range sortedKeys(d.TaskGroups) {
		g := d.TaskGroups[name]
		promoted := "N/A"
		if g.DesiredCanaries > 0 {
			promoted = fmt.Sprint(g.Promoted)
		}
		rows = append(rows, row(name, fmt.Sprint(g.AutoRevert), promoted, fmt.Sprint(g.DesiredTotal), fmt.Sprint(g.DesiredCanaries),
			fmt.Sprint(g.PlacedAllocs), fmt.Sprint(g.HealthyAllocs), fmt.Sprint(g.UnhealthyAllocs), s.clock(g.RequireProgressBy)))
	}
	return table(rows...)
}
