package model

import "time"

// A Task is one thing that a driver runs.
type Task struct {
	Name            string
	Driver          string
	User            string
	Kind            string
	KillSignal      string
	Config          map[string]any    `msg:",allownil"` // the driver's own schema decodes it
	Env             map[string]string `msg:",allownil"`
	Meta            map[string]string `msg:",allownil"`
	Services        []*Service        `msg:",allownil"`
	Resources       *Resources
	RestartPolicy   *RestartPolicy
	Lifecycle       *TaskLifecycle
	Leader          bool
	KillTimeout     time.Duration
	ShutdownDelay   time.Duration
	LogConfig       *LogConfig
	Artifacts       []*TaskArtifact `msg:",allownil"`
	Templates       []*Template     `msg:",allownil"`
	Vault           *Vault
	Consul          *Consul
	Secrets         []*Secret `msg:",allownil"`
	DispatchPayload *DispatchPayload
	VolumeMounts    []*VolumeMount `msg:",allownil"`
	CSIPluginConfig *CSIPluginConfig
	Identity        *WorkloadIdentity
	Identities      []*WorkloadIdentity `msg:",allownil"`
	ScalingPolicies []*ScalingPolicy    `msg:",allownil"`
	Actions         []*Action           `msg:",allownil"`
	Schedule        *TaskSchedule
	Constraints     []*Constraint `msg:",allownil"`
	Affinities      []*Affinity   `msg:",allownil"`
}

// Lifecycle hooks.
const (
	HookPrestart  = "prestart"
	HookPoststart = "poststart"
	HookPoststop  = "poststop"
)

// TaskLifecycle runs a task before, beside or after the main tasks.
type TaskLifecycle struct {
	Hook    string
	Sidecar bool
}

// LogConfig bounds the log files of a task, for stdout and stderr each.
type LogConfig struct {
	MaxFiles      int
	MaxFileSizeMB int
	Disabled      bool
}

// Resources is what a task asks for.
type Resources struct {
	CPU         int // MHz
	Cores       int
	MemoryMB    int
	MemoryMaxMB int // 0: no more than MemoryMB; -1: no limit
	DiskMB      int
	IOPS        int
	SecretsMB   int
	Networks    []*NetworkResource `msg:",allownil"`
	Devices     []*RequestedDevice `msg:",allownil"`
	NUMA        *NUMA
}

// RequestedDevice is a count of devices of one kind.
type RequestedDevice struct {
	Name        string // type, vendor/type or vendor/type/model
	Count       uint64
	Constraints []*Constraint `msg:",allownil"`
	Affinities  []*Affinity   `msg:",allownil"`
}

// NUMA is how a task's cores relate to memory.
type NUMA struct {
	Affinity string
	Devices  []string `msg:",allownil"`
}

// TaskArtifact is a file or archive fetched before the task starts.
type TaskArtifact struct {
	GetterSource   string
	GetterMode     string
	GetterOptions  map[string]string `msg:",allownil"`
	GetterHeaders  map[string]string `msg:",allownil"`
	GetterInsecure bool
	RelativeDest   string
	Chown          bool
}

// Template is a file rendered before the task starts and when its inputs
// change.
type Template struct {
	SourcePath    string
	DestPath      string
	EmbeddedTmpl  string
	ChangeMode    string
	ChangeSignal  string
	ChangeScript  *ChangeScript
	Once          bool
	Splay         time.Duration
	Perms         string
	Uid           *int //nolint:revive // the key of the API
	Gid           *int //nolint:revive // the key of the API
	LeftDelim     string
	RightDelim    string
	Envvars       bool
	VaultGrace    time.Duration
	Wait          *WaitConfig
	ErrMissingKey bool
}

// ChangeScript is run in the task when a template changed.
type ChangeScript struct {
	Command          string
	Args             []string `msg:",allownil"`
	Timeout          time.Duration
	FailOnError      bool
	RunOnFirstRender bool
}

// WaitConfig delays rendering until inputs are quiet.
type WaitConfig struct {
	Min *time.Duration
	Max *time.Duration
}

// Vault gives a task a Vault token.
type Vault struct {
	Policies             []string `msg:",allownil"`
	Role                 string
	Namespace            string
	Cluster              string
	Env                  bool
	DisableFile          bool
	ChangeMode           string
	ChangeSignal         string
	AllowTokenExpiration bool
}

// Secret is a set of values that a secret provider gives to a task.
type Secret struct {
	Name     string
	Provider string
	Path     string
	Config   map[string]any    `msg:",allownil"`
	Env      map[string]string `msg:",allownil"`
}

// DispatchPayload writes the payload of a dispatched job to a file.
type DispatchPayload struct {
	File string
}

// VolumeMount mounts one of the group's volumes.
type VolumeMount struct {
	Volume          string
	Destination     string
	ReadOnly        bool
	PropagationMode string
	SELinuxLabel    string
}

// CSIPluginConfig makes the task a CSI plugin.
type CSIPluginConfig struct {
	ID                  string
	Type                string
	MountDir            string
	StagePublishBaseDir string
	HealthTimeout       time.Duration
}

// WorkloadIdentity is a signed token that says what a task is.
type WorkloadIdentity struct {
	Name         string
	Audience     []string `msg:",allownil"`
	ChangeMode   string
	ChangeSignal string
	Env          bool
	File         bool
	Filepath     string
	ServiceName  string
	TTL          time.Duration
	ExtraClaims  []string `msg:",allownil"`
}

// Action is a command that a user may run in the task by name.
type Action struct {
	Name    string
	Command string
	Args    []string `msg:",allownil"`
}

// TaskSchedule pauses a task outside a window of time.
type TaskSchedule struct {
	Cron *TaskScheduleCron
}

// TaskScheduleCron is the window of a TaskSchedule.
type TaskScheduleCron struct {
	Start    string
	End      string
	Timezone string
}

// IsPrestart reports whether the task runs before the main tasks.
func (t *Task) IsPrestart() bool { return t.Lifecycle != nil && t.Lifecycle.Hook == HookPrestart }

// IsPoststart reports whether the task runs once the main tasks do.
func (t *Task) IsPoststart() bool { return t.Lifecycle != nil && t.Lifecycle.Hook == HookPoststart }

// IsPoststop reports whether the task runs after the main tasks ended.
func (t *Task) IsPoststop() bool { return t.Lifecycle != nil && t.Lifecycle.Hook == HookPoststop }

// IsMain reports whether the task has no lifecycle block.
func (t *Task) IsMain() bool { return t.Lifecycle == nil || t.Lifecycle.Hook == "" }

// IsSidecar reports whether the task runs beside the main tasks, started
// before or after them.
func (t *Task) IsSidecar() bool {
	return t.Lifecycle != nil && t.Lifecycle.Hook != HookPoststop && t.Lifecycle.Sidecar
}
