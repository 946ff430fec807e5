package config

import "time"

// Telemetry configures metrics.
type Telemetry struct {
	CollectionInterval         time.Duration `hcl:"collection_interval,inert"`
	InMemoryCollectionInterval time.Duration `hcl:"in_memory_collection_interval,inert"`
	InMemoryRetentionPeriod    time.Duration `hcl:"in_memory_retention_period,inert"`

	DisableHostname bool `hcl:"disable_hostname,inert"`
	UseNodeName     bool `hcl:"use_node_name,inert"`

	PublishAllocationMetrics     bool     `hcl:"publish_allocation_metrics,inert"`
	PublishNodeMetrics           bool     `hcl:"publish_node_metrics,inert"`
	IncludeAllocMetadata         bool     `hcl:"include_alloc_metadata_in_metrics,inert"`
	AllowedMetadataKeysInMetrics []string `hcl:"allowed_metadata_keys_in_metrics,inert"`

	FilterDefault bool     `hcl:"filter_default,tri,inert"`
	PrefixFilter  []string `hcl:"prefix_filter,inert"`

	DisableDispatchedJobSummaryMetrics bool `hcl:"disable_dispatched_job_summary_metrics,inert"`
	DisableQuotaUtilizationMetrics     bool `hcl:"disable_quota_utilization_metrics,inert"`
	DisableAllocationHookMetrics       bool `hcl:"disable_allocation_hook_metrics,inert"`
	DisableRPCRateMetricsLabels        bool `hcl:"disable_rpc_rate_metrics_labels,inert"`

	PrometheusMetrics bool     `hcl:"prometheus_metrics,inert"`
	StatsiteAddr      string   `hcl:"statsite_address,inert"`
	StatsdAddr        string   `hcl:"statsd_address,inert"`
	DataDogAddr       string   `hcl:"datadog_address,inert"`
	DataDogTags       []string `hcl:"datadog_tags,inert"`

	CirconusAPIToken                   string `hcl:"circonus_api_token,secret,inert"`
	CirconusAPIApp                     string `hcl:"circonus_api_app,inert"`
	CirconusAPIURL                     string `hcl:"circonus_api_url,inert"`
	CirconusSubmissionInterval         string `hcl:"circonus_submission_interval,inert"`
	CirconusCheckSubmissionURL         string `hcl:"circonus_submission_url,inert"`
	CirconusCheckID                    string `hcl:"circonus_check_id,inert"`
	CirconusCheckForceMetricActivation string `hcl:"circonus_check_force_metric_activation,inert"`
	CirconusCheckInstanceID            string `hcl:"circonus_check_instance_id,inert"`
	CirconusCheckSearchTag             string `hcl:"circonus_check_search_tag,inert"`
	CirconusCheckDisplayName           string `hcl:"circonus_check_display_name,inert"`
	CirconusCheckTags                  string `hcl:"circonus_check_tags,inert"`
	CirconusBrokerID                   string `hcl:"circonus_broker_id,inert"`
	CirconusBrokerSelectTag            string `hcl:"circonus_broker_select_tag,inert"`
}

// Autopilot holds the initial values of the servers' self-care.
type Autopilot struct {
	CleanupDeadServers      bool          `hcl:"cleanup_dead_servers,tri"`
	LastContactThreshold    time.Duration `hcl:"last_contact_threshold"`
	MaxTrailingLogs         int           `hcl:"max_trailing_logs"`
	MinQuorum               int           `hcl:"min_quorum"`
	ServerStabilizationTime time.Duration `hcl:"server_stabilization_time"`
	EnableRedundancyZones   bool          `hcl:"enable_redundancy_zones,tri"`
	DisableUpgradeMigration bool          `hcl:"disable_upgrade_migration,tri"`
	EnableCustomUpgrades    bool          `hcl:"enable_custom_upgrades,tri"`
}

// UI configures the web interface.
type UI struct {
	Enabled               bool                  `hcl:"enabled,tri"`
	ShowCLIHints          bool                  `hcl:"show_cli_hints,tri"`
	ContentSecurityPolicy ContentSecurityPolicy `hcl:"content_security_policy,lenient,inert"`
	Consul                UILink                `hcl:"consul,lenient,inert"`
	Vault                 UILink                `hcl:"vault,lenient,inert"`
	Label                 UILabel               `hcl:"label,lenient,inert"`
}

// ContentSecurityPolicy is the policy header of the web interface.
type ContentSecurityPolicy struct {
	ConnectSrc     []string `hcl:"connect_src"`
	DefaultSrc     []string `hcl:"default_src"`
	FormAction     []string `hcl:"form_action"`
	FrameAncestors []string `hcl:"frame_ancestors"`
	ImgSrc         []string `hcl:"img_src"`
	ScriptSrc      []string `hcl:"script_src"`
	StyleSrc       []string `hcl:"style_src"`
}

// UILink points the web interface at another product's.
type UILink struct {
	BaseURL string `hcl:"ui_url"`
}

// UILabel is a banner naming the cluster.
type UILabel struct {
	Text            string `hcl:"text"`
	BackgroundColor string `hcl:"background_color"`
	TextColor       string `hcl:"text_color"`
}

// Reporting configures usage reports, which Serai never sends.
type Reporting struct {
	License                      LicenseReporting `hcl:"license,lenient"`
	SnapshotRetentionTime        time.Duration    `hcl:"snapshot_retention_time"`
	DisableProductUsageReporting bool             `hcl:"disable_product_usage_reporting,tri"`
}

// LicenseReporting is part of Reporting.
type LicenseReporting struct {
	Enabled bool `hcl:"enabled,tri"`
}

// Eventlog configures the Windows event log.
type Eventlog struct {
	Enabled bool   `hcl:"enabled"`
	Level   string `hcl:"level"`
}
