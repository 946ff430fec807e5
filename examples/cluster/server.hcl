# A server on this machine, without a node. See README.md, "A cluster".
name      = "server1"
data_dir  = "/tmp/serai-cluster/server1"
bind_addr = "127.0.0.1"

# Loopback is fine for agents of one machine; say so.
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}

server {
  enabled          = true
  bootstrap_expect = 1
}
