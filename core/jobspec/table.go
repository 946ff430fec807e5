package jobspec

// Bodies without a fixed set of names.
var (
	stringPairs = &spec{name: "map", open: openStrings}
	stringLists = &spec{name: "header", open: openLists}
	opaque      = &spec{name: "config", open: openAny}
	emptyBody   = &spec{name: "block"}
)

// The table starts here: what a job file may say, block by block. Columns are
// the name in the file, the key in the document and the type.
var jobSpec = &spec{
	name:     "job",
	labelKey: "ID",
	attrs: []attr{
		opt("id", "ID", kindString),
		opt("name", "Name", kindString),
		opt("type", "Type", kindString),
		opt("region", "Region", kindString),
		opt("namespace", "Namespace", kindString),
		opt("datacenters", "Datacenters", kindStrings),
		opt("node_pool", "NodePool", kindString),
		opt("priority", "Priority", kindInt),
		opt("all_at_once", "AllAtOnce", kindBool),

		// Kept by the servers.
		opt("", "Stop", kindBool),
		opt("", "ParentID", kindString),
		val("", "Dispatched", kindBool),
		opt("", "DispatchIdempotencyToken", kindString),
		opt("", "Payload", kindAny),
		opt("", "ConsulNamespace", kindString),
		opt("", "VaultNamespace", kindString),
		opt("", "NomadTokenID", kindString),
		opt("", "Status", kindString),
		opt("", "StatusDescription", kindString),
		opt("", "Stable", kindBool),
		opt("", "Version", kindUint64),
		opt("", "SubmitTime", kindInt),
		opt("", "CreateIndex", kindUint64),
		opt("", "ModifyIndex", kindUint64),
		opt("", "JobModifyIndex", kindUint64),
		opt("", "VersionTag", kindAny),
	},
	blocks: []block{
		many("constraint", "Constraints", constraintSpec),
		many("affinity", "Affinities", affinitySpec),
		many("spread", "Spreads", spreadSpec),
		labelled("group", "TaskGroups", groupSpec),
		labelled("task", "", taskSpec),
		one("update", "Update", updateSpec),
		one("migrate", "Migrate", migrateSpec),
		one("reschedule", "Reschedule", rescheduleSpec),
		one("periodic", "Periodic", periodicSpec),
		one("parameterized", "ParameterizedJob", parameterizedSpec),
		one("multiregion", "Multiregion", multiregionSpec),
		pairs("meta", "Meta"),
		one("ui", "UI", uiSpec),
		one("vault", "", vaultSpec),
		labelled("secret", "", secretSpec),
	},
	finish: finishJob,
}

var groupSpec = &spec{
	name:     "group",
	labelKey: "Name",
	attrs: []attr{
		opt("count", "Count", kindInt),
		opt("shutdown_delay", "ShutdownDelay", kindDuration),
		opt("max_run_duration", "MaxRunDuration", kindDuration),
		opt("stop_after_client_disconnect", "StopAfterClientDisconnect", kindDuration).deprecated("write stop_on_client_after in a disconnect block"),
		opt("max_client_disconnect", "MaxClientDisconnect", kindDuration).deprecated("write lost_after in a disconnect block"),
		opt("prevent_reschedule_on_lost", "PreventRescheduleOnLost", kindBool).deprecated("write replace in a disconnect block"),
	},
	blocks: []block{
		many("constraint", "Constraints", constraintSpec),
		many("affinity", "Affinities", affinitySpec),
		many("spread", "Spreads", spreadSpec),
		many("network", "Networks", networkSpec),
		many("service", "Services", serviceSpec),
		labelled("task", "Tasks", taskSpec),
		table("volume", "Volumes", volumeSpec),
		one("update", "Update", updateSpec),
		one("migrate", "Migrate", migrateSpec),
		one("reschedule", "ReschedulePolicy", rescheduleSpec),
		one("restart", "RestartPolicy", restartSpec),
		one("disconnect", "Disconnect", disconnectSpec),
		one("ephemeral_disk", "EphemeralDisk", ephemeralDiskSpec),
		pairs("meta", "Meta"),
		one("scaling", "Scaling", groupScalingSpec),
		one("consul", "Consul", consulSpec),
		one("vault", "", vaultSpec),
		labelled("secret", "", secretSpec),
	},
}

