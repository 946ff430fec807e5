package model

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func decodeJob(t *testing.T, doc string) *Job {
	t.Helper()
	j := &Job{}
	if err := json.Unmarshal([]byte(doc), j); err != nil {
		t.Fatal(err)
	}
	return j
}

const demo = `{"ID":"demo","TaskGroups":[{"Name":"g","Networks":[{"DynamicPorts":[{"Label":"http"}]}],
"Services":[{"Name":"web","Provider":"nomad","PortLabel":"http"}],"Update":{"MinHealthyTime":1000000000},
"Tasks":[{"Name":"t","Driver":"raw_exec","Config":{"command":"sleep","args":["600"]}}]}]}`

func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-golden +got); -update rewrites it:\n%s", path, diff)
	}
}

func TestCanonicalJob(t *testing.T) {
	j := decodeJob(t, demo)
	j.Canonicalize()
	golden(t, "demo-job", j)
	again := j.Clone()
	again.Canonicalize()
	if diff := cmp.Diff(j, again); diff != "" {
		t.Errorf("canonical form is not stable:\n%s", diff)
	}
	if _, err := j.Validate(); err != nil {
		t.Error(err)
	}

	// What the API gives back registers as the same job.
	doc, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	back := decodeJob(t, string(doc))
	back.Canonicalize()
	if !j.SpecEquals(back) {
		t.Errorf("a job read back and registered again is another one:\n%s", cmp.Diff(j, back))
	}
	bin, err := j.MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	var out Job
	if _, err := out.UnmarshalMsg(bin); err != nil {
		t.Fatal(err)
	}
	if !j.SpecEquals(&out) {
		t.Errorf("binary encoding changed the job:\n%s", cmp.Diff(j, &out))
	}
}

func TestDefaultsByTypeAndInheritance(t *testing.T) {
	batch := decodeJob(t, `{"ID":"b","Type":"batch","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Driver":"exec",
		"RestartPolicy":{"Attempts":9}}]}]}`)
	g := batch.TaskGroups[0]
	if g.Update != nil || g.Migrate != nil {
		t.Error("a batch group has update or migrate")
	}
	want := RestartPolicy{Attempts: 3, Interval: 24 * time.Hour, Delay: 15 * time.Second, Mode: "fail"}
	if *g.RestartPolicy != want {
		t.Errorf("batch restart is %+v", *g.RestartPolicy)
	}
	want.Attempts = 9
	if *g.Tasks[0].RestartPolicy != want {
		t.Errorf("task restart is %+v, not the group's with its own attempts", *g.Tasks[0].RestartPolicy)
	}
	if g.ReschedulePolicy.Attempts != 1 || g.ReschedulePolicy.DelayFunction != "constant" {
		t.Errorf("batch reschedule is %+v", *g.ReschedulePolicy)
	}

	service := decodeJob(t, `{"ID":"s","Update":{"MaxParallel":3,"Canary":1},"Reschedule":{"Attempts":2},
		"TaskGroups":[{"Name":"a","Update":{"Canary":2}},{"Name":"b","Count":0,"ReschedulePolicy":null}]}`)
	a, b := service.TaskGroups[0], service.TaskGroups[1]
	if a.Update.MaxParallel != 3 || a.Update.Canary != 2 || a.Update.MinHealthyTime != 10*time.Second {
		t.Errorf("group a update is %+v", *a.Update)
	}
	if b.Update.Canary != 1 || b.Count != 0 || a.Count != 1 || b.ReschedulePolicy.Attempts != 2 {
		t.Errorf("group b is %+v, %+v", *b, *b.ReschedulePolicy)
	}
	cores := decodeJob(t, `{"TaskGroups":[{"Tasks":[{"Resources":{"Cores":2}},{"Resources":null,"Config":{"n":600,"f":1.5}}]}]}`)
	tasks := cores.TaskGroups[0].Tasks
	if r := tasks[0].Resources; r.CPU != 0 || r.Cores != 2 || r.MemoryMB != 300 {
		t.Errorf("resources with cores are %+v", *r)
	}
	if r := tasks[1].Resources; r.CPU != 100 {
		t.Errorf("resources of null are %+v", *r)
	}
	if diff := cmp.Diff(map[string]any{"n": int64(600), "f": 1.5}, tasks[1].Config); diff != "" {
		t.Error(diff)
	}
}

