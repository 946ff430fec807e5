package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/seraiproject/serai/core/fsm"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/server/blocked"
	"github.com/seraiproject/serai/core/state"
)

// Start is when the clock of every cluster starts.
var Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Config shapes a cluster.
type Config struct {
	Seed uint64
	// Workers is how many evaluations are scheduled from the same snapshot
	// before the first of their plans is committed; 0 is 1. More of them
	// have plans conflict.
	Workers int
}

// A Cluster is the servers and nodes of a simulation. It is not safe for
// concurrent use.
type Cluster struct {
	cfg    Config
	random *rand.Rand
	now    time.Time

	fsm     *fsm.FSM
	index   uint64
	history []Entry

	queue       *queue
	blocked     *blocked.Tracker
	deployments map[model.DeploymentID]*rollout
	later       []fsm.Command // written when the log is free
	conflicts   time.Time     // when evaluations that conflicted are tried again

	nodes  []*node
	faults []string // found while applying; reported by Check
}

// An Entry of the history says what a log entry did.
type Entry struct {
	Index  uint64
	At     time.Duration // since Start
	Kind   string
	Digest string // of the command
}

func (e Entry) String() string {
	return fmt.Sprintf("%d %s %s %s", e.Index, e.At, e.Kind, e.Digest)
}

// rollout is what is to be done about a deployment.
type rollout struct {
	dirty, step bool
	deadline    time.Time
}

// New returns a cluster without nodes and jobs.
func New(cfg Config) *Cluster {
	c := &Cluster{
		cfg: cfg, random: rand.New(rand.NewPCG(cfg.Seed, 0x5e7a1)), now: Start, fsm: fsm.New(), index: 1,
	}
	c.cfg.Workers = max(cfg.Workers, 1)
	c.fsm.Observe(c.observe)
	c.takeOver()
	return c
}

// Now is the cluster's time.
func (c *Cluster) Now() time.Time { return c.now }

// State is the servers' state.
func (c *Cluster) State() *state.Snapshot { return c.fsm.Store().Snapshot() }

// History lists what was written to the log.
func (c *Cluster) History() []Entry { return c.history }

// propose writes a command to the log and applies it.
func (c *Cluster) propose(cmd fsm.Command) (any, error) {
	entry, err := fsm.Encode(cmd)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(cmd)
	if err != nil {
		return nil, fmt.Errorf("describe log entry: %w", err)
	}
	sum := sha256.Sum256(text)
	c.index++
	c.history = append(c.history, Entry{
		Index: c.index, At: c.now.Sub(Start), Kind: fmt.Sprintf("%T", cmd)[len("*fsm."):], Digest: hex.EncodeToString(sum[:8]),
	})
	answer := c.fsm.Apply(&raft.Log{Index: c.index, Type: raft.LogCommand, Data: entry})
	if err, ok := answer.(error); ok {
		return nil, err
	}
	return answer, nil
}

// newID returns a UUID by the seed.
func (c *Cluster) newID() string {
	var b [16]byte
	for i := 0; i < 16; i += 8 {
		for j, v := 0, c.random.Uint64(); j < 8; j, v = j+1, v>>8 {
			b[i+j] = byte(v)
		}
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return model.FormatUUID(b)
}

// adopt gives the evaluations of a command that other packages made IDs by the
// seed, in an order that does not depend on theirs.
func (c *Cluster) adopt(evals ...*model.Evaluation) {
	for _, e := range evals {
		if e != nil {
			e.ID = model.EvalID(c.newID())
		}
	}
}

func byJob(a, b *model.Evaluation) int {
	return bytes.Compare([]byte(a.Namespace+"\x00"+string(a.JobID)), []byte(b.Namespace+"\x00"+string(b.JobID)))
}

// takeOver makes the leader's services anew from the state, as a server that
// becomes leader does.
func (c *Cluster) takeOver() {
	c.queue = newQueue(c.cancelPending)
	c.blocked = blocked.New(blocked.Config{
		Enqueue:  func(evals ...*model.Evaluation) { c.queue.enqueue(c.now, evals...) },
		Canceled: c.cancelBlocked,
	})
	c.deployments = map[model.DeploymentID]*rollout{}
	c.later = nil
	c.conflicts = c.now.Add(time.Minute)
	snap := c.State()
	for e := range snap.Evals(nil) {
		c.evalChanged(e)
	}
	for d := range snap.Deployments(nil) {
		if d.Active() {
			c.rollout(d.ID).dirty, c.rollout(d.ID).step = true, true
		}
	}
}

// Failover has another server lead: what only the old leader knew is lost.
func (c *Cluster) Failover() error {
	for _, n := range c.nodes {
		if !n.expires.IsZero() {
			n.expires = c.now.Add(failoverTTL)
		}
	}
	c.takeOver()
	return c.settle()
}

// Restore writes a snapshot of the state and goes on from it. It fails when
// anything differs.
func (c *Cluster) Restore() error {
	before, err := Dump(c.State())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := fsm.WriteSnapshot(&b, c.State()); err != nil {
		return err
	}
	if err := c.fsm.Restore(io.NopCloser(&b)); err != nil {
		return err
	}
	after, err := Dump(c.State())
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("restore snapshot at index %d: %s", c.index, firstDifference(before, after))
	}
	return nil
}

