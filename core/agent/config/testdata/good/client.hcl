data_dir = "/var/lib/serai"
client {
  enabled = true
  servers = ["10.1.2.3"]
  meta { rack = "r1", "a.b" = 3 }
  options = { "driver.allowlist" = "exec" }
  reserved {
    cpu            = 500
    memory         = 256
    reserved_ports = "22,8000-8002"
  }
  host_volume "scratch" { path = "/srv/scratch" }
  host_volume "data" {
    path      = "/srv/data"
    read_only = true
  }
  host_network "public" { cidr = "203.0.113.0/24" }
  drain_on_shutdown { ignore_system_jobs = true }
  no_host_uuid = false
}
bind_addr = "10.9.9.9"
plugin "raw_exec" {
  args = ["-x"]
  config {
    enabled = true
    denied_envids = ["A", "B"]
    limits { cpu = 1.5 }
    mount { type = "bind" }
    mount { type = "tmpfs" }
  }
}
plugin "exec" {}
consul { token = "abc" }
consul { name = "other" address = "1.2.3.4:8500" }
