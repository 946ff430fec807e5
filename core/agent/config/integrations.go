package config

import "time"

// Identity is a workload identity given to tasks or services by default.
type Identity struct {
	Audience    []string          `hcl:"aud"`
	TTL         time.Duration     `hcl:"ttl"`
	Env         bool              `hcl:"env,tri"`
	File        bool              `hcl:"file,tri"`
	ExtraClaims map[string]string `hcl:"extra_claims"`
}

// Consul is one Consul cluster.
type Consul struct {
	Name        string        `hcl:"name"`
	Address     string        `hcl:"address"`
	GRPCAddress string        `hcl:"grpc_address"`
	GRPCCAFile  string        `hcl:"grpc_ca_file"`
	Auth        string        `hcl:"auth,secret"`
	Token       string        `hcl:"token,secret"`
	Namespace   string        `hcl:"namespace"`
	Timeout     time.Duration `hcl:"timeout"`

	EnableSSL bool   `hcl:"ssl,tri"`
	VerifySSL bool   `hcl:"verify_ssl,tri"`
	ShareSSL  bool   `hcl:"share_ssl,tri"`
	CAFile    string `hcl:"ca_file"`
	CertFile  string `hcl:"cert_file"`
	KeyFile   string `hcl:"key_file"`

	AutoAdvertise      bool     `hcl:"auto_advertise,tri"`
	ChecksUseAdvertise bool     `hcl:"checks_use_advertise,tri"`
	Tags               []string `hcl:"tags,append"`
	ClientAutoJoin     bool     `hcl:"client_auto_join,tri"`
	ServerAutoJoin     bool     `hcl:"server_auto_join,tri"`

	ClientServiceName            string `hcl:"client_service_name"`
	ServerServiceName            string `hcl:"server_service_name"`
	ClientHTTPCheckName          string `hcl:"client_http_check_name"`
	ServerHTTPCheckName          string `hcl:"server_http_check_name"`
	ServerSerfCheckName          string `hcl:"server_serf_check_name"`
	ServerRPCCheckName           string `hcl:"server_rpc_check_name"`
	ClientFailuresBeforeCritical int    `hcl:"client_failures_before_critical"`
	ClientFailuresBeforeWarning  int    `hcl:"client_failures_before_warning"`
	ServerFailuresBeforeCritical int    `hcl:"server_failures_before_critical"`
	ServerFailuresBeforeWarning  int    `hcl:"server_failures_before_warning"`

	ServiceIdentityAuthMethod string    `hcl:"service_auth_method"`
	TaskIdentityAuthMethod    string    `hcl:"task_auth_method"`
	ServiceIdentity           *Identity `hcl:"service_identity,lenient"`
	TaskIdentity              *Identity `hcl:"task_identity,lenient"`
}

// Vault is one Vault cluster.
type Vault struct {
	Name               string    `hcl:"name"`
	Enabled            bool      `hcl:"enabled,tri"`
	Addr               string    `hcl:"address"`
	Namespace          string    `hcl:"namespace"`
	Role               string    `hcl:"create_from_role"`
	JWTAuthBackendPath string    `hcl:"jwt_auth_backend_path"`
	TLSCaFile          string    `hcl:"ca_file"`
	TLSCaPath          string    `hcl:"ca_path"`
	TLSCertFile        string    `hcl:"cert_file"`
	TLSKeyFile         string    `hcl:"key_file"`
	TLSServerName      string    `hcl:"tls_server_name"`
	TLSSkipVerify      bool      `hcl:"tls_skip_verify,tri"`
	DefaultIdentity    *Identity `hcl:"default_identity,lenient"`

	// Settings of former times, read and dropped.
	Token                string `hcl:"token,secret"`
	TaskTokenTTL         string `hcl:"task_token_ttl"`
	AllowUnauthenticated bool   `hcl:"allow_unauthenticated,tri"`
}
