package config

import "time"

// TLS configures encryption of HTTP and of the traffic between agents.
type TLS struct {
	EnableHTTP           bool   `hcl:"http"`
	EnableRPC            bool   `hcl:"rpc"`
	CAFile               string `hcl:"ca_file"`
	CertFile             string `hcl:"cert_file"`
	KeyFile              string `hcl:"key_file"`
	VerifyServerHostname bool   `hcl:"verify_server_hostname"`
	VerifyHTTPSClient    bool   `hcl:"verify_https_client"`
	RPCUpgradeMode       bool   `hcl:"rpc_upgrade_mode"`
	TLSMinVersion        string `hcl:"tls_min_version"`
	TLSCipherSuites      string `hcl:"tls_cipher_suites"`
}

// ACL configures access control.
type ACL struct {
	Enabled               bool          `hcl:"enabled,inert"`
	TokenTTL              time.Duration `hcl:"token_ttl,inert"`
	PolicyTTL             time.Duration `hcl:"policy_ttl,inert"`
	RoleTTL               time.Duration `hcl:"role_ttl,inert"`
	ReplicationToken      string        `hcl:"replication_token,secret,inert"`
	TokenMinExpirationTTL time.Duration `hcl:"token_min_expiration_ttl,inert"`
	TokenMaxExpirationTTL time.Duration `hcl:"token_max_expiration_ttl,inert"`
}

// Keyring chooses what wraps the cluster's root keys. Provider settings are
// strings and differ per type.
type Keyring struct {
	Type     string            `hcl:",label"`
	Active   bool              `hcl:"active"`
	Name     string            `hcl:"name"`
	Settings map[string]string `hcl:",rest,secret"`
}

// Audit configures the log of API requests.
type Audit struct {
	Enabled bool           `hcl:"enabled,tri"`
	Sinks   []*AuditSink   `hcl:"sink,append,lenient"`
	Filters []*AuditFilter `hcl:"filter,append,lenient"`
}

// AuditSink is where audit entries go.
type AuditSink struct {
	Name              string        `hcl:",label"`
	Type              string        `hcl:"type"`
	DeliveryGuarantee string        `hcl:"delivery_guarantee"`
	Format            string        `hcl:"format"`
	Path              string        `hcl:"path"`
	Mode              string        `hcl:"mode"`
	RotateBytes       int           `hcl:"rotate_bytes"`
	RotateDuration    time.Duration `hcl:"rotate_duration"`
	RotateMaxFiles    int           `hcl:"rotate_max_files"`
}

// AuditFilter drops matching audit entries.
type AuditFilter struct {
	Name       string   `hcl:",label"`
	Type       string   `hcl:"type"`
	Endpoints  []string `hcl:"endpoints"`
	Stages     []string `hcl:"stages"`
	Operations []string `hcl:"operations"`
}

// Sentinel configures policy imports.
type Sentinel struct {
	Imports                []*SentinelImport `hcl:"import,lenient"`
	AdditionalEnabledModes []string          `hcl:"additional_enabled_modules"`
}

// SentinelImport is one policy import.
type SentinelImport struct {
	Name string   `hcl:",label"`
	Path string   `hcl:"path"`
	Args []string `hcl:"args"`
}
