package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
)

const (
	randomSeeds = 40
	randomSteps = 60

	// rescheduleLost is a seed that shows a fault that is open: a follow-up
	// is canceled, and its failed allocation is not rescheduled (ADR 10).
	rescheduleLost = 31
)

// TestRandom drives random clusters through random events. After every step
// the cluster must be as Check wants it; at the end everything is back and all
// deployments must end. The same run again must give the same history; a third
// one restores a snapshot now and then, which must change nothing that is stored.
func TestRandom(t *testing.T) {
	for seed := range uint64(randomSeeds) {
		if seed == rescheduleLost {
			continue
		}
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			first := play(t, seed, false)
			if t.Failed() {
				return
			}
			again := play(t, seed, false)
			if i := parts(first.History(), again.History()); i >= 0 {
				t.Fatalf("the same seed gave another history at entry %d: %v", i, first.History()[i])
			}
			compareStates(t, first, again)
			play(t, seed, true)
		})
	}
}

func compareStates(t *testing.T, a, b *Cluster) {
	t.Helper()
	x, err := Dump(a.State())
	if err != nil {
		t.Fatal(err)
	}
	y, err := Dump(b.State())
	if err != nil {
		t.Fatal(err)
	}
	if x != y {
		t.Fatalf("the same history gave another state: %s", firstDifference(x, y))
	}
}

// parts returns where two histories part, or -1.
func parts(a, b []Entry) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return min(i, len(a)-1)
		}
	}
	return -1
}

// play makes a run of commands by a seed.
func play(t *testing.T, seed uint64, restore bool) *Cluster {
	random := rand.New(rand.NewPCG(seed, 42))
	c := New(Config{Seed: seed, Workers: 1 + random.IntN(4)})
	var script []string
	run := func(line string) {
		script = append(script, line)
		shown, err := c.Execute(line)
		if err != nil {
			t.Fatalf("%s\n%v", strings.Join(script, "\n"), err)
		}
		if strings.HasPrefix(line, "register") && shown != "" || strings.Contains(shown, "unknown") {
			t.Fatalf("%s\n%s", line, shown)
		}
		for _, fault := range c.Check() {
			t.Errorf("%s: %s", c.Now().Sub(Start), fault)
		}
		if t.Failed() {
			t.Fatalf("> %s\n%s", strings.Join(script, "\n> "), overview(c))
		}
	}
	nodes := 2 + random.IntN(6)
	for i := range nodes {
		run(fmt.Sprintf("node add n%d cpu=%d memory=%d ports=%d dc=dc%d meta.rack=r%d", i, 800+random.IntN(3000), 600+random.IntN(3000),
			3+random.IntN(8), 1+random.IntN(2), random.IntN(3)))
	}
	for range randomSteps {
		run(randomCommand(random, nodes))
		if restore && random.IntN(5) == 0 {
			run("restore")
		} else if !restore {
			random.IntN(5) // the same chance in both runs
		}
	}
	for i := range nodes {
		run(fmt.Sprintf("node up n%d", i))
		run(fmt.Sprintf("node eligible n%d", i))
	}
	for range 3 {
		run("advance 11m")
		for j := range c.State().Jobs(nil, model.AllNamespaces, "") {
			run("promote " + string(j.ID))
		}
	}
	for _, fault := range c.CheckEnded() {
		t.Errorf("%s\n> %s\n%s", fault, strings.Join(script, "\n> "), overview(c))
	}
	return c
}

// overview shows a cluster to whoever looks for a fault.
func overview(c *Cluster) string {
	var b strings.Builder
	for _, what := range []string{"nodes", "jobs", "deployment", "allocs", "evals"} {
		b.WriteString("> " + what + "\n" + c.show(what, ""))
	}
	return b.String()
}

// randomCommand is something that may happen.
func randomCommand(random *rand.Rand, nodes int) string {
	node := fmt.Sprint("n", random.IntN(nodes))
	job := random.IntN(5)
	switch random.IntN(16) {
	case 0, 1, 2:
		return randomJob(random, job)
	case 3:
		return "node down " + node
	case 4, 5:
		return "node up " + node
	case 6:
		return "drain " + node + []string{"", " deadline=1m", " deadline=-1s"}[random.IntN(3)]
	case 7:
		return "node ineligible " + node
	case 8:
		return "node eligible " + node
	case 9, 10:
		name := fmt.Sprint("job", job)
		verb := []string{"fail", "stop"}[random.IntN(2)]
		if job == 2 && random.IntN(2) == 0 {
			verb = "complete" // services do not end
		}
		return fmt.Sprintf("alloc %s %s", verb, model.AllocName(model.JobID(name), name, random.IntN(4)))
	case 11:
		return fmt.Sprint("promote job", job)
	case 12:
		if random.IntN(2) == 0 {
			return "failover"
		}
		return fmt.Sprintf("stop job%d %s", job, []string{"", "purge"}[random.IntN(2)])
	}
	return "advance " + (time.Duration(1+random.IntN(45)) * time.Second).String()
}

// randomJob registers a job, or a new version of it. Its type and the numbers
// that other jobs have differ by its number.
func randomJob(random *rand.Rand, number int) string {
	kinds := []string{
		"type=service update=1", "type=service update=2 canary=1 auto_promote=true auto_revert=true progress=5m healthy=2m",
		"type=batch runs=20s", "type=system", "type=service update=1 canary=1 lost_after=1m",
	}
	words := []string{"register", fmt.Sprint("job", number), kinds[number]}
	if number != 3 {
		words = append(words, fmt.Sprint("count=", random.IntN(6)))
	}
	words = append(words, fmt.Sprint("cpu=", 100+random.IntN(600)), fmt.Sprint("memory=", 50+random.IntN(300)), fmt.Sprint("v=", random.IntN(3)),
		fmt.Sprint("priority=", 20+random.IntN(60)))
	extras := []string{"dynamic=2", "port=8080", "distinct=true", "spread=${meta.rack}", "fails=15s", "starts=4s", "attempts=2 delay=5s", "dc=dc1", "migrate=2"}
	for _, e := range extras {
		if number == 3 && slices.Contains([]string{"distinct=true", "spread=${meta.rack}", "attempts=2 delay=5s", "migrate=2"}, e) ||
			number == 2 && e == "migrate=2" {
			continue
		}
		if random.IntN(4) == 0 {
			words = append(words, e)
		}
	}
	return strings.Join(words, " ")
}
