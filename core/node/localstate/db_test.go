package localstate

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seraiproject/serai/core/model"
)

func openDB(t *testing.T, path string) *DB {
	t.Helper()
	db, aside, err := Open(path, "boot")
	if err != nil {
		t.Fatal(err)
	}
	if aside != "" {
		t.Fatalf("file was set aside as %s", aside)
	}
	return db
}

func alloc(id string, job *model.Job) *model.Allocation {
	return &model.Allocation{
		ID: model.AllocID(id), Namespace: job.Namespace, JobID: job.ID, JobVersion: job.Version, Job: job,
		TaskGroup: "g", DesiredStatus: model.AllocDesiredRun, AllocModifyIndex: 7,
	}
}

func job(create, version uint64, priority int) *model.Job {
	return &model.Job{
		ID: "web", Namespace: "default", Version: version, CreateIndex: create, Priority: priority,
		TaskGroups: []*model.TaskGroup{{Name: "g", Tasks: []*model.Task{{
			Name: "t", Driver: "raw_exec", Config: map[string]any{"command": "/bin/true", "args": []any{"a", "b"}},
		}}}},
	}
}

// TestKilledProcess copies the file of a DB that was never closed: what a
// kill -9 leaves behind.
func TestKilledProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := openDB(t, path)
	defer db.Close()

	first, second, again := job(3, 0, 10), job(3, 1, 20), job(9, 0, 30)
	want := []*AllocRecord{
		{Alloc: alloc("a1", first)},
		{Alloc: alloc("a2", second), Health: &model.AllocDeploymentStatus{Healthy: new(bool)}},
		{Alloc: alloc("a3", again)},
	}
	for _, r := range want {
		if err := db.PutAlloc(r.Alloc); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.PutHealth("a2", want[1].Health); err != nil {
		t.Fatal(err)
	}
	state := &model.TaskState{State: model.TaskStateRunning, Restarts: 3}
	if err := db.PutTask("a2", "t", state); err != nil {
		t.Fatal(err)
	}
	if err := db.PutPlugin("raw_exec", []byte("pid 7")); err != nil {
		t.Fatal(err)
	}

	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(copied, image, 0o600); err != nil {
		t.Fatal(err)
	}
	db2 := openDB(t, copied)
	defer db2.Close()
	got, faults, err := db2.Allocs()
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	var gotState model.TaskState
	if found, err := db2.Task("a2", "t", &gotState); err != nil || !found {
		t.Fatal(found, err)
	}
	if d := cmp.Diff(state, &gotState); d != "" {
		t.Error(d)
	}
	plugins, err := db2.Plugins()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string][]byte{"raw_exec": []byte("pid 7")}, plugins); d != "" {
		t.Error(d)
	}

	if err := db2.DeleteAlloc("a2"); err != nil {
		t.Fatal(err)
	}
	if found, _ := db2.Task("a2", "t", &gotState); found {
		t.Error("task of a forgotten alloc is still there")
	}
	got, _, err = db2.Allocs()
	if err != nil || len(got) != 2 {
		t.Fatalf("%d allocs, want 2: %v", len(got), err)
	}
}

func TestUntrustedFile(t *testing.T) {
	for _, c := range []struct {
		name  string
		boot  string
		close bool
		spoil bool
		aside bool
	}{
		{name: "agent was killed", boot: "one"},
		{name: "agent stopped, machine rebooted", boot: "two", close: true},
		{name: "machine went down", boot: "two", aside: true},
		{name: "file is damaged", boot: "one", close: true, spoil: true, aside: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			db, _, err := Open(path, "one")
			if err != nil {
				t.Fatal(err)
			}
			if err := db.PutAlloc(alloc("a", job(1, 1, 50))); err != nil {
				t.Fatal(err)
			}
			if c.close {
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				// As the kernel does for a killed process: the lock goes, all
				// else stays.
				if err := db.bolt.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if c.spoil {
				if err := os.WriteFile(path, make([]byte, 64<<10), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			db, aside, err := Open(path, c.boot)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if (aside != "") != c.aside {
				t.Errorf("set aside as %q, want %v", aside, c.aside)
			}
			got, _, err := db.Allocs()
			if err != nil || (len(got) == 0) != c.aside {
				t.Errorf("%d allocs, %v", len(got), err)
			}
		})
	}
}

func TestIdentityStays(t *testing.T) {
	dir := t.TempDir()
	a, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if a != b || len(a.ID) != 36 || len(a.Secret) != 36 || string(a.ID) == a.Secret {
		t.Errorf("%+v then %+v", a, b)
	}
}
