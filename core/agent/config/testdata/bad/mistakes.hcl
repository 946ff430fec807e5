data_dir = "relative"
colour   = "red"
server {
  enabled        = true
  heartbeat_gracee = "3s"
  heartbeat_grace  = "soon"
  raft_multiplier  = "many"
}
client {
  enabled = ["yes"]
  reserved = 5
  host_volume { path = "/x" }
}
