package jobspec

var serviceSpec = &spec{
	name: "service",
	attrs: []attr{
		val("name", "Name", kindString),
		val("provider", "Provider", kindString),
		val("port", "PortLabel", kindString),
		val("address_mode", "AddressMode", kindString),
		val("address", "Address", kindString),
		val("tags", "Tags", kindStrings),
		val("canary_tags", "CanaryTags", kindStrings),
		val("enable_tag_override", "EnableTagOverride", kindBool),
		val("task", "TaskName", kindString),
		val("on_update", "OnUpdate", kindString),
		val("kind", "Kind", kindString),
		val("cluster", "Cluster", kindString),
	},
	blocks: []block{
		one("meta", "Meta", stringPairs),
		one("canary_meta", "CanaryMeta", stringPairs),
		one("tagged_addresses", "TaggedAddresses", stringPairs),
		one("weights", "Weights", &spec{
			name: "weights",
			attrs: []attr{
				val("passing", "Passing", kindInt),
				val("warning", "Warning", kindInt),
			},
		}),
		many("check", "Checks", checkSpec),
		one("check_restart", "CheckRestart", checkRestartSpec),
		one("connect", "Connect", connectSpec),
		one("identity", "Identity", identitySpec),
	},
}

var checkSpec = &spec{
	name: "check",
	attrs: []attr{
		val("name", "Name", kindString),
		val("type", "Type", kindString),
		val("interval", "Interval", kindDuration),
		val("timeout", "Timeout", kindDuration),
		val("path", "Path", kindString),
		val("protocol", "Protocol", kindString),
		val("method", "Method", kindString),
		val("body", "Body", kindString),
		val("port", "PortLabel", kindString),
		val("address_mode", "AddressMode", kindString),
		val("advertise", "Advertise", kindString),
		val("command", "Command", kindString),
		val("args", "Args", kindStrings),
		val("task", "TaskName", kindString),
		val("expose", "Expose", kindBool),
		val("initial_status", "InitialStatus", kindString),
		val("notes", "Notes", kindString),
		val("tls_server_name", "TLSServerName", kindString),
		val("tls_skip_verify", "TLSSkipVerify", kindBool),
		val("grpc_service", "GRPCService", kindString),
		val("grpc_use_tls", "GRPCUseTLS", kindBool),
		val("success_before_passing", "SuccessBeforePassing", kindInt),
		val("failures_before_critical", "FailuresBeforeCritical", kindInt),
		val("failures_before_warning", "FailuresBeforeWarning", kindInt),
		val("on_update", "OnUpdate", kindString),
	},
	blocks: []block{
		one("header", "Header", stringLists),
		one("check_restart", "CheckRestart", checkRestartSpec),
	},
}

var checkRestartSpec = &spec{
	name: "check_restart",
	attrs: []attr{
		val("limit", "Limit", kindInt),
		opt("grace", "Grace", kindDuration),
		val("ignore_warnings", "IgnoreWarnings", kindBool),
	},
}

var connectSpec = &spec{
	name:  "connect",
	attrs: []attr{val("native", "Native", kindBool)},
	blocks: []block{
		one("sidecar_service", "SidecarService", &spec{
			name: "sidecar_service",
			attrs: []attr{
				val("tags", "Tags", kindStrings),
				val("port", "Port", kindString),
				val("disable_default_tcp_check", "DisableDefaultTCPCheck", kindBool),
			},
			blocks: []block{
				one("proxy", "Proxy", proxySpec),
				one("meta", "Meta", stringPairs),
			},
		}),
		one("sidecar_task", "SidecarTask", &spec{
			name: "sidecar_task",
			attrs: []attr{
				val("name", "Name", kindString),
				val("driver", "Driver", kindString),
				val("user", "User", kindString),
				opt("kill_timeout", "KillTimeout", kindDuration),
				opt("shutdown_delay", "ShutdownDelay", kindDuration),
				val("kill_signal", "KillSignal", kindString),
			},
			blocks: []block{
				one("config", "Config", opaque),
				one("env", "Env", stringPairs),
				one("meta", "Meta", stringPairs),
				one("resources", "Resources", resourcesSpec),
				one("logs", "LogConfig", logsSpec),
				many("volume_mount", "VolumeMounts", volumeMountSpec),
				many("identity", "Identities", identitySpec),
			},
		}),
		one("gateway", "Gateway", gatewaySpec),
	},
}

