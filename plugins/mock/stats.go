package mock

import (
	"context"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// Stats gives the scripted figures.
func (t *Task) Stats(context.Context) (driver.Usage, error) {
	rss := t.config.MemoryMB << 20
	return driver.Usage{
		CPU: &driver.CPUUsage{
			Percent:        t.config.CPUPercent,
			TotalTicks:     t.config.CPUPercent * 10,
			MeasuredFields: []driverpb.CPUUsage_Fields{driver.CPUPercent, driver.CPUTicks},
		},
		Memory: &driver.MemoryUsage{
			Rss:            rss,
			Usage:          rss,
			MeasuredFields: []driverpb.MemoryUsage_Fields{driver.MemoryRSS, driver.MemoryTotal},
		},
	}, nil
}
