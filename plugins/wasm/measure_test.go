package wasm_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	n := newNode(t, nil)
	for i := range 3 {
		j := n.job(t, "http.wasm", nil)
		address := j.port(t, "http")
		t0 := time.Now()
		task := j.start(t)
		s := time.Since(t0)
		get(t, "http://"+address+"/")
		fmt.Println("start", i, s, "first answer", time.Since(t0))
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%s/smaps_rollup", task.Attributes()["pid"]))
		fmt.Println(string(b))
		if i == 2 {
			b, _ = os.ReadFile(fmt.Sprintf("/proc/%s/smaps", task.Attributes()["pid"]))
			os.WriteFile("/tmp/wz/smaps", b, 0644)
			b, _ = os.ReadFile(fmt.Sprintf("/proc/%s/status", task.Attributes()["pid"]))
			for l := range strings.Lines(string(b)) {
				if strings.HasPrefix(l, "Vm") || strings.HasPrefix(l, "Thr") || strings.HasPrefix(l, "Uid") || strings.HasPrefix(l, "NoNew") || strings.HasPrefix(l, "CapEff") {
					fmt.Print(l)
				}
			}
		}
	}
}
