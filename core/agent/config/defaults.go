package config

import (
	"time"
)

// Default returns the configuration that holds before any file is read.
func Default() *Config {
	return &Config{
		Region:            "global",
		Datacenter:        "dc1",
		BindAddr:          "0.0.0.0",
		LogLevel:          "INFO",
		LogRotateDuration: 24 * time.Hour,
		SyslogFacility:    "LOCAL0",
		Ports:             Ports{HTTP: 4646, RPC: 4647, Serf: 4648},
		Server:            defaultServer(),
		Client:            defaultClient(),
		Telemetry: Telemetry{
			CollectionInterval:         time.Second,
			InMemoryCollectionInterval: 10 * time.Second,
			InMemoryRetentionPeriod:    time.Minute,
			FilterDefault:              true,
		},
		TLSConfig: TLS{TLSMinVersion: "tls12"},
		Limits: Limits{
			HTTPSHandshakeTimeout: 5 * time.Second,
			HTTPMaxConnsPerClient: 100,
			RPCHandshakeTimeout:   5 * time.Second,
			RPCMaxConnsPerClient:  100,
		},
		RPC: RPC{
			AcceptBacklog:          256,
			KeepAliveInterval:      30 * time.Second,
			ConnectionWriteTimeout: 10 * time.Second,
			MaxStreamWindowSize:    256 << 10,
			StreamOpenTimeout:      75 * time.Second,
			StreamCloseTimeout:     5 * time.Minute,
			DialTimeout:            10 * time.Second,
		},
		UI: UI{
			Enabled:      true,
			ShowCLIHints: true,
			ContentSecurityPolicy: ContentSecurityPolicy{
				ConnectSrc:     []string{"*"},
				DefaultSrc:     []string{"'none'"},
				FormAction:     []string{"'none'"},
				FrameAncestors: []string{"'none'"},
				ImgSrc:         []string{"'self'", "data:"},
				ScriptSrc:      []string{"'self'"},
				StyleSrc:       []string{"'self'", "'unsafe-inline'"},
			},
		},
		Autopilot: Autopilot{
			CleanupDeadServers:      true,
			LastContactThreshold:    200 * time.Millisecond,
			MaxTrailingLogs:         250,
			ServerStabilizationTime: 10 * time.Second,
		},
		ACL: ACL{
			TokenTTL:              30 * time.Second,
			PolicyTTL:             30 * time.Second,
			RoleTTL:               30 * time.Second,
			TokenMinExpirationTTL: time.Minute,
			TokenMaxExpirationTTL: 24 * time.Hour,
		},
		Consuls:   []*Consul{defaultConsul()},
		Vaults:    []*Vault{defaultVault()},
		Reporting: Reporting{License: LicenseReporting{Enabled: true}, SnapshotRetentionTime: 9600 * time.Hour},
		Eventlog:  Eventlog{Level: "ERROR"},
	}
}

// Dev returns the defaults of development mode: a server and a node in one
// process, on loopback, keeping nothing.
func Dev() *Config {
	c := Default()
	c.DevMode = true
	c.BindAddr = "127.0.0.1"
	c.LogLevel = "DEBUG"
	c.EnableDebug = true
	c.DisableAnonymousSignature = true
	c.Server.Enabled = true
	c.Server.BootstrapExpect = 1
	c.Client.Enabled = true
	c.Client.NetworkInterface = loopbackInterface()
	c.Client.GCInterval = 10 * time.Minute
	c.Client.GCDiskUsageThreshold = 99
	c.Client.GCInodeUsageThreshold = 99
	c.Client.Options = map[string]string{
		"driver.raw_exec.enable":        "true",
		"driver.docker.volumes":         "true",
		"test.tighten_network_timeouts": "true",
	}
	c.Telemetry.PrometheusMetrics = true
	c.Telemetry.PublishAllocationMetrics = true
	c.Telemetry.PublishNodeMetrics = true
	c.Telemetry.IncludeAllocMetadata = true
	return c
}

