data_dir  = "relative"
bind_addr = "10.0.0.1"
log_level = "loud"
server {
  enabled            = true
  encrypt            = "short"
  enabled_schedulers = ["foo"]
  raft_multiplier    = 11
  start_join         = ["a"]
  server_join { retry_join = ["b"] }
}
client {
  node_pool        = "all"
  min_dynamic_port = 30000
  max_dynamic_port = 20000
  host_volume "v" { read_only = true }
  reserved { reserved_ports = "5-x" }
}
limits { rpc_max_conns_per_client = 5 }
telemetry { prefix_filter = ["raft"] }
