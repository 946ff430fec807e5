# a server of three
region     = "eu"
datacenter = "fra1"
name       = "s1"
data_dir   = "/var/lib/serai"
bind_addr  = "10.1.2.3"

ports {
  http = 5646
}

advertise = {
  rpc = "203.0.113.7:7000"
}

server {
  enabled          = "true"
  bootstrap_expect = "3"
  heartbeat_grace  = "15s"
  encrypt          = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
  job_max_source_size = "2M"
  enabled_schedulers = ["service", "batch"]

  server_join {
    retry_join = ["10.1.2.4", "10.1.2.5:4648"]
  }
  search {
    limit_query = 5
  }
  default_scheduler_config {
    scheduler_algorithm = "spread"
    preemption_config { batch_scheduler_enabled = true }
  }
}

limits { http_max_conns_per_client = 0 }
autopilot { cleanup_dead_servers = false }
