package model

import "time"

// Defaults of a job that says nothing, by type where the type matters.

func defaultRestart(jobType string) RestartPolicy {
	p := RestartPolicy{Attempts: 2, Interval: 30 * time.Minute, Delay: 15 * time.Second, Mode: RestartModeFail}
	if jobType == JobTypeBatch || jobType == JobTypeSysBatch {
		p.Attempts, p.Interval = 3, 24*time.Hour
	}
	return p
}

// defaultReschedule is nil for the types that are not rescheduled.
func defaultReschedule(jobType string) *ReschedulePolicy {
	switch jobType {
	case JobTypeService:
		return &ReschedulePolicy{
			Delay: 30 * time.Second, DelayFunction: "exponential",
			MaxDelay: time.Hour, Unlimited: true,
		}
	case JobTypeBatch:
		return &ReschedulePolicy{
			Attempts: 1, Interval: 24 * time.Hour,
			Delay: 5 * time.Second, DelayFunction: "constant",
		}
	}
	return nil
}

func defaultUpdate() UpdateStrategy {
	return UpdateStrategy{
		Stagger: 30 * time.Second, MaxParallel: 1, HealthCheck: HealthChecks,
		MinHealthyTime: 10 * time.Second, HealthyDeadline: 5 * time.Minute, ProgressDeadline: 10 * time.Minute,
	}
}

func defaultMigrate() MigrateStrategy {
	return MigrateStrategy{
		MaxParallel: 1, HealthCheck: HealthChecks,
		MinHealthyTime: 10 * time.Second, HealthyDeadline: 5 * time.Minute,
	}
}

// rolls reports whether jobs of the type are updated by deployments.
func rolls(jobType string) bool { return jobType == JobTypeService || jobType == JobTypeSystem }

// Sizes and times of a task that says nothing.
const (
	defaultCPU         = 100 // MHz
	defaultMemoryMB    = 300
	defaultKillTimeout = 5 * time.Second
	defaultDiskMB      = 300
)

func defaultResources() *Resources { return &Resources{CPU: defaultCPU, MemoryMB: defaultMemoryMB} }

func defaultLogConfig() *LogConfig { return &LogConfig{MaxFiles: 10, MaxFileSizeMB: 10} }
