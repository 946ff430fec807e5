package allocrunner

import (
	"fmt"
	"time"

	"github.com/seraiproject/serai/core/model"
)

// rules are how the health of an allocation is decided.
type rules struct {
	minHealthy time.Duration
	deadline   time.Duration
}

// Values for an allocation whose group says nothing.
const (
	defaultMinHealthy = 10 * time.Second
	defaultDeadline   = 5 * time.Minute
)

// healthRules returns how an allocation's health is decided; false when it is
// not watched here.
func healthRules(a *model.Allocation) (rules, bool) {
	g := a.Group()
	if g == nil {
		return rules{}, false
	}
	if a.DeploymentID != "" && g.Update != nil {
		if g.Update.HealthCheck == model.HealthManual {
			return rules{}, false
		}
		return rules{g.Update.MinHealthyTime, g.Update.HealthyDeadline}, true
	}
	if a.Job.Type != model.JobTypeService {
		return rules{}, false
	}
	if g.Migrate != nil {
		return rules{g.Migrate.MinHealthyTime, g.Migrate.HealthyDeadline}, true
	}
	return rules{defaultMinHealthy, defaultDeadline}, true
}

// verdict is what is known of an allocation's health.
type verdict struct {
	known   bool
	healthy bool
	text    string    // why it is unhealthy
	tasks   []string  // that are to blame
	wake    time.Time // when to look again, while it is not known
}

// judge decides on the health of tasks that are watched since began.
func judge(tasks []view, r rules, began, now time.Time) verdict {
	deadline := began.Add(r.deadline)
	ready := time.Time{} // since when all is as it should be
	var missing []string
	for _, v := range tasks {
		if v.task.IsPoststop() {
			continue
		}
		ephemeral := (v.task.IsPrestart() || v.task.IsPoststart()) && !v.task.IsSidecar()
		switch {
		case v.dead() && (v.state.Failed || !ephemeral):
			return verdict{known: true, text: "Unhealthy because of failed/dead task", tasks: []string{v.task.Name}}
		case v.dead():
			if v.state.FinishedAt.After(ready) {
				ready = v.state.FinishedAt
			}
		case v.running() && !ephemeral:
			if v.state.StartedAt.After(ready) {
				ready = v.state.StartedAt
			}
		default:
			missing = append(missing, v.task.Name)
		}
	}
	healthyAt := ready.Add(r.minHealthy)
	switch {
	case len(missing) == 0 && !now.Before(healthyAt):
		return verdict{known: true, healthy: true}
	case !now.Before(deadline):
		if len(missing) == 0 {
			for _, v := range tasks {
				if v.running() {
					missing = append(missing, v.task.Name)
				}
			}
		}
		return verdict{known: true, tasks: missing, text: fmt.Sprintf(
			"Task not running for min_healthy_time of %v by healthy_deadline of %v", r.minHealthy, r.deadline)}
	case len(missing) == 0 && healthyAt.Before(deadline):
		return verdict{wake: healthyAt}
	}
	return verdict{wake: deadline}
}
