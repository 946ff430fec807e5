package taskrunner

import (
	"fmt"
	"time"

	"github.com/seraiproject/serai/core/model"
)

const (
	reasonWithinPolicy  = "Restart within policy"
	reasonNoRestarts    = "Policy allows no restarts"
	reasonUnrecoverable = "Error was unrecoverable"
	reasonDelay         = "Exceeded allowed attempts, applying a delay"
)

// decision is what a restart policy says.
type decision struct {
	restart bool
	delay   time.Duration
	reason  string
}

// decide applies a restart policy to a task that just ended or failed to
// start. jitter is from [0, 1). The policy may be nil: no restarts.
func decide(a Attempts, p *model.RestartPolicy, now time.Time, jitter float64) (Attempts, decision) {
	if p == nil || p.Attempts <= 0 {
		return a, decision{reason: reasonNoRestarts}
	}
	if a.Since.IsZero() || now.Sub(a.Since) > p.Interval {
		a = Attempts{Since: now}
	}
	a.Count++
	if a.Count <= p.Attempts {
		delay := p.Delay
		if delay > 0 {
			delay += time.Duration(jitter * float64(delay) / 4)
		}
		return a, decision{restart: true, delay: max(delay, 0), reason: reasonWithinPolicy}
	}
	if p.Mode == model.RestartModeDelay {
		return a, decision{restart: true, delay: max(a.Since.Add(p.Interval).Sub(now), 0), reason: reasonDelay}
	}
	return a, decision{reason: fmt.Sprintf("Exceeded allowed attempts %d in interval %s and mode is %q", p.Attempts, p.Interval, p.Mode)}
}