func TestDurationsAreNumbers(t *testing.T) {
	err := json.Unmarshal([]byte(`{"TaskGroups":[{"Tasks":[{"KillTimeout":"5s"}]}]}`), &Job{})
	if err == nil || !strings.Contains(err.Error(), "Duration") {
		t.Errorf("a text for a duration gave %v", err)
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	tests := map[string]struct{ doc, want string }{
		"no groups":      {`{"ID":"x"}`, "Missing job task groups"},
		"space in id":    {`{"ID":"a b"}`, "contains a space"},
		"bad type":       {`{"ID":"x","Type":"core"}`, `Job type "core" is not one of`},
		"priority":       {`{"ID":"x","Priority":101}`, "between 1 and 100"},
		"no tasks":       {`{"ID":"x","TaskGroups":[{"Name":"g"}]}`, `group "g": Missing tasks`},
		"no driver":      {`{"ID":"x","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t"}]}]}`, `group "g" / task "t": Missing task driver`},
		"update batch":   {`{"ID":"x","Type":"batch","Update":{"MaxParallel":1},"TaskGroups":[{"Name":"g"}]}`, "batch jobs have no update block"},
		"attempts":       {`{"ID":"x","TaskGroups":[{"Name":"g","ReschedulePolicy":{"Attempts":2}}]}`, "unlimited with attempts 2 is ambiguous"},
		"memory":         {`{"ID":"x","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Resources":{"MemoryMB":9}}]}]}`, "memory must be at least 10 MB, is 9"},
		"port twice":     {`{"ID":"x","TaskGroups":[{"Name":"g","Networks":[{"DynamicPorts":[{"Label":"p"},{"Label":"p"}]}]}]}`, `port "p" is defined twice`},
		"static twice":   {`{"ID":"x","TaskGroups":[{"Name":"g","Networks":[{"ReservedPorts":[{"Label":"p","Value":80},{"Label":"q","Value":80}]}]}]}`, "are both static 80"},
		"distinct task":  {`{"ID":"x","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Constraints":[{"Operand":"distinct_hosts"}]}]}]}`, "distinct_hosts is not for tasks"},
		"bad attribute":  {`{"ID":"x","Constraints":[{"LTarget":"${env.X}","RTarget":"1"}]}`, `unsupported attribute "${env.X}"`},
		"semver pessim":  {`{"ID":"x","Constraints":[{"LTarget":"${attr.v}","Operand":"semver","RTarget":"~> 1"}]}`, "~> is only for version"},
		"escape":         {`{"ID":"x","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Artifacts":[{"GetterSource":"s","RelativeDest":"../../x"}]}]}]}`, "leaves the allocation's directory"},
		"logs too large": {`{"ID":"x","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","LogConfig":{"MaxFiles":30}}]}]}`, "log storage of 300 MB"},
		"cron":           {`{"ID":"x","Type":"batch","Periodic":{"Specs":["* *"]}}`, "cron"},
		"leaders":        {`{"ID":"x","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Leader":true},{"Name":"u","Leader":true}]}]}`, "only one task may be the leader"},
		"service port":   {`{"ID":"x","TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Services":[{"Provider":"nomad","PortLabel":"nope"}]}]}]}`, `port "nope" is not defined`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			j := decodeJob(t, tt.doc)
			j.Canonicalize()
			_, err := j.Validate()
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("fault is %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	old := decodeJob(t, demo)
	old.Canonicalize()
	change := func(fn func(*Job)) *Job {
		j := old.Clone()
		fn(j)
		j.Canonicalize()
		return j
	}
	tests := map[string]struct {
		old, new    *Job
		annotations *PlanAnnotations
	}{
		"added":   {nil, old, nil},
		"deleted": {old, nil, nil},
		"none":    {old, change(func(*Job) {}), nil},
		"count": {old, change(func(j *Job) { j.TaskGroups[0].Count = 3 }), &PlanAnnotations{
			DesiredTGUpdates: map[string]*DesiredUpdates{"g": {Place: 2, InPlaceUpdate: 1}},
		}},
		"config": {old, change(func(j *Job) {
			j.TaskGroups[0].Tasks[0].Config["args"] = []any{"700", "x"}
			j.Meta = map[string]string{"team": "a"}
			j.Datacenters = []string{"dc1", "dc2"}
		}), nil},
		"blocks": {old, change(func(j *Job) {
			g := j.TaskGroups[0]
			g.Constraints = append(g.Constraints, &Constraint{LTarget: "${attr.kernel.name}", RTarget: "linux", Operand: "="})
			g.Update.MaxParallel = 2
			g.Networks[0].DynamicPorts[0].Label = "web"
			g.Services = nil
			g.Tasks[0].Resources.CPU = 200
			g.Tasks = append(g.Tasks, &Task{Name: "side", Driver: "exec", RestartPolicy: g.RestartPolicy})
		}), nil},
		"quiet": {old, change(func(j *Job) { j.TaskGroups[0].Tasks[0].RestartPolicy.Attempts = 7 }), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			golden(t, "diff-"+name, DiffJobs(tt.old, tt.new, tt.annotations))
		})
	}
}

func TestRescheduleDelays(t *testing.T) {
	sec := time.Second
	tests := map[string]struct {
		p    ReschedulePolicy
		want []time.Duration
	}{
		"constant":    {ReschedulePolicy{Delay: 5 * sec, DelayFunction: "constant"}, []time.Duration{5 * sec, 5 * sec, 5 * sec}},
		"exponential": {ReschedulePolicy{Delay: 5 * sec, DelayFunction: "exponential", MaxDelay: 30 * sec}, []time.Duration{5 * sec, 10 * sec, 20 * sec, 30 * sec}},
		"fibonacci":   {ReschedulePolicy{Delay: 5 * sec, DelayFunction: "fibonacci", MaxDelay: time.Hour}, []time.Duration{5 * sec, 5 * sec, 10 * sec, 15 * sec, 25 * sec}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for n, want := range tt.want {
				if got := tt.p.DelayAfter(n); got != want {
					t.Errorf("after %d attempts %s, want %s", n, got, want)
				}
			}
		})
	}
}

func FuzzJobUnmarshal(f *testing.F) {
	f.Add(demo)
	f.Add(`{"Constraints":[null],"TaskGroups":[{"Services":[null],"Volumes":{"a":null},"Networks":[{"DynamicPorts":[{}]}],"Tasks":[{"Templates":[null]}]}]}`)
	f.Add(`{"TaskGroups":[null,{"Tasks":[null]}],"Update":null}`)
	f.Fuzz(func(t *testing.T, doc string) {
		j := &Job{}
		if json.Unmarshal([]byte(doc), j) != nil {
			return
		}
		j.Canonicalize()
		j.Validate()
		if !j.SpecEquals(j.Clone()) {
			t.Error("a clone differs")
		}
		DiffJobs(nil, j, nil)
	})
}
