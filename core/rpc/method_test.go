package rpc

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seraiproject/serai/core/model"
)

// wire is a Caller that encodes and decodes everything it carries.
type wire struct{ mux *Mux }

func (w wire) Call(ctx context.Context, d *Descriptor, req Message) (Message, error) {
	b, err := req.MarshalMsg(nil)
	if err != nil {
		return nil, err
	}
	far := d.NewRequest()
	if _, err := far.UnmarshalMsg(b); err != nil {
		return nil, err
	}
	resp, err := w.mux.Dispatch(ctx, d, far)
	if err != nil {
		return nil, model.ErrorFromCode(model.ErrorCode(err), err.Error())
	}
	if b, err = resp.MarshalMsg(nil); err != nil {
		return nil, err
	}
	near := d.NewResponse()
	_, err = near.UnmarshalMsg(b)
	return near, err
}

func (w wire) Stream(context.Context, *Descriptor, Message) (Stream, error) {
	return nil, model.ErrUnsupported
}

func TestCallKeepsContentAndErrorClass(t *testing.T) {
	mux := NewMux()
	job := &model.Job{
		ID: "web", Namespace: "default",
		TaskGroups: []*model.TaskGroup{{
			Name: "g", Count: 2,
			Tasks: []*model.Task{{
				Name: "t", Driver: "exec",
				Config: map[string]any{"command": "/bin/sleep", "args": []any{"1", int64(2), 2.5, true, nil}},
			}},
		}},
	}
	JobGet.Handle(mux, func(_ context.Context, q *JobQuery) (*JobResponse, error) {
		if q.JobID != "web" || q.MinIndex != 7 {
			return nil, model.Errorf(model.ErrNotFound, "job %q not found", q.JobID)
		}
		return &JobResponse{QueryMeta: QueryMeta{Index: 9}, Job: job}, nil
	})
	c := wire{mux}
	got, err := JobGet.Call(t.Context(), c, &JobQuery{QueryOptions: QueryOptions{MinIndex: 7}, JobID: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(job, got.Job, cmpopts.EquateEmpty()); diff != "" || got.Index != 9 {
		t.Errorf("index %d, job differs (-sent +received):\n%s", got.Index, diff)
	}
	_, err = JobGet.Call(t.Context(), c, &JobQuery{JobID: "nope"})
	if !errors.Is(err, model.ErrNotFound) || err.Error() != `job "nope" not found` {
		t.Errorf("error is %v", err)
	}
	if _, err = JobList.Call(t.Context(), c, &JobListRequest{}); err == nil {
		t.Error("a method without a handler was answered")
	}
}

func TestEveryMethodHasOptions(t *testing.T) {
	for name, d := range Descriptors() {
		switch req := d.NewRequest(); d.Kind {
		case Read:
			if _, ok := req.(Query); !ok {
				t.Errorf("%s is a read and its request has no QueryOptions", name)
			}
		case Write:
			if _, ok := req.(Mutation); !ok {
				t.Errorf("%s is a write and its request has no WriteRequest", name)
			}
		}
		if d.Kind == Read && !d.Streaming {
			if _, ok := d.NewResponse().(QueryAnswer); !ok {
				t.Errorf("%s is a read and its response has no QueryMeta", name)
			}
		}
	}
}
