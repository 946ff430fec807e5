package compat

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
)

func TestJobReadBack(t *testing.T) {
	before := time.Now()
	job := parse(t, script("read-back", forever))
	resp := register(t, job)
	if resp.EvalID == "" || resp.JobModifyIndex == 0 || resp.EvalCreateIndex == 0 {
		t.Errorf("register answered %+v", resp)
	}
	got, meta, err := client.Jobs().Info("read-back", nil)
	if err != nil {
		t.Fatal(err)
	}
	if meta.LastIndex < *got.JobModifyIndex || !meta.KnownLeader {
		t.Errorf("query meta: %+v", meta)
	}
	if *got.Type != "service" || *got.Priority != 50 || *got.Namespace != "default" || *got.Region != "global" ||
		!slices.Equal(got.Datacenters, []string{"*"}) || *got.Version != 0 || *got.NodePool != "default" || *got.Stop {
		t.Errorf("defaults of the job: type %s priority %d namespace %s region %s datacenters %v version %d pool %s stop %t",
			*got.Type, *got.Priority, *got.Namespace, *got.Region, got.Datacenters, *got.Version, *got.NodePool, *got.Stop)
	}
	if at := time.Unix(0, *got.SubmitTime); at.Before(before) || at.After(time.Now()) {
		t.Errorf("submitted at %v, want after %v", at, before)
	}
	group := got.TaskGroups[0]
	if *group.Count != 1 || *group.EphemeralDisk.SizeMB != 300 || *group.RestartPolicy.Attempts != 2 ||
		*group.RestartPolicy.Interval != 30*time.Minute || *group.RestartPolicy.Mode != "fail" || !*group.ReschedulePolicy.Unlimited {
		t.Errorf("defaults of the group: %+v %+v %+v", group, group.RestartPolicy, group.ReschedulePolicy)
	}
	if *group.Update.MinHealthyTime != 10*time.Millisecond || *group.Update.HealthyDeadline != 5*time.Minute || *group.Update.MaxParallel != 1 {
		t.Errorf("update: %+v", group.Update)
	}
	task := group.Tasks[0]
	if *task.KillTimeout != 5*time.Second || *task.LogConfig.MaxFiles != 10 || *task.LogConfig.MaxFileSizeMB != 10 ||
		task.Config["command"] != "/bin/sh" || task.Env["COLOUR"] != "green" || *task.Resources.CPU != 20 {
		t.Errorf("defaults of the task: %+v %+v", task, task.LogConfig)
	}
}

