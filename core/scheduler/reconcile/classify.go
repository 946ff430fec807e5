package reconcile

import (
	"time"

	"github.com/seraiproject/serai/core/model"
)

// class is what an allocation is to the servers, whatever the job wants.
type class int

const (
	ignore        class = iota // it is over, and means nothing any more
	keep                       // it has its place
	migrate                    // it is to leave its node
	lost                       // its node is gone
	expiring                   // its node was away for too long
	disconnecting              // its node is away since now
	reconnecting               // its node came back
)

// classify finds the class of an allocation. The first rule that matches
// decides.
func classify(a *model.Allocation, node *model.Node, batch bool, now time.Time) class {
	d := disconnectOf(a)
	unknownSince, wasUnknown := wasUnknown(a)
	switch {
	case wasUnknown && a.DesiredStatus == model.AllocDesiredRun && a.ClientStatus == model.AllocClientFailed:
		return reconnecting
	case a.ServerTerminal() && batch && stoppedForGood(a):
		return keep
	case a.ServerTerminal():
		return ignore
	case a.ClientTerminal() && a.DeploymentStatus.IsCanary() && a.DesiredTransition.ShouldMigrate():
		return migrate
	case a.ClientTerminal():
		return keep
	case a.ClientStatus == model.AllocClientUnknown && d != nil && d.LostAfter > 0 &&
		wasUnknown && !now.Before(unknownSince.Add(d.LostAfter)):
		return expiring
	}
	if node != nil && node.Status == model.NodeStatusDisconnected {
		switch {
		case a.ClientStatus == model.AllocClientUnknown:
			return keep
		case a.ClientStatus == model.AllocClientPending, d == nil || d.LostAfter <= 0:
			return lost
		}
		return disconnecting
	}
	if a.DesiredTransition.ShouldMigrate() {
		return migrate
	}
	switch {
	case node == nil:
		return lost
	case node.Status != model.NodeStatusDown && wasUnknown:
		return reconnecting
	case node.Status != model.NodeStatusDown:
		return keep
	case d != nil && !d.Replace && a.ClientStatus == model.AllocClientUnknown:
		return keep
	case d != nil && !d.Replace && a.ClientStatus == model.AllocClientRunning:
		return disconnecting
	}
	return lost
}

// stoppedForGood tells an allocation that a drain stopped at its deadline and
// that is not to be replaced.
func stoppedForGood(a *model.Allocation) bool {
	t := a.DesiredTransition.MigrateDisablePlacement
	return t != nil && *t
}

// wasUnknown reports whether the last change that the servers made to the
// client status was to unknown, and when.
func wasUnknown(a *model.Allocation) (time.Time, bool) {
	if n := len(a.StateChanges); n > 0 && a.StateChanges[n-1].ClientStatus == model.AllocClientUnknown {
		return a.StateChanges[n-1].Time, true
	}
	return time.Time{}, false
}

func disconnectOf(a *model.Allocation) *model.DisconnectStrategy {
	if tg := a.Group(); tg != nil {
		return tg.Disconnect
	}
	return nil
}

// stopOnClientDelay is how long replacements of a lost allocation wait for its
// node to have stopped it; 0 when they do not.
func stopOnClientDelay(a *model.Allocation) time.Duration {
	d := disconnectOf(a)
	if d == nil || d.StopOnClientAfter == nil {
		return 0
	}
	longest := minStopOnClient
	for _, t := range a.Group().Tasks {
		longest = max(longest, t.KillTimeout)
	}
	return *d.StopOnClientAfter + longest
}

// WithState returns a copy whose client status the servers set themselves.
func WithState(a *model.Allocation, status string, now time.Time) *model.Allocation {
	c := *a
	c.ClientStatus = status
	c.StateChanges = append(a.StateChanges[:len(a.StateChanges):len(a.StateChanges)],
		model.AllocStateChange{ClientStatus: status, Time: now})
	return &c
}
