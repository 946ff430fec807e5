job "j" {
  priority    = "70"
  all_at_once = "true"
  name        = 12
  region      = true
  datacenters = ["a", 1, true]
  group "g" {
    count          = 3.0
    shutdown_delay = 1500
    task "t" {
      kill_timeout   = "1h30m"
      shutdown_delay = "-1s"
      leader         = "false"
      template {
        splay = "0"
        perms = 0755
      }
    }
  }
}