func TestJobEnforceIndex(t *testing.T) {
	job := parse(t, script("enforced", forever))
	first := register(t, job)
	_, _, err := client.Jobs().RegisterOpts(job, &api.RegisterOptions{EnforceIndex: true, ModifyIndex: first.JobModifyIndex + 1000}, nil)
	if err == nil || !strings.Contains(err.Error(), api.RegisterEnforceIndexErrPrefix) {
		t.Errorf("register at a wrong index: %v", err)
	}
	job.Meta = map[string]string{"a": "b"}
	second, _, err := client.Jobs().RegisterOpts(job, &api.RegisterOptions{EnforceIndex: true, ModifyIndex: first.JobModifyIndex}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if second.JobModifyIndex <= first.JobModifyIndex {
		t.Errorf("index went from %d to %d", first.JobModifyIndex, second.JobModifyIndex)
	}
}

func TestJobPlan(t *testing.T) {
	job := parse(t, script("planned", forever))
	plan, _, err := client.Jobs().Plan(job, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Diff.Type != "Added" || plan.JobModifyIndex != 0 || plan.Annotations.DesiredTGUpdates["web"].Place != 1 || len(plan.FailedTGAllocs) != 0 {
		t.Errorf("plan of a new job: %+v", plan)
	}
	if _, _, err := client.Jobs().Info("planned", nil); err == nil {
		t.Error("a plan registered the job")
	}
	running(t, job)
	count := 3
	job.TaskGroups[0].Count = &count
	plan, _, err = client.Jobs().Plan(job, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Diff.Type != "Edited" || len(plan.Diff.TaskGroups) != 1 {
		t.Fatalf("diff: %+v", plan.Diff)
	}
	i := slices.IndexFunc(plan.Diff.TaskGroups[0].Fields, func(f *api.FieldDiff) bool { return f.Name == "Count" })
	if i < 0 {
		t.Fatalf("the diff does not tell the count: %+v", plan.Diff.TaskGroups[0])
	}
	if f := plan.Diff.TaskGroups[0].Fields[i]; f.Old != "1" || f.New != "3" || f.Type != "Edited" {
		t.Errorf("count differs as %+v", f)
	}
	if got := plan.Annotations.DesiredTGUpdates["web"]; got.Place != 2 {
		t.Errorf("desired updates: %+v", got)
	}
}

func TestJobList(t *testing.T) {
	for _, id := range []string{"list-a", "list-b", "list-c"} {
		register(t, parse(t, script(id, forever)))
	}
	ids := func(q *api.QueryOptions) ([]string, *api.QueryMeta) {
		t.Helper()
		stubs, meta, err := client.Jobs().List(q)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, s := range stubs {
			ids = append(ids, s.ID)
		}
		return ids, meta
	}
	if got, _ := ids(&api.QueryOptions{Prefix: "list-"}); !slices.Equal(got, []string{"list-a", "list-b", "list-c"}) {
		t.Errorf("by prefix: %v", got)
	}
	if got, _ := ids(&api.QueryOptions{Filter: `ID == "list-b"`}); !slices.Equal(got, []string{"list-b"}) {
		t.Errorf("by filter: %v", got)
	}
	page, meta := ids(&api.QueryOptions{Prefix: "list-", PerPage: 2})
	if !slices.Equal(page, []string{"list-a", "list-b"}) || meta.NextToken == "" {
		t.Fatalf("first page: %v, next %q", page, meta.NextToken)
	}
	page, meta = ids(&api.QueryOptions{Prefix: "list-", PerPage: 2, NextToken: meta.NextToken})
	if !slices.Equal(page, []string{"list-c"}) || meta.NextToken != "" {
		t.Errorf("second page: %v, next %q", page, meta.NextToken)
	}
}

func TestJobVersionsAndRevert(t *testing.T) {
	job := parse(t, script("versions", forever))
	running(t, job)
	job.Meta = map[string]string{"edition": "2"}
	if _, _, err := client.Jobs().Register(job, nil); err != nil {
		t.Fatal(err)
	}
	versions, diffs, _, err := client.Jobs().Versions("versions", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(versions) != 2 || *versions[0].Version != 1 || *versions[1].Version != 0 || len(diffs) != 1 || diffs[0].Type != "Edited" {
		t.Fatalf("%d versions, %d diffs", len(versions), len(diffs))
	}
	if _, _, err := client.Jobs().Revert("versions", 0, nil, nil, "", ""); err != nil {
		t.Fatal(err)
	}
	got, _, err := client.Jobs().Info("versions", nil)
	if err != nil {
		t.Fatal(err)
	}
	if *got.Version != 2 || got.Meta["edition"] != "" {
		t.Errorf("after the revert: version %d, meta %v", *got.Version, got.Meta)
	}
}

func TestJobLife(t *testing.T) {
	alloc := running(t, parse(t, script("life", forever)))
	sum := wait(t, "the summary to count the allocation", func(q *api.QueryOptions) (*api.JobSummary, *api.QueryMeta, error) {
		return client.Jobs().Summary("life", q)
	}, func(s *api.JobSummary) bool { return s.Summary["web"].Running == 1 })
	if sum.JobID != "life" || sum.Namespace != "default" {
		t.Errorf("summary: %+v", sum)
	}
	d := wait(t, "the deployment to succeed", func(q *api.QueryOptions) (*api.Deployment, *api.QueryMeta, error) {
		return client.Jobs().LatestDeployment("life", q)
	}, func(d *api.Deployment) bool { return d != nil && d.Status == api.DeploymentStatusSuccessful })
	if g := d.TaskGroups["web"]; g.HealthyAllocs != 1 || g.DesiredTotal != 1 {
		t.Errorf("deployment: %+v", g)
	}
	evals, _, err := client.Jobs().Evaluations("life", nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(evals, func(e *api.Evaluation) bool { return e.ID == alloc.EvalID })
	if i < 0 || evals[i].TriggeredBy != "job-register" || evals[i].Status != api.EvalStatusComplete {
		t.Fatalf("evaluations: %+v", evals)
	}
	if e, _, err := client.Evaluations().Info(alloc.EvalID, nil); err != nil || e.JobID != "life" || e.DeploymentID != d.ID && e.DeploymentID != "" {
		t.Errorf("evaluation: %+v, %v", e, err)
	}
	if of, _, err := client.Evaluations().Allocations(alloc.EvalID, nil); err != nil || len(of) != 1 || of[0].ID != alloc.ID {
		t.Errorf("allocations of the evaluation: %v, %v", of, err)
	}
	if _, _, err := client.Jobs().Deregister("life", false, nil); err != nil {
		t.Fatal(err)
	}
	waitAlloc(t, "life", "the allocation to end", func(a *api.AllocationListStub) bool {
		return a.DesiredStatus == api.AllocDesiredStatusStop && a.ClientStatus == api.AllocClientStatusComplete
	})
	wait(t, "the job to be dead", func(q *api.QueryOptions) (*api.Job, *api.QueryMeta, error) {
		return client.Jobs().Info("life", q)
	}, func(j *api.Job) bool { return *j.Stop && *j.Status == "dead" })
}

func TestBlockingQuery(t *testing.T) {
	register(t, parse(t, script("blocking", forever)))
	_, meta, err := client.Jobs().Info("blocking", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, late, err := client.Jobs().Info("no-such-job-changes", &api.QueryOptions{WaitIndex: 1, WaitTime: 10 * time.Millisecond})
	if err == nil {
		t.Errorf("a job that is not there was read, meta %+v", late)
	}
	_, _, err = client.Jobs().List(&api.QueryOptions{WaitIndex: 1 << 40, WaitTime: 50 * time.Millisecond})
	if err != nil {
		t.Errorf("a query whose time is up: %v", err)
	}
	type answer struct {
		job *api.Job
		err error
	}
	got := make(chan answer, 1)
	go func() {
		q := &api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: patience}
		for {
			job, m, err := client.Jobs().Info("blocking", q)
			if err != nil || job.Meta["woken"] == "yes" {
				got <- answer{job, err}
				return
			}
			q.WaitIndex = m.LastIndex
		}
	}()
	job := parse(t, script("blocking", forever))
	job.Meta = map[string]string{"woken": "yes"}
	resp, _, err := client.Jobs().Register(job, nil)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case a := <-got:
		if a.err != nil || *a.job.JobModifyIndex != resp.JobModifyIndex {
			t.Errorf("woken with %+v, %v", a.job, a.err)
		}
	case <-time.After(patience):
		t.Error("the write woke no query")
	}
}

func TestCanaryPromote(t *testing.T) {
	job := parse(t, script("canary", forever))
	canaries := 1
	job.TaskGroups[0].Update.Canary = &canaries
	old := running(t, job)
	healthy := func(d *api.Deployment) bool { return d != nil && d.Status == api.DeploymentStatusSuccessful }
	latest := func(q *api.QueryOptions) (*api.Deployment, *api.QueryMeta, error) {
		return client.Jobs().LatestDeployment("canary", q)
	}
	wait(t, "the first deployment", latest, healthy)
	job.TaskGroups[0].Tasks[0].Env["COLOUR"] = "blue"
	if _, _, err := client.Jobs().Register(job, nil); err != nil {
		t.Fatal(err)
	}
	d := wait(t, "a healthy canary", latest, func(d *api.Deployment) bool {
		return d != nil && d.JobVersion == 1 && d.TaskGroups["web"].HealthyAllocs == 1
	})
	g := d.TaskGroups["web"]
	if g.DesiredCanaries != 1 || len(g.PlacedCanaries) != 1 || g.Promoted || d.Status != api.DeploymentStatusRunning {
		t.Fatalf("deployment before its promotion: %+v %+v", d, g)
	}
	if a := info(t, g.PlacedCanaries[0]); a.DeploymentStatus == nil || !a.DeploymentStatus.Canary || a.Job.TaskGroups[0].Tasks[0].Env["COLOUR"] != "blue" {
		t.Errorf("canary: %+v", a.DeploymentStatus)
	}
	if a := info(t, old.ID); a.DesiredStatus != api.AllocDesiredStatusRun {
		t.Errorf("the old allocation is to %s before the promotion", a.DesiredStatus)
	}
	if resp, _, err := client.Deployments().PromoteAll(d.ID, nil); err != nil || resp.EvalID == "" {
		t.Fatalf("promote: %+v, %v", resp, err)
	}
	wait(t, "the promoted deployment to succeed", func(q *api.QueryOptions) (*api.Deployment, *api.QueryMeta, error) {
		return client.Deployments().Info(d.ID, q)
	}, func(d *api.Deployment) bool { return healthy(d) && d.TaskGroups["web"].Promoted })
	waitAlloc(t, "canary", "the old allocation to end", func(a *api.AllocationListStub) bool {
		return a.ID == old.ID && a.ClientStatus == api.AllocClientStatusComplete
	})
	if of, _, err := client.Deployments().Allocations(d.ID, nil); err != nil || len(of) == 0 {
		t.Errorf("allocations of the deployment: %v, %v", of, err)
	}
}

func TestJobFaults(t *testing.T) {
	const none = "00000000-0000-0000-0000-000000000000"
	_, _, err := client.Jobs().Info("nothing", nil)
	fails(t, err, 404, "job not found")
	_, _, err = client.Allocations().Info(none, nil)
	fails(t, err, 404, "alloc not found")
	_, _, err = client.Evaluations().Info(none, nil)
	fails(t, err, 404, "eval not found")
	_, _, err = client.Deployments().Info(none, nil)
	fails(t, err, 404, "deployment not found")
	_, _, err = client.Nodes().Info(none, nil)
	fails(t, err, 404, "node not found")
	id := "faulty"
	bad := &api.Job{ID: &id, Name: &id, Datacenters: []string{"*"}}
	_, _, err = client.Jobs().Register(bad, nil)
	fails(t, err, 500, "1 error occurred:\n\t* Missing job task groups")
	got, _, err := client.Jobs().Validate(bad, nil)
	if err != nil || !slices.Contains(got.ValidationErrors, "Missing job task groups") || got.Error == "" {
		t.Errorf("validate: %+v, %v", got, err)
	}
	good, _, err := client.Jobs().Validate(parse(t, script("good", forever)), nil)
	if err != nil || len(good.ValidationErrors) != 0 || good.Error != "" {
		t.Errorf("validate: %+v, %v", good, err)
	}
	if _, err := client.Jobs().ParseHCL(`job "x" { grp "y" {} }`, true); err == nil || !strings.Contains(err.Error(), "grp") {
		t.Errorf("parse of a faulty file: %v", err)
	}
}

func TestImpliedConstraints(t *testing.T) {
	text := strings.Replace(script("implied", forever), `driver = "raw_exec"`, "driver = \"raw_exec\"\n kill_signal = \"SIGINT\"", 1)
	register(t, parse(t, text))
	got, _, err := client.Jobs().Info("implied", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(got.TaskGroups[0].Constraints, func(c *api.Constraint) bool {
		return c.LTarget == "${attr.os.signals}" && c.Operand == api.ConstraintSetContains && c.RTarget == "SIGINT"
	}) {
		t.Errorf("constraints of the group: %+v", got.TaskGroups[0].Constraints)
	}
	waitAlloc(t, "implied", "an allocation that runs", func(a *api.AllocationListStub) bool {
		return a.ClientStatus == api.AllocClientStatusRunning
	})
}

func TestLists(t *testing.T) {
	alloc := running(t, parse(t, script("lists", forever)))
	of := &api.QueryOptions{Filter: `JobID == "lists"`}
	evals, _, err := client.Evaluations().List(of)
	if err != nil || !slices.ContainsFunc(evals, func(e *api.Evaluation) bool { return e.ID == alloc.EvalID && e.Type == "service" }) {
		t.Errorf("evaluations: %v, %v", evals, err)
	}
	deployments, _, err := client.Deployments().List(of)
	if err != nil || len(deployments) != 1 || deployments[0].ID != alloc.DeploymentID || deployments[0].JobID != "lists" {
		t.Errorf("deployments: %v, %v", deployments, err)
	}
	allocs, _, err := client.Allocations().List(of)
	if err != nil || len(allocs) != 1 || allocs[0].ID != alloc.ID || time.Since(time.Unix(0, allocs[0].CreateTime)) > time.Minute {
		t.Errorf("allocations: %v, %v", allocs, err)
	}
	_, _, err = client.Allocations().List(&api.QueryOptions{Filter: `NoSuchField == "x"`})
	if err == nil || !strings.Contains(err.Error(), "code: 400 (failed to read result page: error finding value in datum") {
		t.Errorf("filter by a field that is not there: %v", err)
	}
	_, _, err = client.Jobs().List(&api.QueryOptions{Filter: `ID ==`})
	if err == nil || !strings.Contains(err.Error(), "code: 400 (") {
		t.Errorf("a faulty filter: %v", err)
	}
}