var proxySpec = &spec{
	name: "proxy",
	attrs: []attr{
		val("local_service_address", "LocalServiceAddress", kindString),
		val("local_service_port", "LocalServicePort", kindInt),
	},
	blocks: []block{
		many("upstreams", "Upstreams", &spec{
			name: "upstreams",
			attrs: []attr{
				val("destination_name", "DestinationName", kindString),
				val("destination_namespace", "DestinationNamespace", kindString),
				val("destination_peer", "DestinationPeer", kindString),
				val("destination_partition", "DestinationPartition", kindString),
				val("destination_type", "DestinationType", kindString),
				val("local_bind_port", "LocalBindPort", kindInt),
				val("local_bind_address", "LocalBindAddress", kindString),
				val("local_bind_socket_path", "LocalBindSocketPath", kindString),
				val("local_bind_socket_mode", "LocalBindSocketMode", kindString),
				val("datacenter", "Datacenter", kindString),
			},
			blocks: []block{
				one("mesh_gateway", "MeshGateway", &spec{
					name:  "mesh_gateway",
					attrs: []attr{val("mode", "Mode", kindString)},
				}),
				one("config", "Config", opaque),
			},
		}),
		one("expose", "Expose", &spec{
			name: "expose",
			blocks: []block{
				many("path", "Paths", &spec{
					name: "path",
					attrs: []attr{
						val("path", "Path", kindString),
						val("protocol", "Protocol", kindString),
						val("local_path_port", "LocalPathPort", kindInt),
						val("listener_port", "ListenerPort", kindString),
					},
				}),
			},
		}),
		one("transparent_proxy", "TransparentProxy", &spec{
			name: "transparent_proxy",
			attrs: []attr{
				val("uid", "UID", kindString),
				val("outbound_port", "OutboundPort", kindUint16),
				val("exclude_inbound_ports", "ExcludeInboundPorts", kindStrings),
				val("exclude_outbound_ports", "ExcludeOutboundPorts", kindUint16s),
				val("exclude_outbound_cidrs", "ExcludeOutboundCIDRs", kindStrings),
				val("exclude_uids", "ExcludeUIDs", kindStrings),
				val("no_dns", "NoDNS", kindBool),
			},
		}),
		one("config", "Config", opaque),
	},
}

var gatewaySpec = &spec{
	name: "gateway",
	blocks: []block{
		one("proxy", "Proxy", &spec{
			name: "proxy",
			attrs: []attr{
				opt("connect_timeout", "ConnectTimeout", kindDuration),
				val("envoy_gateway_bind_tagged_addresses", "EnvoyGatewayBindTaggedAddresses", kindBool),
				val("envoy_gateway_no_default_bind", "EnvoyGatewayNoDefaultBind", kindBool),
				val("envoy_dns_discovery_type", "EnvoyDNSDiscoveryType", kindString),
			},
			blocks: []block{
				table("envoy_gateway_bind_addresses", "EnvoyGatewayBindAddresses", &spec{
					name:     "envoy_gateway_bind_addresses",
					labelKey: "Name",
					attrs: []attr{
						val("address", "Address", kindString),
						val("port", "Port", kindInt),
					},
				}),
				one("config", "Config", opaque),
			},
		}),
		one("ingress", "Ingress", &spec{
			name: "ingress",
			blocks: []block{
				one("tls", "TLS", gatewayTLSSpec),
				many("listener", "Listeners", &spec{
					name: "listener",
					attrs: []attr{
						val("port", "Port", kindInt),
						val("protocol", "Protocol", kindString),
					},
					blocks: []block{
						many("service", "Services", &spec{
							name: "service",
							attrs: []attr{
								val("name", "Name", kindString),
								val("hosts", "Hosts", kindStrings),
								opt("max_connections", "MaxConnections", kindUint32),
								opt("max_pending_requests", "MaxPendingRequests", kindUint32),
								opt("max_concurrent_requests", "MaxConcurrentRequests", kindUint32),
							},
							blocks: []block{
								one("tls", "TLS", gatewayTLSSpec),
								one("request_headers", "RequestHeaders", headerChangeSpec),
								one("response_headers", "ResponseHeaders", headerChangeSpec),
							},
						}),
					},
				}),
			},
		}),
		one("terminating", "Terminating", &spec{
			name: "terminating",
			blocks: []block{
				many("service", "Services", &spec{
					name: "service",
					attrs: []attr{
						val("name", "Name", kindString),
						val("ca_file", "CAFile", kindString),
						val("cert_file", "CertFile", kindString),
						val("key_file", "KeyFile", kindString),
						val("sni", "SNI", kindString),
					},
				}),
			},
		}),
		one("mesh", "Mesh", emptyBody),
	},
}

var gatewayTLSSpec = &spec{
	name: "tls",
	attrs: []attr{
		val("enabled", "Enabled", kindBool),
		val("tls_min_version", "TLSMinVersion", kindString),
		val("tls_max_version", "TLSMaxVersion", kindString),
		val("cipher_suites", "CipherSuites", kindStrings),
	},
	blocks: []block{
		one("sds", "SDS", &spec{
			name: "sds",
			attrs: []attr{
				val("cluster_name", "ClusterName", kindString),
				val("cert_resource", "CertResource", kindString),
			},
		}),
	},
}

var headerChangeSpec = &spec{
	name:  "headers",
	attrs: []attr{val("remove", "Remove", kindStrings)},
	blocks: []block{
		one("add", "Add", stringPairs),
		one("set", "Set", stringPairs),
	},
}