var updateSpec = &spec{
	name: "update",
	attrs: []attr{
		opt("max_parallel", "MaxParallel", kindInt),
		opt("health_check", "HealthCheck", kindString),
		opt("min_healthy_time", "MinHealthyTime", kindDuration),
		opt("healthy_deadline", "HealthyDeadline", kindDuration),
		opt("progress_deadline", "ProgressDeadline", kindDuration),
		opt("auto_revert", "AutoRevert", kindBool),
		opt("auto_promote", "AutoPromote", kindBool),
		opt("canary", "Canary", kindInt),
		opt("stagger", "Stagger", kindDuration),
	},
}

var migrateSpec = &spec{
	name: "migrate",
	attrs: []attr{
		opt("max_parallel", "MaxParallel", kindInt),
		opt("health_check", "HealthCheck", kindString),
		opt("min_healthy_time", "MinHealthyTime", kindDuration),
		opt("healthy_deadline", "HealthyDeadline", kindDuration),
	},
}

var restartSpec = &spec{
	name: "restart",
	attrs: []attr{
		opt("attempts", "Attempts", kindInt),
		opt("interval", "Interval", kindDuration),
		opt("delay", "Delay", kindDuration),
		opt("mode", "Mode", kindString),
		opt("render_templates", "RenderTemplates", kindBool),
	},
}

var rescheduleSpec = &spec{
	name: "reschedule",
	attrs: []attr{
		opt("attempts", "Attempts", kindInt),
		opt("interval", "Interval", kindDuration),
		opt("delay", "Delay", kindDuration),
		opt("delay_function", "DelayFunction", kindString),
		opt("max_delay", "MaxDelay", kindDuration),
		opt("unlimited", "Unlimited", kindBool),
	},
}

var disconnectSpec = &spec{
	name: "disconnect",
	attrs: []attr{
		opt("lost_after", "LostAfter", kindDuration),
		opt("stop_on_client_after", "StopOnClientAfter", kindDuration),
		opt("replace", "Replace", kindBool),
		opt("reconcile", "Reconcile", kindString),
	},
}

var ephemeralDiskSpec = &spec{
	name: "ephemeral_disk",
	attrs: []attr{
		opt("size", "SizeMB", kindInt),
		opt("sticky", "Sticky", kindBool),
		opt("migrate", "Migrate", kindBool),
	},
}

var periodicSpec = &spec{
	name: "periodic",
	attrs: []attr{
		opt("cron", "Spec", kindString).deprecated("write crons, a list"),
		opt("crons", "Specs", kindStrings),
		opt("enabled", "Enabled", kindBool),
		opt("prohibit_overlap", "ProhibitOverlap", kindBool),
		opt("time_zone", "TimeZone", kindString),
		opt("", "SpecType", kindString),
	},
	finish: finishPeriodic,
}

var parameterizedSpec = &spec{
	name: "parameterized",
	attrs: []attr{
		val("payload", "Payload", kindString),
		val("meta_required", "MetaRequired", kindStrings),
		val("meta_optional", "MetaOptional", kindStrings),
	},
}

var multiregionSpec = &spec{
	name: "multiregion",
	blocks: []block{
		one("strategy", "Strategy", &spec{
			name: "strategy",
			attrs: []attr{
				opt("max_parallel", "MaxParallel", kindInt),
				opt("on_failure", "OnFailure", kindString),
			},
		}),
		labelled("region", "Regions", &spec{
			name:     "region",
			labelKey: "Name",
			attrs: []attr{
				opt("count", "Count", kindInt),
				val("datacenters", "Datacenters", kindStrings),
				val("node_pool", "NodePool", kindString),
			},
			blocks: []block{one("meta", "Meta", stringPairs)},
		}),
	},
}

var uiSpec = &spec{
	name:  "ui",
	attrs: []attr{val("description", "Description", kindString)},
	blocks: []block{
		many("link", "Links", &spec{
			name: "link",
			attrs: []attr{
				val("label", "Label", kindString),
				val("url", "URL", kindString),
			},
		}),
	},
}

// Attributes kept in the document only.
var scalingKept = []attr{
	val("", "ID", kindString),
	opt("", "Target", kindStringMap),
	val("", "CreateIndex", kindUint64),
	val("", "ModifyIndex", kindUint64),
}

