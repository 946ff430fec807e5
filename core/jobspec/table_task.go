package jobspec

import "time"

var taskSpec = &spec{
	name:     "task",
	labelKey: "Name",
	attrs: []attr{
		val("driver", "Driver", kindString),
		val("user", "User", kindString),
		opt("kill_timeout", "KillTimeout", kindDuration),
		val("kill_signal", "KillSignal", kindString),
		val("shutdown_delay", "ShutdownDelay", kindDuration),
		val("leader", "Leader", kindBool),
		val("kind", "Kind", kindString),
	},
	blocks: []block{
		one("config", "Config", opaque),
		pairs("env", "Env"),
		pairs("meta", "Meta"),
		many("constraint", "Constraints", constraintSpec),
		many("affinity", "Affinities", affinitySpec),
		one("resources", "Resources", resourcesSpec),
		one("restart", "RestartPolicy", restartSpec),
		many("service", "Services", serviceSpec),
		many("artifact", "Artifacts", artifactSpec),
		many("template", "Templates", templateSpec),
		one("vault", "Vault", vaultSpec),
		one("consul", "Consul", consulSpec),
		many("volume_mount", "VolumeMounts", volumeMountSpec),
		many("identity", "", identitySpec),
		one("", "Identity", identitySpec),
		many("", "Identities", identitySpec),
		one("logs", "LogConfig", logsSpec),
		one("lifecycle", "Lifecycle", lifecycleSpec),
		one("dispatch_payload", "DispatchPayload", dispatchPayloadSpec),
		one("csi_plugin", "CSIPluginConfig", csiPluginSpec).omitted(),
		labelled("scaling", "ScalingPolicies", taskScalingSpec),
		labelled("action", "Actions", actionSpec),
		one("schedule", "Schedule", scheduleSpec),
		labelled("secret", "Secrets", secretSpec),
	},
	finish: finishTask,
}

var resourcesSpec = &spec{
	name: "resources",
	attrs: []attr{
		opt("cpu", "CPU", kindInt),
		opt("cores", "Cores", kindInt),
		opt("memory", "MemoryMB", kindInt),
		opt("memory_max", "MemoryMaxMB", kindInt),
		opt("secrets", "SecretsMB", kindInt),
		opt("disk", "DiskMB", kindInt).deprecated("write size in the group's ephemeral_disk block"),
		opt("iops", "IOPS", kindInt).deprecated("leave it out, it has no effect"),
	},
	blocks: []block{
		many("network", "Networks", networkSpec).deprecated("write the network block in the group"),
		labelled("device", "Devices", deviceSpec),
		one("numa", "NUMA", &spec{
			name: "numa",
			attrs: []attr{
				val("affinity", "Affinity", kindString),
				val("devices", "Devices", kindStrings),
			},
		}),
	},
}

var deviceSpec = &spec{
	name:     "device",
	labelKey: "Name",
	attrs:    []attr{opt("count", "Count", kindUint64)},
	blocks: []block{
		many("constraint", "Constraints", constraintSpec),
		many("affinity", "Affinities", affinitySpec),
	},
}

var artifactSpec = &spec{
	name: "artifact",
	attrs: []attr{
		opt("source", "GetterSource", kindString),
		opt("destination", "RelativeDest", kindString),
		opt("mode", "GetterMode", kindString),
		opt("insecure", "GetterInsecure", kindBool),
		val("chown", "Chown", kindBool),
	},
	blocks: []block{
		one("options", "GetterOptions", stringPairs),
		one("headers", "GetterHeaders", stringPairs),
	},
}

var templateSpec = &spec{
	name: "template",
	attrs: []attr{
		opt("data", "EmbeddedTmpl", kindString),
		opt("source", "SourcePath", kindString),
		opt("destination", "DestPath", kindString),
		opt("change_mode", "ChangeMode", kindString).defaults("restart"),
		opt("change_signal", "ChangeSignal", kindString),
		opt("env", "Envvars", kindBool),
		val("once", "Once", kindBool),
		opt("splay", "Splay", kindDuration).defaults(int64(5 * time.Second)),
		opt("perms", "Perms", kindString).defaults("0644"),
		opt("uid", "Uid", kindInt),
		opt("gid", "Gid", kindInt),
		opt("left_delimiter", "LeftDelim", kindString),
		opt("right_delimiter", "RightDelim", kindString),
		opt("error_on_missing_key", "ErrMissingKey", kindBool).defaults(false),
		opt("vault_grace", "VaultGrace", kindDuration).deprecated("leave it out, it has no effect"),
	},
	blocks: []block{
		one("change_script", "ChangeScript", &spec{
			name: "change_script",
			attrs: []attr{
				opt("command", "Command", kindString),
				val("args", "Args", kindStrings).defaults([]any{}),
				opt("timeout", "Timeout", kindDuration).defaults(int64(5 * time.Second)),
				opt("fail_on_error", "FailOnError", kindBool).defaults(false),
				opt("run_on_first_render", "RunOnFirstRender", kindBool).defaults(false),
			},
		}),
		one("wait", "Wait", &spec{
			name: "wait",
			attrs: []attr{
				opt("min", "Min", kindDuration),
				opt("max", "Max", kindDuration),
			},
		}),
	},
}

