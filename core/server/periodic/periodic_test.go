package periodic

import (
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
)

func TestNext(t *testing.T) {
	now := time.Date(2026, 3, 28, 23, 59, 30, 0, time.UTC)
	for name, tc := range map[string]struct {
		p    model.PeriodicConfig
		want time.Time
	}{
		"cron":         {model.PeriodicConfig{Spec: "*/15 * * * *"}, time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)},
		"seconds":      {model.PeriodicConfig{Spec: "*/10 * * * * * *"}, now.Add(10 * time.Second)},
		"earliest":     {model.PeriodicConfig{Specs: []string{"@monthly", "@daily"}}, time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)},
		"zone":         {model.PeriodicConfig{Spec: "0 6 * * *", TimeZone: "America/New_York"}, time.Date(2026, 3, 29, 10, 0, 0, 0, time.UTC)},
		"over":         {model.PeriodicConfig{Spec: "0 0 1 1 * 2020"}, time.Time{}},
		"both members": {model.PeriodicConfig{Spec: "@yearly", Specs: []string{"@hourly"}}, time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)},
	} {
		got, err := Next(&tc.p, now)
		if err != nil || !got.Equal(tc.want) {
			t.Errorf("%s: %v, want %v, error %v", name, got, tc.want, err)
		}
	}
	for _, p := range []model.PeriodicConfig{{Spec: "nonsense"}, {Spec: "@daily", TimeZone: "Mars/Olympus"}} {
		if _, err := Next(&p, now); err == nil {
			t.Errorf("%+v is taken", p)
		}
	}
	if id := ChildID("clock", now); id != "clock/periodic-1774742370" {
		t.Errorf("child is %s", id)
	}
}
