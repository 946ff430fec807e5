package config

import "time"

// Server configures the server half of an agent.
type Server struct {
	Enabled bool `hcl:"enabled"`
	// BootstrapExpect is how many servers to wait for before electing a first
	// leader; it must agree everywhere. Zero joins an existing cluster only.
	BootstrapExpect int `hcl:"bootstrap_expect"`
	// DataDir defaults to the folder "server" of the agent's data folder.
	DataDir             string `hcl:"data_dir"`
	AuthoritativeRegion string `hcl:"authoritative_region,inert"`
	// EncryptKey is the gossip key: 32 bytes in base64, standard or URL alphabet.
	EncryptKey string `hcl:"encrypt,secret"`

	// EnabledSchedulers empty means all of service, batch, system, sysbatch.
	EnabledSchedulers []string `hcl:"enabled_schedulers,append"`
	// NumSchedulers is the number of workers; zero means one per CPU.
	NumSchedulers int `hcl:"num_schedulers"`

	RaftProtocol          int           `hcl:"raft_protocol"`
	RaftMultiplier        int           `hcl:"raft_multiplier"`
	RaftSnapshotThreshold int           `hcl:"raft_snapshot_threshold,inert"`
	RaftSnapshotInterval  time.Duration `hcl:"raft_snapshot_interval,inert"`
	RaftTrailingLogs      int           `hcl:"raft_trailing_logs,inert"`
	RaftBoltDB            RaftBoltDB    `hcl:"raft_boltdb,lenient,inert"`
	RaftLogStore          RaftLogStore  `hcl:"raft_logstore,lenient,inert"`

	HeartbeatGrace         time.Duration `hcl:"heartbeat_grace"`
	MinHeartbeatTTL        time.Duration `hcl:"min_heartbeat_ttl"`
	MaxHeartbeatsPerSecond float64       `hcl:"max_heartbeats_per_second"`
	FailoverHeartbeatTTL   time.Duration `hcl:"failover_heartbeat_ttl"`

	NodeGCThreshold           time.Duration `hcl:"node_gc_threshold"`
	JobGCInterval             time.Duration `hcl:"job_gc_interval"`
	JobGCThreshold            time.Duration `hcl:"job_gc_threshold"`
	EvalGCThreshold           time.Duration `hcl:"eval_gc_threshold"`
	BatchEvalGCThreshold      time.Duration `hcl:"batch_eval_gc_threshold"`
	DeploymentGCThreshold     time.Duration `hcl:"deployment_gc_threshold"`
	CSIVolumeClaimGCInterval  time.Duration `hcl:"csi_volume_claim_gc_interval,inert"`
	CSIVolumeClaimGCThreshold time.Duration `hcl:"csi_volume_claim_gc_threshold,inert"`
	CSIPluginGCThreshold      time.Duration `hcl:"csi_plugin_gc_threshold,inert"`
	ACLTokenGCThreshold       time.Duration `hcl:"acl_token_gc_threshold,inert"`
	RootKeyGCInterval         time.Duration `hcl:"root_key_gc_interval,inert"`
	RootKeyGCThreshold        time.Duration `hcl:"root_key_gc_threshold,inert"`
	RootKeyRotationThreshold  time.Duration `hcl:"root_key_rotation_threshold,inert"`

	EnableEventBroker bool `hcl:"enable_event_broker,tri,inert"`
	EventBufferSize   int  `hcl:"event_buffer_size,zero,inert"`

	JobMaxPriority     int  `hcl:"job_max_priority"`
	JobDefaultPriority int  `hcl:"job_default_priority,inert"`
	JobMaxCount        int  `hcl:"job_max_count,zero,inert"`
	JobMaxSourceSize   Size `hcl:"job_max_source_size,inert"`
	JobTrackedVersions int  `hcl:"job_tracked_versions,inert"`

	// DefaultSchedulerConfig applies at the first bootstrap only; nil means the
	// built-in one.
	DefaultSchedulerConfig *SchedulerConfig     `hcl:"default_scheduler_config,replace,lenient"`
	PlanRejectionTracker   PlanRejectionTracker `hcl:"plan_rejection_tracker,inert"`
	ClientIntroduction     ClientIntroduction   `hcl:"client_introduction,inert"`
	Search                 Search               `hcl:"search,replace,lenient,inert"`

	OIDCIssuer        string        `hcl:"oidc_issuer,inert"`
	StartTimeout      time.Duration `hcl:"start_timeout,inert"`
	RejoinAfterLeave  bool          `hcl:"rejoin_after_leave,inert"`
	LicensePath       string        `hcl:"license_path,inert"`
	NonVotingServer   bool          `hcl:"non_voting_server,inert"`
	RedundancyZone    string        `hcl:"redundancy_zone,inert"`
	UpgradeVersion    string        `hcl:"upgrade_version,inert"`
	PlanApplyPipeline int           `hcl:"plan_apply_pipeline,inert"`

	Join ServerJoin `hcl:"server_join"`

	// The older spellings of Join; Load moves them there.
	StartJoin     []string      `hcl:"start_join"`
	RetryJoin     []string      `hcl:"retry_join"`
	RetryInterval time.Duration `hcl:"retry_interval"`
	RetryMaxOld   int           `hcl:"retry_max"`
}