var vaultSpec = &spec{
	name: "vault",
	attrs: []attr{
		val("policies", "Policies", kindStrings).deprecated("write role"),
		val("role", "Role", kindString),
		opt("namespace", "Namespace", kindString),
		val("cluster", "Cluster", kindString),
		opt("env", "Env", kindBool).defaults(true),
		opt("disable_file", "DisableFile", kindBool).defaults(false),
		opt("change_mode", "ChangeMode", kindString).defaults("restart"),
		opt("change_signal", "ChangeSignal", kindString),
		opt("allow_token_expiration", "AllowTokenExpiration", kindBool).defaults(false),
	},
}

var consulSpec = &spec{
	name: "consul",
	attrs: []attr{
		val("cluster", "Cluster", kindString),
		val("namespace", "Namespace", kindString),
		val("partition", "Partition", kindString),
	},
}

var volumeMountSpec = &spec{
	name: "volume_mount",
	attrs: []attr{
		opt("volume", "Volume", kindString),
		opt("destination", "Destination", kindString),
		opt("read_only", "ReadOnly", kindBool),
		opt("propagation_mode", "PropagationMode", kindString),
		opt("selinux_label", "SELinuxLabel", kindString),
	},
}

var identitySpec = &spec{
	name: "identity",
	attrs: []attr{
		val("name", "Name", kindString),
		val("aud", "Audience", kindStrings),
		val("env", "Env", kindBool),
		val("file", "File", kindBool),
		val("filepath", "Filepath", kindString),
		val("ttl", "TTL", kindDuration),
		val("change_mode", "ChangeMode", kindString),
		val("change_signal", "ChangeSignal", kindString),
		val("service_name", "ServiceName", kindString),
		val("extra_claims", "ExtraClaims", kindStrings),
	},
}

var logsSpec = &spec{
	name: "logs",
	attrs: []attr{
		opt("max_files", "MaxFiles", kindInt),
		opt("max_file_size", "MaxFileSizeMB", kindInt),
		opt("disabled", "Disabled", kindBool),
		opt("enabled", "Enabled", kindBool).deprecated("write disabled"),
	},
}

var lifecycleSpec = &spec{
	name: "lifecycle",
	attrs: []attr{
		val("hook", "Hook", kindString),
		val("sidecar", "Sidecar", kindBool),
	},
}

var dispatchPayloadSpec = &spec{
	name:  "dispatch_payload",
	attrs: []attr{val("file", "File", kindString)},
}

var csiPluginSpec = &spec{
	name: "csi_plugin",
	attrs: []attr{
		val("id", "ID", kindString),
		val("type", "Type", kindString),
		val("mount_dir", "MountDir", kindString),
		val("stage_publish_base_dir", "StagePublishBaseDir", kindString),
		val("health_timeout", "HealthTimeout", kindDuration),
	},
}

var actionSpec = &spec{
	name:     "action",
	labelKey: "Name",
	attrs: []attr{
		val("command", "Command", kindString),
		val("args", "Args", kindStrings),
	},
}

var secretSpec = &spec{
	name:     "secret",
	labelKey: "Name",
	attrs: []attr{
		val("provider", "Provider", kindString),
		val("path", "Path", kindString),
	},
	blocks: []block{
		one("config", "Config", opaque),
		one("env", "Env", stringPairs),
	},
}

var scheduleSpec = &spec{
	name: "schedule",
	blocks: []block{
		one("cron", "Cron", &spec{
			name: "cron",
			attrs: []attr{
				val("start", "Start", kindString),
				val("end", "End", kindString),
				val("timezone", "Timezone", kindString),
			},
		}),
	},
}
