package node

import (
	"context"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocrunner"
	"github.com/seraiproject/serai/core/rpc"
)

const (
	// reportEvery is the shortest time between two reports.
	reportEvery = 10 * time.Millisecond
	// pendingWait is how long news can wait that soon others follow.
	pendingWait = 50 * time.Millisecond
	// Waits after a report that was not taken.
	firstReportRetry, longestReportRetry = 50 * time.Millisecond, 5 * time.Second
	// reportSize is how many allocations go into one report.
	reportSize = 512
)

// reports are the allocations that the servers are to be told of. What is
// told is looked up when it is sent, so it is always the newest.
type reports struct {
	mu      sync.Mutex
	dirty   map[model.AllocID]*allocrunner.Runner
	finals  map[model.AllocID]*model.Allocation // of allocations without a runner
	urgent  chan struct{}
	patient chan struct{}
}

func (p *reports) init() {
	p.dirty = map[model.AllocID]*allocrunner.Runner{}
	p.finals = map[model.AllocID]*model.Allocation{}
	p.urgent, p.patient = make(chan struct{}, 1), make(chan struct{}, 1)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *reports) final(a *model.Allocation) {
	p.mu.Lock()
	p.finals[a.ID] = a
	p.mu.Unlock()
	notify(p.urgent)
}

// report notes that there is something to tell of an allocation.
func (n *Node) report(r *allocrunner.Runner) {
	o := r.Observed()
	n.reports.mu.Lock()
	n.reports.dirty[o.ID] = r
	n.reports.mu.Unlock()
	if o.ClientStatus == model.AllocClientPending {
		notify(n.reports.patient) // it will soon run, or fail to
	} else {
		notify(n.reports.urgent)
	}
}

// take returns what is to be told, and forgets it.
func (p *reports) take() ([]*model.Allocation, map[model.AllocID]*allocrunner.Runner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := map[model.AllocID]*allocrunner.Runner{}
	var list []*model.Allocation
	for id, a := range p.finals {
		list = append(list, a)
		delete(p.finals, id)
	}
	for id, r := range p.dirty {
		if len(list) == reportSize {
			notify(p.urgent)
			break
		}
		list = append(list, r.Observed())
		taken[id] = r
		delete(p.dirty, id)
	}
	return list, taken
}

// putBack makes a report that was not taken be sent again.
func (p *reports) putBack(list []*model.Allocation, taken map[model.AllocID]*allocrunner.Runner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range list {
		if r := taken[a.ID]; r != nil {
			p.dirty[a.ID] = r
		} else {
			p.finals[a.ID] = a
		}
	}
}

// sendReports tells the servers of changes until ctx is done, and then once
// more of what is left.
func (n *Node) sendReports(ctx context.Context) {
	var last time.Time
	retry := firstReportRetry
	for {
		select {
		case <-n.reports.urgent:
		case <-n.reports.patient:
			timer := time.NewTimer(pendingWait)
			select {
			case <-timer.C:
			case <-n.reports.urgent:
			case <-ctx.Done():
			}
			timer.Stop()
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			final, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastReports)
			defer cancel()
			if err := n.sendReport(final); err != nil {
				n.log.Warn("last report is not taken", "error", err)
			}
			return
		}
		if since := time.Since(last); since < reportEvery {
			pause(ctx, reportEvery-since)
		}
		if err := n.sendReport(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("servers do not take the report, trying again", "error", err, "wait", retry)
			pause(ctx, retry)
			retry = min(2*retry, longestReportRetry)
			notify(n.reports.urgent)
		} else {
			retry = firstReportRetry
		}
		last = time.Now()
	}
}

func (n *Node) sendReport(ctx context.Context) error {
	list, taken := n.reports.take()
	if len(list) == 0 {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := rpc.AllocUpdateStatus.Call(call, n.caller, &rpc.AllocUpdateRequest{
		WriteRequest: rpc.WriteRequest{Region: n.config.Region},
		NodeID:       n.identity.ID, SecretID: n.identity.Secret, Allocs: list,
	})
	if err != nil {
		n.reports.putBack(list, taken)
	}
	return err
}
