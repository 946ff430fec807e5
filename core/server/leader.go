package server

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/server/blocked"
	"github.com/seraiproject/serai/core/server/deployment"
	"github.com/seraiproject/serai/core/server/drain"
	"github.com/seraiproject/serai/core/server/evalbroker"
	"github.com/seraiproject/serai/core/server/gc"
	"github.com/seraiproject/serai/core/server/heartbeat"
	"github.com/seraiproject/serai/core/server/periodic"
	"github.com/seraiproject/serai/core/server/planner"
	"github.com/seraiproject/serai/core/server/worker"
	"github.com/seraiproject/serai/core/state"
)

// leadership is what runs while a server leads.
type leadership struct {
	s           *Server
	broker      *evalbroker.Broker
	blocked     *blocked.Tracker
	planner     *planner.Planner
	heartbeats  *heartbeat.Monitor
	deployments *deployment.Watcher
	drains      *drain.Drainer
	periodic    *periodic.Dispatcher
	collector   *gc.Collector
	updates     *allocUpdates
	background  *background
	membership  chan struct{}

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// lead follows leadership until the server stops.
func (s *Server) lead() {
	var now *leadership
	stop := func() {
		if now != nil {
			now.stop()
			now = nil
		}
	}
	defer stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case leading := <-s.group.Leading():
			stop()
			if !leading {
				s.log.Info("this server does not lead any more")
				continue
			}
			s.log.Info("this server leads now")
			l, err := s.takeOver()
			if err != nil {
				// Raft will say when leadership is lost; until then
				// another attempt may do.
				s.log.Error("leadership could not be taken up", "error", err)
				continue
			}
			now = l
		}
	}
}

