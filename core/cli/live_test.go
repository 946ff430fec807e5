package cli

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/seraiproject/serai/core/model"
)

func TestLiveView(t *testing.T) {
	var out bytes.Buffer
	s := &session{deps: Deps{Stdout: &out, Now: func() time.Time { return now }, Location: time.UTC}, color: true}
	v := &liveView{m: &monitor{session: s, length: 8}}
	v.tick() // nothing to show yet
	for i, text := range []string{deployRun, deployDone} {
		var d model.Deployment
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		v.update(&d)
		v.tick()
		if i == 1 {
			v.end(&d)
		}
	}
	golden(t, "live/deployment", out.String())
}
