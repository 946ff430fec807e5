package exec

import "github.com/seraiproject/serai/pluginsdk/driver"

// The figures come from the task's cgroup: see supervised.Task.Stats.
var (
	_ driver.StatsReporter = (*Handle)(nil)
	_ driver.Signaler      = (*Handle)(nil)
	_ driver.Execer        = (*Handle)(nil)
	_ driver.Inspector     = (*Handle)(nil)

	_ driver.Driver[Config, TaskConfig, *Handle] = (*Driver)(nil)
)