// ServerJoin says how to find servers: addresses (default port: gossip),
// "provider=..." or "exec=command" entries.
type ServerJoin struct {
	StartJoin     []string      `hcl:"start_join"`
	RetryJoin     []string      `hcl:"retry_join"`
	RetryInterval time.Duration `hcl:"retry_interval"`
	// RetryMax is the number of attempts; zero means for ever.
	RetryMax int `hcl:"retry_max"`
}

// RaftBoltDB tunes a Bolt log store; Serai's log store is a write-ahead log.
type RaftBoltDB struct {
	NoFreelistSync bool `hcl:"no_freelist_sync"`
}

// RaftLogStore chooses and tunes the Raft log store.
type RaftLogStore struct {
	Backend         string              `hcl:"backend"`
	DisableLogCache bool                `hcl:"disable_log_cache"`
	Verification    RaftLogVerification `hcl:"verification,lenient"`
	BoltDB          RaftBoltDB          `hcl:"boltdb,lenient"`
	WAL             RaftWAL             `hcl:"wal,lenient"`
}

// RaftLogVerification configures checksums over the replicated log.
type RaftLogVerification struct {
	Enabled  bool          `hcl:"enabled"`
	Interval time.Duration `hcl:"interval"`
}

// RaftWAL tunes the write-ahead log.
type RaftWAL struct {
	SegmentSizeMB int `hcl:"segment_size_mb"`
}

// SchedulerConfig is the scheduler configuration a new cluster starts with.
type SchedulerConfig struct {
	SchedulerAlgorithm            string           `hcl:"scheduler_algorithm"`
	MemoryOversubscriptionEnabled bool             `hcl:"memory_oversubscription_enabled"`
	RejectJobRegistration         bool             `hcl:"reject_job_registration"`
	PauseEvalBroker               bool             `hcl:"pause_eval_broker"`
	PreemptionConfig              PreemptionConfig `hcl:"preemption_config,lenient"`
}

// PreemptionConfig says per kind of job whether it may push others out.
type PreemptionConfig struct {
	SystemSchedulerEnabled   bool `hcl:"system_scheduler_enabled"`
	SysBatchSchedulerEnabled bool `hcl:"sysbatch_scheduler_enabled"`
	BatchSchedulerEnabled    bool `hcl:"batch_scheduler_enabled"`
	ServiceSchedulerEnabled  bool `hcl:"service_scheduler_enabled"`
}

// PlanRejectionTracker marks nodes whose plans are rejected too often.
type PlanRejectionTracker struct {
	Enabled       bool          `hcl:"enabled,tri"`
	NodeThreshold int           `hcl:"node_threshold"`
	NodeWindow    time.Duration `hcl:"node_window"`
}

// ClientIntroduction says how strictly new nodes must show a token.
type ClientIntroduction struct {
	Enforcement        string        `hcl:"enforcement"`
	DefaultIdentityTTL time.Duration `hcl:"default_identity_ttl"`
	MaxIdentityTTL     time.Duration `hcl:"max_identity_ttl"`
}

// Search bounds the search endpoints.
type Search struct {
	FuzzyEnabled  bool `hcl:"fuzzy_enabled"`
	LimitQuery    int  `hcl:"limit_query"`
	LimitResults  int  `hcl:"limit_results"`
	MinTermLength int  `hcl:"min_term_length"`
}
