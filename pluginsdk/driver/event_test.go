package driver

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

func event(i int) *driverpb.DriverTaskEvent {
	return &driverpb.DriverTaskEvent{Message: strconv.Itoa(i)}
}

// follow collects what a listener gets until the returned function is called.
func follow(t *testing.T, f *fanout, fail int) (stop func() []string) {
	ctx, cancel := context.WithCancel(t.Context())
	var got []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.listen(ctx, func(e *driverpb.DriverTaskEvent) error {
			if len(got) == fail {
				return errors.New("host went away")
			}
			got = append(got, e.GetMessage())
			return nil
		})
	}()
	return func() []string {
		cancel()
		<-done
		return got
	}
}

func TestEveryListenerGetsEveryEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fanout
		a, b := follow(t, &f, -1), follow(t, &f, -1)
		synctest.Wait()
		for i := range 3 {
			f.send(event(i))
		}
		synctest.Wait()
		for name, got := range map[string][]string{"a": a(), "b": b()} {
			if len(got) != 3 || got[0] != "0" || got[2] != "2" {
				t.Errorf("listener %s got %v", name, got)
			}
		}
	})
}

func TestEventsWaitForAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fanout
		for i := range maxBacklog + 10 {
			f.send(event(i))
		}
		// This host dies over its third event, which is not lost by that.
		first := follow(t, &f, 2)
		synctest.Wait()
		if got := first(); len(got) != 2 || got[0] != "10" {
			t.Errorf("first host got %v, want 10 and 11", got)
		}
		second := follow(t, &f, -1)
		synctest.Wait()
		got := second()
		if len(got) != maxBacklog-2 || got[0] != "12" || got[len(got)-1] != strconv.Itoa(maxBacklog+9) {
			t.Errorf("second host got %d events from %s", len(got), got[0])
		}
	})
}