// Dump writes all rows of a state as text, one per line.
func Dump(s *state.Snapshot) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	var failed error
	put := func(v any) {
		if err := enc.Encode(v); err != nil && failed == nil {
			failed = fmt.Errorf("describe state: %w", err)
		}
	}
	for _, t := range state.Tables() {
		put([]any{t, s.StoredTableIndex(t)})
	}
	for n := range s.Nodes(nil, "") {
		put(n)
	}
	for j := range s.Jobs(nil, model.AllNamespaces, "") {
		put(j)
	}
	for j := range s.AllJobVersions {
		put(j)
	}
	for j := range s.AllSummaries {
		put(j)
	}
	for e := range s.Evals(nil) {
		put(e)
	}
	for a := range s.Allocs(nil) {
		put(a)
		put([]any{a.JobVersion, a.StateChanges})
	}
	for d := range s.Deployments(nil) {
		put(d)
	}
	put(s.SchedulerConfig(nil))
	return b.String(), failed
}

// firstDifference shows where two texts part.
func firstDifference(a, b string) string {
	x, y := []byte(a), []byte(b)
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	from := max(i-200, 0)
	return fmt.Sprintf("%q became %q", x[from:min(i+80, len(x))], y[from:min(i+80, len(y))])
}

// Advance moves the clock, and has everything happen that is due meanwhile.
func (c *Cluster) Advance(d time.Duration) error {
	end := c.now.Add(d)
	for {
		next := c.next()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(c.now) {
			c.now = next
		}
		if err := c.settle(); err != nil {
			return err
		}
	}
	c.now = end
	return c.settle()
}

// next is when something is due; zero for never.
func (c *Cluster) next() time.Time {
	next := c.queue.next()
	sooner := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, r := range c.deployments {
		sooner(r.deadline)
	}
	sooner(c.drainDeadline())
	if c.blocked.Len() > 0 {
		sooner(c.conflicts)
	}
	for _, n := range c.nodes {
		sooner(n.expires)
		sooner(n.next())
	}
	return next
}

// maxRounds bounds what may happen without time passing: more is a livelock.
const maxRounds = 10000

// settle does what is due until nothing is.
func (c *Cluster) settle() error {
	for range maxRounds {
		busy, err := c.round()
		if err != nil || !busy {
			return err
		}
	}
	return fmt.Errorf("at %s: the cluster does not come to rest", c.now.Sub(Start))
}

// round does one kind of thing that is due. It reports whether there was any.
func (c *Cluster) round() (bool, error) {
	if len(c.later) > 0 {
		todo := c.later
		c.later = nil
		for _, cmd := range todo {
			if _, err := c.propose(cmd); err != nil {
				return true, err
			}
		}
		return true, nil
	}
	if !c.now.Before(c.conflicts) {
		c.conflicts = c.now.Add(time.Minute)
		c.blocked.RetryConflicts()
	}
	c.queue.release(c.now)
	for _, step := range []func() (bool, error){c.schedule, c.moveDeployments, c.moveDrains, c.moveNodes} {
		if busy, err := step(); busy || err != nil {
			return busy, err
		}
	}
	return false, nil
}

func sorted[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
