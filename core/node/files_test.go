package node

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/model"
)

func TestFiles(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeBatch, shell("main", `printf hello > local/f; ln -s /etc/passwd local/out; echo x > $NOMAD_SECRETS_DIR/s; while [ ! -e $NOMAD_ALLOC_DIR/data/end ]; do sleep 0.01; done`))
	h.servers.want(a)
	h.status(a, model.AllocClientRunning)
	ctx := context.Background()
	root := filepath.Join(h.config.AllocDir, string(a.ID))
	defer os.WriteFile(filepath.Join(root, "alloc/data/end"), nil, 0o600)
	eventually(t, "the task has written", func() bool {
		_, err := os.Stat(filepath.Join(root, "main/secrets/s"))
		return err == nil
	})

	for _, c := range []struct {
		path          string
		offset, limit int64
		want          string
		class         error
	}{
		{"main/local/f", 0, -1, "hello", nil},
		{"/main/local/f", 1, 3, "ell", nil},
		{"main/local/f", 9, -1, "", nil},
		{"main/local/../../../../etc/passwd", 0, -1, "", model.ErrInvalid},
		{"main/local/out", 0, -1, "", model.ErrInvalid},
		{"main/secrets/s", 0, -1, "", model.ErrDenied},
		{"alloc/logs/.main.stdout.fifo", 0, -1, "", model.ErrInvalid},
		{"nothing", 0, -1, "", model.ErrNotFound},
	} {
		r, err := h.node.OpenFile(ctx, a.ID, c.path, c.offset, c.limit)
		if c.class != nil {
			if !errors.Is(err, c.class) {
				t.Errorf("%s: %v, want %v", c.path, err, c.class)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(b) != c.want {
			t.Errorf("%s: %q, %v", c.path, b, err)
		}
	}
	for _, id := range []model.AllocID{"unknown"} {
		if _, err := h.node.ListDir(ctx, id, "/"); !errors.Is(err, model.ErrNotFound) {
			t.Error(err)
		}
	}
	if _, err := h.node.ListDir(ctx, a.ID, "../"); !errors.Is(err, model.ErrInvalid) {
		t.Error(err)
	}

	// Follow a file that grows, is cut, grows and is removed.
	path := filepath.Join(root, "alloc/data/grow")
	if err := os.WriteFile(path, []byte("one "), 0o600); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	events := ""
	err := h.node.StreamFile(ctx, a.ID, "alloc/data/grow", httpapi.Position{Offset: 2, Origin: "end", Follow: true}, func(f *model.StreamFrame) error {
		seen.Write(f.Data)
		events += f.FileEvent + ";"
		switch {
		case f.FileEvent == model.FileTruncated:
			return os.WriteFile(path, []byte("two"), 0o600)
		case string(f.Data) == "e ":
			return os.Truncate(path, 0)
		case string(f.Data) == "two":
			return os.Remove(path)
		}
		return nil
	})
	if err != nil || seen.String() != "e two" || !strings.Contains(events, model.FileTruncated) || !strings.HasSuffix(events, model.FileDeleted+";") {
		t.Errorf("%q, events %q, %v", seen.String(), events, err)
	}

	// A reader that goes away ends the stream, without an error.
	gone, cancel := context.WithCancel(ctx)
	err = h.node.StreamLogs(gone, a.ID, "main", "stdout", httpapi.Position{Follow: true}, func(f *model.StreamFrame) error {
		cancel()
		return nil
	})
	cancel()
	if err != nil {
		t.Error(err)
	}
	if err := h.node.StreamLogs(ctx, a.ID, "other", "stdout", httpapi.Position{}, nil); err == nil || err.Error() != `unknown task name "other"` {
		t.Error(err)
	}
	if err := h.node.StreamLogs(ctx, a.ID, "main", "stdall", httpapi.Position{}, nil); !errors.Is(err, model.ErrInvalid) {
		t.Error(err)
	}
}

func TestStickyDisk(t *testing.T) {
	h := newHarness(t)
	h.launch()
	first := alloc(model.JobTypeBatch, shell("main", `echo one > $NOMAD_ALLOC_DIR/data/d; echo l > local/l`))
	first.Job.TaskGroups[0].EphemeralDisk = &model.EphemeralDisk{Sticky: true}
	h.servers.want(first)
	h.status(first, model.AllocClientComplete)
	second := alloc(model.JobTypeBatch, shell("main", `cat $NOMAD_ALLOC_DIR/data/d local/l`))
	second.Job.TaskGroups[0].EphemeralDisk = &model.EphemeralDisk{Sticky: true}
	second.PreviousAllocation = first.ID
	h.servers.want(second)
	h.status(second, model.AllocClientComplete)
	if out := h.read(second, "main", "stdout"); out != "one\nl\n" {
		t.Errorf("%q", out)
	}
}

func TestUnsupportedNetworkIsRefused(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeBatch, shell("main", `exit 0`))
	a.Job.TaskGroups[0].Networks = []*model.NetworkResource{{Mode: "bridge"}}
	h.servers.want(a)
	got := h.status(a, model.AllocClientFailed)
	e := got.TaskStates["main"].Events[1]
	if e.Type != model.EventSetupFailure || !strings.Contains(e.DisplayMessage, `network mode "bridge"`) {
		t.Errorf("%+v", e)
	}
}

func TestForgottenAllocationsAreRemoved(t *testing.T) {
	h := newHarness(t)
	h.launch()
	a := alloc(model.JobTypeService, shell("main", `exec sleep 1000`))
	h.servers.want(a)
	h.status(a, model.AllocClientRunning)
	// A server that lags behind does not know it yet: it stays.
	h.servers.mu.Lock()
	delete(h.servers.wanted, a.ID)
	h.servers.index--
	h.servers.mu.Unlock()
	h.servers.hangUp() // the next stream begins with all there is
	h.until("the next stream", func(s *servers) bool { return len(s.watchers) > 0 })
	other := alloc(model.JobTypeBatch, shell("main", "exit 0"))
	h.servers.want(other) // has passed the message before it
	h.status(other, model.AllocClientComplete)
	if r := h.node.runner(a.ID); r == nil || r.Stopping() {
		t.Fatal("it was stopped")
	}

	// Now it was purged.
	h.servers.hangUp()
	root := filepath.Join(h.config.AllocDir, string(a.ID))
	eventually(t, "it is removed", func() bool {
		_, err := os.Stat(root)
		return os.IsNotExist(err) && h.node.runner(a.ID) == nil
	})
	if records, _, err := h.node.state.Allocs(); err != nil || len(records) != 1 || records[0].Alloc.ID != other.ID {
		t.Errorf("remembered: %v, %v", records, err)
	}
}
