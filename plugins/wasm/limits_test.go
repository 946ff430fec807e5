package wasm

import (
	"testing"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

func TestLimits(t *testing.T) {
	code := entry{moduleSize: 1 << 20, codeSize: 4 << 20}
	const overhead = 32<<20 + 10<<20
	for _, test := range []struct {
		name      string
		resources *driver.Resources
		want      process.Limits
	}{
		{"none", nil, process.Limits{PIDs: maxThreads}},
		{"kernel's terms", &driver.Resources{LinuxResources: &driver.LinuxResources{CpuShares: 100, MemoryLimitBytes: 64 << 20, CpusetCpus: "1"}},
			process.Limits{CPUShares: 100, MemoryBytes: 64<<20 + overhead, CPUs: "1", PIDs: maxThreads}},
		{"job's terms", &driver.Resources{AllocatedResources: &driverpb.AllocatedTaskResources{Memory: &driverpb.AllocatedMemoryResources{MemoryMb: 10}}},
			process.Limits{MemoryBytes: 10<<20 + overhead, PIDs: maxThreads}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := limits(&driver.TaskConfig{Resources: test.resources}, code); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
