package model

import "time"

// Job types.
const (
	JobTypeService  = "service"
	JobTypeBatch    = "batch"
	JobTypeSystem   = "system"
	JobTypeSysBatch = "sysbatch"
	JobTypeCore     = "_core" // evaluations of the server's own housekeeping
)

// Job status, derived from its evaluations and allocations.
const (
	JobStatusPending = "pending"
	JobStatusRunning = "running"
	JobStatusDead    = "dead"
)

// Names that exist without being created.
const (
	DefaultNamespace = "default"
	DefaultRegion    = "global"
	DefaultNodePool  = "default"
	AllNodePool      = "all"
	AllNamespaces    = "*"

	DefaultJobPriority = 50
	MaxJobPriority     = 100
)

// A Job is what a user wants run: groups of tasks and the rules for placing,
// updating and restarting them.
type Job struct {
	ID          JobID
	Name        string
	Namespace   string
	Region      string
	Type        string // JobType…
	Priority    int    // 1 to 100, higher first
	AllAtOnce   bool
	Datacenters []string `msg:",allownil"` // globs
	NodePool    string
	Constraints []*Constraint `msg:",allownil"`
	Affinities  []*Affinity   `msg:",allownil"`
	Spreads     []*Spread     `msg:",allownil"`
	TaskGroups  []*TaskGroup  `msg:",allownil"`

	// Update keeps only Stagger and MaxParallel once registered; the
	// policy that acts is on each group.
	Update           *UpdateStrategy
	Periodic         *PeriodicConfig
	ParameterizedJob *ParameterizedJobConfig
	Multiregion      *Multiregion
	Meta             map[string]string `msg:",allownil"`
	UI               *JobUI

	Payload                  []byte `msg:",allownil"`
	ConsulNamespace          string
	VaultNamespace           string
	NomadTokenID             string
	Stop                     bool
	Stable                   bool
	Dispatched               bool
	ParentID                 JobID
	DispatchIdempotencyToken string

	Status            string
	StatusDescription string
	Version           uint64
	SubmitTime        int64 // Unix nanoseconds
	CreateIndex       uint64
	ModifyIndex       uint64 // moves with the status too
	JobModifyIndex    uint64 // moves only with the specification
	VersionTag        *JobVersionTag
}

// JobUI is what a web UI shows beside the job.
type JobUI struct {
	Description string
	Links       []*JobUILink `msg:",allownil"`
}

// JobUILink is one link of a JobUI.
type JobUILink struct {
	Label string
	Url   string //nolint:revive // the key of the API
}

// JobVersionTag is a name that a user gave to a version of a job.
type JobVersionTag struct {
	Name        string
	Description string
	TaggedTime  int64 // Unix nanoseconds
}

// PeriodicConfig starts children of a batch job by the clock.
type PeriodicConfig struct {
	Enabled         bool
	Spec            string
	SpecType        string
	Specs           []string `msg:",allownil"`
	ProhibitOverlap bool
	TimeZone        string
}

// ParameterizedJobConfig makes a batch job a template for dispatched children.
type ParameterizedJobConfig struct {
	Payload      string   // optional, required or forbidden
	MetaRequired []string `msg:",allownil"`
	MetaOptional []string `msg:",allownil"`
}

// Multiregion spreads a job over regions.
type Multiregion struct {
	Strategy *MultiregionStrategy
	Regions  []*MultiregionRegion `msg:",allownil"`
}

// MultiregionStrategy orders the rollout over regions.
type MultiregionStrategy struct {
	MaxParallel int
	OnFailure   string
}

// MultiregionRegion is one region of a Multiregion job.
type MultiregionRegion struct {
	Name        string
	Count       int
	Datacenters []string `msg:",allownil"`
	NodePool    string
	Meta        map[string]string `msg:",allownil"`
}

// A TaskGroup is the unit that is placed together on one node.
type TaskGroup struct {
	Name             string
	Count            int
	Constraints      []*Constraint             `msg:",allownil"`
	Affinities       []*Affinity               `msg:",allownil"`
	Spreads          []*Spread                 `msg:",allownil"`
	Tasks            []*Task                   `msg:",allownil"`
	Services         []*Service                `msg:",allownil"`
	Networks         []*NetworkResource        `msg:",allownil"`
	Volumes          map[string]*VolumeRequest `msg:",allownil"`
	RestartPolicy    *RestartPolicy
	ReschedulePolicy *ReschedulePolicy
	Disconnect       *DisconnectStrategy
	EphemeralDisk    *EphemeralDisk
	Update           *UpdateStrategy
	Migrate          *MigrateStrategy
	Scaling          *ScalingPolicy
	Consul           *Consul
	Meta             map[string]string `msg:",allownil"`

	ShutdownDelay             *time.Duration
	MaxRunDuration            *time.Duration
	StopAfterClientDisconnect *time.Duration
	MaxClientDisconnect       *time.Duration
	PreventRescheduleOnLost   bool
}

// Restart policy modes.
const (
	RestartModeFail  = "fail"
	RestartModeDelay = "delay"
)

// RestartPolicy says how often a node starts a failed task again in place.
type RestartPolicy struct {
	Attempts        int
	Interval        time.Duration
	Delay           time.Duration // up to 25 % is added at random
	Mode            string        // RestartMode…
	RenderTemplates bool
}

