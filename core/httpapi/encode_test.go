package httpapi

import (
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
)

func TestZeroValuesOfTimes(t *testing.T) {
	tests := map[string]struct {
		v    any
		want string
	}{
		"evaluation leaves it out": {&model.Evaluation{ID: "e", WaitUntil: time.Time{}},
			`{"CreateIndex":0,"CreateTime":0,"ID":"e","JobID":"","ModifyIndex":0,"ModifyTime":0,"Namespace":"","Priority":0,"Status":"","TriggeredBy":"","Type":""}`},
		"deployment state says null": {model.DeploymentState{},
			`{"AutoPromote":false,"AutoRevert":false,"DesiredCanaries":0,"DesiredTotal":0,"HealthyAllocs":0,"PlacedAllocs":0,"PlacedCanaries":null,"ProgressDeadline":0,"Promoted":false,"RequireProgressBy":null,"UnhealthyAllocs":0}`},
		"floats have a point": {model.CPUStats{Percent: 3}, `{"Measured":null,"Percent":3.0,"SystemMode":0.0,"ThrottledPeriods":0,"ThrottledTime":0,"TotalTicks":0.0,"UserMode":0.0}`},
		"a nil list":          {[]*model.Job(nil), `[]`},
		"transitions in a stub": {struct{ D model.DesiredTransition }{},
			`{"D":{"ForceReschedule":null,"Migrate":null,"MigrateDisablePlacement":null,"NoShutdownDelay":null,"Reschedule":null}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := encode(tt.v, false)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
