package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

const (
	// registerRetry is the longest wait between attempts to register.
	registerRetry = 15 * time.Second
	// heartbeatRetry is the wait after a heartbeat that failed, once more up to
	// the same at random.
	heartbeatRetry = time.Second
	// defaultTTL counts until a server says something else.
	defaultTTL = 10 * time.Second
	// callTime bounds one call to the servers.
	callTime = 30 * time.Second
	// settle is how long a changed fingerprint waits for more changes.
	settle = 50 * time.Millisecond
)

// keepAlive registers the node, then heartbeats, and registers again when the
// fingerprint changes or the servers forgot the node. It closes registered
// when the node is ready for the first time.
func (n *Node) keepAlive(ctx context.Context, registered chan struct{}) {
	for ctx.Err() == nil {
		if !n.register(ctx) {
			return
		}
		ttl, err := n.heartbeat(ctx)
		if err == nil && registered != nil {
			close(registered)
			registered = nil
		}
		timer := time.NewTimer(nextHeartbeat(ttl, err))
		again := false
		for !again {
			select {
			case <-timer.C:
				ttl, err = n.heartbeat(ctx)
				if errors.Is(err, model.ErrUnknownNode) || errors.Is(err, model.ErrNotFound) {
					n.log.Warn("servers do not know this node any more, registering again")
					again = true
				}
				if err == nil && registered != nil {
					close(registered)
					registered = nil
				}
				timer.Reset(nextHeartbeat(ttl, err))
			case <-n.refresh:
				again = pause(ctx, settle)
				if !again {
					timer.Stop()
					return
				}
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
		timer.Stop()
	}
}

// nextHeartbeat is half of what the servers allow, less a little at random so
// that nodes do not all come at once.
func nextHeartbeat(ttl time.Duration, err error) time.Duration {
	if err != nil {
		return heartbeatRetry + rand.N(heartbeatRetry)
	}
	if ttl <= 0 {
		ttl = defaultTTL
	}
	return ttl/2 - rand.N(ttl/10+1)
}

// register tells the servers of the node until they take it. It reports false
// when ctx is done.
func (n *Node) register(ctx context.Context) bool {
	wait := 100 * time.Millisecond
	for {
		select {
		case <-n.refresh: // is part of this registration
		default:
		}
		call, cancel := context.WithTimeout(ctx, callTime)
		_, err := rpc.NodeRegister.Call(call, n.caller, &rpc.NodeRegisterRequest{
			WriteRequest: rpc.WriteRequest{Region: n.config.Region}, Node: n.Describe(),
		})
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		n.log.Warn("node is not registered, trying again", "error", err, "wait", wait)
		if !pause(ctx, wait) {
			return false
		}
		wait = min(2*wait, registerRetry)
	}
}

func (n *Node) heartbeat(ctx context.Context) (time.Duration, error) {
	call, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	resp, err := rpc.NodeHeartbeat.Call(call, n.caller, &rpc.NodeHeartbeatRequest{
		WriteRequest: rpc.WriteRequest{Region: n.config.Region},
		NodeID:       n.identity.ID, SecretID: n.identity.Secret, Status: model.NodeStatusReady,
	})
	if err != nil {
		if ctx.Err() == nil {
			n.log.Warn("heartbeat failed", "error", err)
			n.disconnected(time.Since(n.contact))
		}
		return 0, err
	}
	n.contact = time.Now()
	return resp.HeartbeatTTL, nil
}

// disconnected ends the allocations that do not want to run on a node that has
// been without servers for so long.
func (n *Node) disconnected(away time.Duration) {
	for _, r := range n.all() {
		g := r.Alloc().Group()
		if g == nil || r.Stopping() || r.Ended() {
			continue
		}
		limit := g.StopAfterClientDisconnect
		if g.Disconnect != nil && g.Disconnect.StopOnClientAfter != nil {
			limit = g.Disconnect.StopOnClientAfter
		}
		if limit != nil && away >= *limit {
			n.log.Warn("allocation is stopped: no servers for too long", "alloc", r.Alloc().ID, "away", away.Round(time.Second))
			r.Stop()
		}
	}
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
