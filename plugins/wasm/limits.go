package wasm

import (
	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process"
)

// runnerOverhead is what a runner may need beyond linear memory, machine code and module: the Go runtime, buffers of the
// kernel for its sockets, and the engine's own data.
const runnerOverhead = 32 << 20

// maxThreads bounds a runner's threads; a guest has no way to ask for one.
const maxThreads = 128

// limits are those of a task's cgroup. The memory of the job file is all the guest's: the module's linear memory may grow
// to that and is refused more. What the runner needs beside it comes on top and follows from the module: it is held
// twice while it is loaded, as is its machine code.
func limits(task *driver.TaskConfig, code entry) process.Limits {
	l := process.Limits{
		CPUShares: uint64(max(task.GetResources().GetLinuxResources().GetCpuShares(), 0)),
		CPUs:      task.GetResources().GetLinuxResources().GetCpusetCpus(),
		PIDs:      maxThreads,
	}
	if memory := memoryBytes(task); memory > 0 {
		l.MemoryBytes = memory + runnerOverhead + 2*code.moduleSize + 2*code.codeSize
	}
	return l
}