// takeOver starts the leader services from the state as it is when everything
// that the last leader wrote is applied.
func (s *Server) takeOver() (*leadership, error) {
	if err := s.group.Barrier(s.ctx); err != nil {
		return nil, err
	}
	l := &leadership{s: s, membership: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(s.ctx)
	l.background = &background{}
	l.broker = evalbroker.New(evalbroker.Config{Canceled: l.cancelEvals, Failed: l.failEval, Handles: s.handlesType})
	l.blocked = blocked.New(blocked.Config{Enqueue: l.requeue, Canceled: l.cancelBlocked})
	l.planner = planner.New(planner.Config{
		Store: s.store, Owned: l.broker.Outstanding, Now: func() int64 { return time.Now().UnixNano() },
		Begin: func(c fsm.Command) (planner.Pending, error) { return s.begin(c) },
	})
	l.heartbeats = heartbeat.New(heartbeat.Config{
		MinTTL: s.cfg.MinHeartbeatTTL, MaxPerSecond: s.cfg.MaxHeartbeatsPerSecond,
		Grace: s.cfg.HeartbeatGrace, FailoverTTL: s.cfg.FailoverHeartbeatTTL, Missed: l.nodeMissed,
	})
	l.updates = newAllocUpdates(l)
	apply := func(c fsm.Command) error {
		_, _, err := s.apply(c)
		return err
	}
	l.deployments = deployment.New(deployment.Config{Store: s.store, Apply: apply, Log: s.log})
	l.drains = drain.New(drain.Config{Store: s.store, Apply: apply, Log: s.log})
	l.periodic = periodic.New(periodic.Config{Store: s.store, Launch: l.launch, Apply: apply, Log: s.log})
	l.collector = gc.New(gc.Config{Store: s.store, Apply: apply, Thresholds: s.cfg.GC, Log: s.log})

	s.fsm.Observe(l.observe)
	snap := s.store.Snapshot()
	l.restore(snap)
	l.run("planner", l.planner.Run)
	l.run("heartbeats", func(ctx context.Context) error { return l.heartbeats.Run(ctx, liveNodes(snap)) })
	l.run("blocked evaluations", l.retryConflicts)
	l.run("alloc updates", l.updates.run)
	l.run("deployments", l.deployments.Run)
	l.run("drains", l.drains.Run)
	l.run("periodic jobs", l.periodic.Run)
	l.run("garbage collection", l.collector.Run)
	l.run("background writes", l.background.run)
	if s.members != nil {
		l.run("members", l.reconcileMembers)
	}
	if n := s.schedulers(); n > 0 {
		pool := worker.New(worker.Config{
			Count: n, Broker: l.broker, Store: s.store, Submit: l.planner.Submit, Apply: apply, Log: s.log,
		})
		l.run("workers", pool.Run)
	}
	if want := s.cfg.SchedulerConfig; want != nil && snap.SchedulerConfig(nil).ModifyIndex <= 1 {
		c := *want
		if err := apply(&fsm.SchedulerConfig{Config: &c}); err != nil {
			l.stop()
			return nil, err
		}
	}
	s.leader.Store(l)
	return l, nil
}

func (s *Server) schedulers() int {
	if s.cfg.Schedulers == 0 {
		return runtime.GOMAXPROCS(0)
	}
	return s.cfg.Schedulers
}

func (s *Server) handlesType(jobType string) bool {
	return s.cfg.EnabledSchedulers == nil || slices.Contains(s.cfg.EnabledSchedulers, jobType)
}

// run runs a service until leadership ends; one that ends before is started
// again.
func (l *leadership) run(name string, service func(context.Context) error) {
	l.work.Go(func() {
		for {
			err := service(l.ctx)
			if l.ctx.Err() != nil {
				return
			}
			l.s.log.Error("a leader service ended and is started again", "service", name, "error", err)
			select {
			case <-time.After(time.Second):
			case <-l.ctx.Done():
				return
			}
		}
	})
}

func (l *leadership) stop() {
	l.s.leader.Store(nil)
	l.s.fsm.Observe(nil)
	l.cancel()
	l.broker.Close()
	l.work.Wait()
}

func liveNodes(snap *state.Snapshot) []model.NodeID {
	var ids []model.NodeID
	for n := range snap.Nodes(nil, "") {
		if n.Status != model.NodeStatusDown {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// restore hands the services what the state has for them.
func (l *leadership) restore(snap *state.Snapshot) {
	l.broker.Pause(snap.SchedulerConfig(nil).PauseEvalBroker)
	for e := range snap.Evals(nil) {
		l.evalChanged(e)
	}
	l.deployments.Restore(snap)
	l.drains.Restore(snap)
	l.periodic.Restore(snap)
}

func (l *leadership) evalChanged(e *model.Evaluation) {
	switch e.Status {
	case model.EvalStatusPending:
		l.broker.Enqueue(e)
	case model.EvalStatusBlocked:
		l.blocked.Block(e)
	default:
		l.blocked.Forget(e.ID)
		l.broker.Forget(e.ID)
	}
}

// observe hands what was applied to the services. It runs in the goroutine that
// applied it and blocks on nothing.
func (l *leadership) observe(c *state.Changes) {
	for _, a := range c.Allocs {
		if a.Before != nil && !a.Before.Terminal() && (a.After == nil || a.After.Terminal()) {
			l.room(a.Before.NodeID, c.Index)
		}
	}
	for _, n := range c.Nodes {
		switch {
		case n.After == nil:
			l.heartbeats.Forget(n.Before.ID)
		case n.After.Ready() && (n.Before == nil || !n.Before.Ready() || n.Before.ComputedClass != n.After.ComputedClass):
			l.blocked.Room(n.After.ComputedClass, n.After.ID, c.Index)
		}
	}
	for _, e := range c.EvalsGone {
		l.blocked.Forget(e.ID)
		l.broker.Forget(e.ID)
	}
	for _, j := range c.Jobs {
		if j.After.Stopped() && !j.Before.Stopped() {
			l.blocked.Untrack(j.Before.Key())
		}
		l.periodic.Changed(j.Before, j.After)
	}
	for _, e := range c.Evals {
		l.evalChanged(e)
	}
	if c.Config != nil {
		l.broker.Pause(c.Config.PauseEvalBroker)
	}
	l.deployments.Changed(c)
	l.drains.Changed(c)
}

// room tells the blocked evaluations of room on a node.
func (l *leadership) room(id model.NodeID, index uint64) {
	if n := l.s.store.Snapshot().Node(nil, id); n != nil && n.Ready() {
		l.blocked.Room(n.ComputedClass, id, index)
	}
}

// requeue has blocked evaluations processed again.
func (l *leadership) requeue(evals ...*model.Evaluation) { l.broker.Enqueue(evals...) }

// retryConflicts lets evaluations go that were blocked by conflicts of plans.
func (l *leadership) retryConflicts(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.blocked.RetryConflicts()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cancelEvals ends evaluations that a newer one of their job made needless.
func (l *leadership) cancelEvals(evals []*model.Evaluation) {
	l.cancelWith(evals, func(*model.Evaluation) string { return "canceled after more recent eval was processed" })
}

// cancelBlocked ends blocked evaluations that a newer one of their job replaced.
func (l *leadership) cancelBlocked(evals []*model.Evaluation) {
	l.cancelWith(evals, func(e *model.Evaluation) string {
		return "existing blocked evaluation exists for job \"" + string(e.JobID) + "\""
	})
}

func (l *leadership) cancelWith(evals []*model.Evaluation, text func(*model.Evaluation) string) {
	now := time.Now().UnixNano()
	out := make([]*model.Evaluation, len(evals))
	for i, e := range evals {
		c := *e
		c.Status, c.StatusDescription, c.ModifyTime = model.EvalStatusCanceled, text(e), now
		out[i] = &c
	}
	l.background.add(func() { l.writeEvals(out) })
}

// failEval ends an evaluation that was delivered too often, and has another try
// later.
func (l *leadership) failEval(e *model.Evaluation) {
	now := time.Now()
	failed := *e
	failed.Status, failed.StatusDescription = model.EvalStatusFailed, "evaluation reached delivery limit (3)"
	failed.ModifyTime = now.UnixNano()
	next := &model.Evaluation{
		ID: model.EvalID(model.NewUUID()), Namespace: e.Namespace, Priority: e.Priority, Type: e.Type,
		TriggeredBy: model.TriggerFailedFollowUp, JobID: e.JobID, JobModifyIndex: e.JobModifyIndex,
		Status: model.EvalStatusPending, WaitUntil: now.Add(followUpWait()).UTC(), PreviousEval: e.ID,
		CreateTime: now.UnixNano(), ModifyTime: now.UnixNano(),
	}
	failed.NextEval = next.ID
	l.background.add(func() { l.writeEvals([]*model.Evaluation{&failed, next}) })
}

func (l *leadership) writeEvals(evals []*model.Evaluation) {
	if _, _, err := l.s.apply(&fsm.UpdateEvals{Evals: evals}); err != nil && l.ctx.Err() == nil {
		l.s.log.Warn("evaluations could not be written", "error", err)
	}
}
