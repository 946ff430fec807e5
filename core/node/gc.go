package node

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/node/allocrunner"
)

// collect removes what ended allocations left, oldest first, when there are
// too many or the disk gets full, until ctx is done.
func (n *Node) collect(ctx context.Context) {
	ticker := time.NewTicker(n.config.GCInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			n.collectOnce()
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) collectOnce() {
	all := n.all()
	var ended []*allocrunner.Runner
	for _, r := range all {
		if r.Ended() {
			ended = append(ended, r)
		}
	}
	slices.SortFunc(ended, func(a, b *allocrunner.Runner) int { return endOf(a).Compare(endOf(b)) })
	count := len(all)
	for _, r := range ended {
		if count <= n.config.GCMaxAllocs && diskUse(n.config.AllocDir) < n.config.GCDiskUsageThreshold {
			return
		}
		n.log.Info("removing what is left of an allocation", "alloc", r.Alloc().ID)
		if n.remove(r) == nil {
			count--
		}
	}
}

// endOf is when the last task of an allocation ended.
func endOf(r *allocrunner.Runner) time.Time {
	var last time.Time
	for _, t := range r.Tasks() {
		if f := t.State().FinishedAt; f.After(last) {
			last = f
		}
	}
	return last
}

// diskUse is in percent; 0 when it is not known.
func diskUse(path string) float64 {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil || st.Blocks == 0 {
		return 0
	}
	used := st.Blocks - st.Bfree
	return 100 * float64(used) / float64(used+st.Bavail)
}