func defaultServer() Server {
	return Server{
		RaftProtocol:              3,
		RaftMultiplier:            1,
		RaftSnapshotThreshold:     8192,
		RaftSnapshotInterval:      120 * time.Second,
		RaftTrailingLogs:          10240,
		HeartbeatGrace:            10 * time.Second,
		MinHeartbeatTTL:           10 * time.Second,
		MaxHeartbeatsPerSecond:    50,
		FailoverHeartbeatTTL:      5 * time.Minute,
		NodeGCThreshold:           24 * time.Hour,
		JobGCInterval:             5 * time.Minute,
		JobGCThreshold:            4 * time.Hour,
		EvalGCThreshold:           time.Hour,
		BatchEvalGCThreshold:      24 * time.Hour,
		DeploymentGCThreshold:     time.Hour,
		CSIVolumeClaimGCInterval:  5 * time.Minute,
		CSIVolumeClaimGCThreshold: time.Hour,
		CSIPluginGCThreshold:      time.Hour,
		ACLTokenGCThreshold:       time.Hour,
		RootKeyGCInterval:         10 * time.Minute,
		RootKeyGCThreshold:        time.Hour,
		RootKeyRotationThreshold:  720 * time.Hour,
		EnableEventBroker:         true,
		EventBufferSize:           100,
		JobMaxPriority:            100,
		JobDefaultPriority:        50,
		JobMaxCount:               50000,
		JobMaxSourceSize:          1000 * 1000,
		JobTrackedVersions:        6,
		PlanRejectionTracker:      PlanRejectionTracker{NodeThreshold: 100, NodeWindow: 5 * time.Minute},
		ClientIntroduction: ClientIntroduction{
			Enforcement: "warn", DefaultIdentityTTL: 5 * time.Minute, MaxIdentityTTL: 30 * time.Minute,
		},
		Search:            Search{FuzzyEnabled: true, LimitQuery: 20, LimitResults: 100, MinTermLength: 2},
		StartTimeout:      30 * time.Second,
		PlanApplyPipeline: 1,
		Join:              ServerJoin{RetryInterval: 30 * time.Second},
	}
}

func defaultClient() Client {
	retry := TemplateRetry{Attempts: 12, Backoff: 250 * time.Millisecond, MaxBackoff: time.Minute}
	return Client{
		Join:                           ServerJoin{RetryInterval: 30 * time.Second},
		NodePool:                       "default",
		MinDynamicPort:                 20000,
		MaxDynamicPort:                 32000,
		ClientMinPort:                  14000,
		ClientMaxPort:                  14512,
		MaxKillTimeout:                 30 * time.Second,
		GCInterval:                     time.Minute,
		GCDiskUsageThreshold:           80,
		GCInodeUsageThreshold:          70,
		GCMaxAllocs:                    50,
		GCParallelDestroys:             2,
		NoHostUUID:                     true,
		NomadServiceDiscovery:          true,
		BindWildcardDefaultHostNetwork: true,
		CNIPath:                        "/opt/cni/bin:/usr/libexec/cni",
		CNIConfigDir:                   "/opt/cni/config",
		BridgeNetworkName:              "nomad",
		BridgeNetworkSubnet:            "172.26.64.0/20",
		Users:                          Users{DynamicUserMin: 80000, DynamicUserMax: 89999},
		Artifact: Artifact{
			HTTPReadTimeout:             30 * time.Minute,
			HTTPMaxSize:                 100 * 1000 * 1000 * 1000,
			GCSTimeout:                  30 * time.Minute,
			GitTimeout:                  30 * time.Minute,
			HgTimeout:                   30 * time.Minute,
			S3Timeout:                   30 * time.Minute,
			DecompressionSizeLimit:      100 * 1000 * 1000 * 1000,
			DecompressionFileCountLimit: 4096,
		},
		Template: Template{
			FunctionDenylist:          []string{"executeTemplate", "plugin", "writeToFile"},
			MaxStale:                  87600 * time.Hour,
			BlockQueryWait:            5 * time.Minute,
			Wait:                      TemplateWait{Min: 5 * time.Second, Max: 4 * time.Minute},
			ConsulRetry:               retry,
			VaultRetry:                retry,
			NomadRetry:                retry,
			VaultDefaultLeaseDuration: 5 * time.Minute,
		},
	}
}

func defaultConsul() *Consul {
	return &Consul{
		Name:                      "default",
		Address:                   "127.0.0.1:8500",
		GRPCAddress:               "127.0.0.1:8502",
		Timeout:                   5 * time.Second,
		VerifySSL:                 true,
		ShareSSL:                  true,
		AutoAdvertise:             true,
		ClientAutoJoin:            true,
		ServerAutoJoin:            true,
		ClientServiceName:         "nomad-client",
		ServerServiceName:         "nomad",
		ClientHTTPCheckName:       "Nomad Client HTTP Check",
		ServerHTTPCheckName:       "Nomad Server HTTP Check",
		ServerSerfCheckName:       "Nomad Server Serf Check",
		ServerRPCCheckName:        "Nomad Server RPC Check",
		ServiceIdentityAuthMethod: "nomad-workloads",
		TaskIdentityAuthMethod:    "nomad-workloads",
	}
}

func defaultVault() *Vault {
	return &Vault{
		Name:               "default",
		Addr:               "https://vault.service.consul:8200",
		JWTAuthBackendPath: "jwt-nomad",
	}
}

// fresh returns the value a new block of the given kind starts from; kinds
// without defaults of their own start from zero.
func fresh(kind any) any {
	switch kind.(type) {
	case *Consul:
		return defaultConsul()
	case *Vault:
		return defaultVault()
	case *DrainOnShutdown:
		return &DrainOnShutdown{Deadline: time.Hour}
	case *AuditSink:
		return &AuditSink{Type: "file", DeliveryGuarantee: "enforced", Format: "json", Mode: "0600", RotateDuration: 24 * time.Hour}
	}
	return nil
}