var groupScalingSpec = &spec{
	name: "scaling",
	attrs: append([]attr{
		opt("min", "Min", kindInt),
		opt("max", "Max", kindInt).required(),
		opt("enabled", "Enabled", kindBool),
		val("type", "Type", kindString),
	}, scalingKept...),
	blocks: []block{one("policy", "Policy", opaque)},
	finish: finishGroupScaling,
}

var taskScalingSpec = &spec{
	name: "scaling",
	attrs: append([]attr{
		opt("min", "Min", kindInt),
		opt("max", "Max", kindInt).required(),
		opt("enabled", "Enabled", kindBool),
		val("", "Type", kindString),
	}, scalingKept...),
	blocks: []block{one("policy", "Policy", opaque)},
	finish: finishTaskScaling,
}

var constraintSpec = &spec{
	name: "constraint",
	attrs: []attr{
		val("attribute", "LTarget", kindString),
		val("operator", "Operand", kindString),
		val("value", "RTarget", kindString),
		val("version", "", kindString),
		val("semver", "", kindString),
		val("regexp", "", kindString),
		val("set_contains", "", kindString),
		val("distinct_hosts", "", kindBool),
		val("distinct_property", "", kindString),
		val("set_contains_any", "", kindString),
		val("set_contains_all", "", kindString),
		val("is_set", "", kindString),
		val("is_not_set", "", kindString),
	},
	finish: finishConstraint,
}

var affinitySpec = &spec{
	name: "affinity",
	attrs: []attr{
		val("attribute", "LTarget", kindString),
		val("operator", "Operand", kindString),
		val("value", "RTarget", kindString),
		opt("weight", "Weight", kindInt8),
		val("version", "", kindString),
		val("semver", "", kindString),
		val("regexp", "", kindString),
		val("set_contains", "", kindString),
		val("set_contains_any", "", kindString),
		val("set_contains_all", "", kindString),
	},
	finish: finishAffinity,
}

var spreadSpec = &spec{
	name: "spread",
	attrs: []attr{
		val("attribute", "Attribute", kindString),
		opt("weight", "Weight", kindInt8),
	},
	blocks: []block{
		labelled("target", "SpreadTarget", &spec{
			name:     "target",
			labelKey: "Value",
			attrs:    []attr{val("percent", "Percent", kindUint8)},
		}),
	},
}

var networkSpec = &spec{
	name:   "network",
	sparse: true,
	attrs: []attr{
		val("mode", "Mode", kindString),
		val("hostname", "Hostname", kindString),
		opt("mbits", "MBits", kindInt).deprecated("leave it out, bandwidth is not reserved"),
		val("device", "Device", kindString),
		val("cidr", "CIDR", kindString),
		val("ip", "IP", kindString),
	},
	blocks: []block{
		labelled("port", "", portSpec),
		labelled("reserved_ports", "ReservedPorts", portSpec),
		many("", "DynamicPorts", portSpec),
		one("dns", "DNS", &spec{
			name: "dns",
			attrs: []attr{
				val("servers", "Servers", kindStrings),
				val("searches", "Searches", kindStrings),
				val("options", "Options", kindStrings),
			},
		}),
		one("cni", "CNI", &spec{
			name:  "cni",
			attrs: []attr{val("args", "Args", kindStringMap)},
		}),
	},
	finish: finishNetwork,
}

var portSpec = &spec{
	name:     "port",
	sparse:   true,
	labelKey: "Label",
	attrs: []attr{
		val("static", "Value", kindInt),
		val("to", "To", kindInt),
		val("host_network", "HostNetwork", kindString),
		val("ignore_collision", "IgnoreCollision", kindBool),
	},
}

var volumeSpec = &spec{
	name:     "volume",
	labelKey: "Name",
	attrs: []attr{
		val("type", "Type", kindString),
		val("source", "Source", kindString),
		val("read_only", "ReadOnly", kindBool),
		val("sticky", "Sticky", kindBool),
		val("per_alloc", "PerAlloc", kindBool),
		val("access_mode", "AccessMode", kindString),
		val("attachment_mode", "AttachmentMode", kindString),
	},
	blocks: []block{
		one("mount_options", "MountOptions", &spec{
			name: "mount_options",
			attrs: []attr{
				val("fs_type", "FSType", kindString),
				val("mount_flags", "MountFlags", kindStrings),
			},
		}),
	},
}