// ReschedulePolicy says how often the servers place a failed allocation anew.
type ReschedulePolicy struct {
	Attempts      int
	Interval      time.Duration
	Delay         time.Duration
	DelayFunction string // constant, exponential or fibonacci
	MaxDelay      time.Duration
	Unlimited     bool
}

// Ways to tell that an allocation is healthy.
const (
	HealthChecks     = "checks"
	HealthTaskStates = "task_states"
	HealthManual     = "manual"
)

// UpdateStrategy says how a new version of a group replaces the old.
type UpdateStrategy struct {
	Stagger          time.Duration
	MaxParallel      int // 0: all at once, without a deployment
	HealthCheck      string
	MinHealthyTime   time.Duration
	HealthyDeadline  time.Duration
	ProgressDeadline time.Duration // 0: the first unhealthy allocation fails the deployment
	Canary           int
	AutoRevert       bool
	AutoPromote      bool
}

// MigrateStrategy says how allocations leave a draining node.
type MigrateStrategy struct {
	MaxParallel     int
	HealthCheck     string
	MinHealthyTime  time.Duration
	HealthyDeadline time.Duration
}

// DisconnectStrategy says what happens to allocations of a node that is away.
type DisconnectStrategy struct {
	LostAfter         time.Duration
	StopOnClientAfter *time.Duration
	Replace           bool
	Reconcile         string
}

// EphemeralDisk is the space an allocation's directory is placed by.
type EphemeralDisk struct {
	Sticky  bool
	Migrate bool
	SizeMB  int
}

// Consul selects a Consul cluster.
type Consul struct {
	Namespace string
	Cluster   string
	Partition string
}

// Constraint operands. A constraint's Operand may also be spelled ==, is, not.
const (
	OpDistinctHosts    = "distinct_hosts"
	OpDistinctProperty = "distinct_property"
	OpRegexp           = "regexp"
	OpVersion          = "version"
	OpSemver           = "semver"
	OpSetContains      = "set_contains"
	OpSetContainsAll   = "set_contains_all"
	OpSetContainsAny   = "set_contains_any"
	OpIsSet            = "is_set"
	OpIsNotSet         = "is_not_set"
)

// A Constraint excludes nodes.
type Constraint struct {
	LTarget string
	RTarget string
	Operand string
}

// String is the key under which filtered nodes are counted.
func (c *Constraint) String() string {
	return c.LTarget + " " + c.Operand + " " + c.RTarget
}

// An Affinity prefers (or with a negative weight avoids) nodes.
type Affinity struct {
	LTarget string
	RTarget string
	Operand string
	Weight  int8
}

// A Spread divides allocations over the values of an attribute.
type Spread struct {
	Attribute    string
	Weight       int8
	SpreadTarget []*SpreadTarget `msg:",allownil"`
}

// SpreadTarget is the share of one value.
type SpreadTarget struct {
	Value   string
	Percent uint8
}

// VolumeRequest is a volume that a group wants.
type VolumeRequest struct {
	Name           string
	Type           string
	Source         string
	ReadOnly       bool
	Sticky         bool
	AccessMode     string
	AttachmentMode string
	MountOptions   *CSIMountOptions
	PerAlloc       bool
}

// CSIMountOptions are passed to a CSI plugin.
type CSIMountOptions struct {
	FSType     string
	MountFlags []string `msg:",allownil"`
}

// ScalingPolicy bounds the count of a group (or a task's resource).
type ScalingPolicy struct {
	ID          string
	Type        string
	Min         int64
	Max         int64
	Enabled     bool
	Policy      map[string]any    `msg:",allownil"`
	Target      map[string]string `msg:",allownil"`
	CreateIndex uint64
	ModifyIndex uint64
}

// JobSubmission is the source text a job was registered from.
type JobSubmission struct {
	Source         string
	Format         string            // hcl2 or json
	VariableFlags  map[string]string `msg:",allownil"`
	Variables      string
	Namespace      string
	JobID          JobID
	Version        uint64
	JobModifyIndex uint64
}

// Group returns the group of that name, or nil.
func (j *Job) Group(name string) *TaskGroup {
	for _, g := range j.TaskGroups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// Task returns the task of that name, or nil.
func (g *TaskGroup) Task(name string) *Task {
	for _, t := range g.Tasks {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Key identifies the job in its region.
func (j *Job) Key() JobKey { return JobKey{j.Namespace, j.ID} }

// Stopped reports whether nothing of the job should run. A nil job (one that
// was purged) is stopped.
func (j *Job) Stopped() bool { return j == nil || j.Stop }

// IsPeriodic reports whether the job only starts children by the clock.
func (j *Job) IsPeriodic() bool { return j.Periodic != nil }

// IsParameterized reports whether the job is only a template for dispatch.
func (j *Job) IsParameterized() bool { return j.ParameterizedJob != nil && !j.Dispatched }

// HasUpdateStrategy reports whether any group rolls out under a deployment.
func (j *Job) HasUpdateStrategy() bool {
	for _, g := range j.TaskGroups {
		if g.Update.Rolling() {
			return true
		}
	}
	return false
}

// Rolling reports whether the strategy limits how many are replaced at once.
func (u *UpdateStrategy) Rolling() bool { return u != nil && u.MaxParallel > 0 }
