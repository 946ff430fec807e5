# A node on this machine, beside the server. See README.md, "A cluster".
name      = "client1"
data_dir  = "/tmp/serai-cluster/client1"
bind_addr = "127.0.0.1"

# Loopback is fine for agents of one machine; say so.
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}

# Each agent on a machine has ports of its own.
ports {
  http = 5616
}

client {
  enabled = true
  servers = ["127.0.0.1:4647"]

  # Two nodes on one machine share its ports; each hands out its own range.
  min_dynamic_port = 20000
  max_dynamic_port = 21999
}

plugin "raw_exec" {
  config {
    enabled = true
  }
}
