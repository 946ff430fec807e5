job "j" {
  name        = ["x"]
  priority    = "high"
  all_at_once = "yes"
  datacenters = "dc1"
  region      = { a = 1 }
  group "g" {
    count          = 1.5
    shutdown_delay = "10"
    constraint {
      value          = ["x"]
      distinct_hosts = 1
    }
    spread {
      weight = 300
      target "x" {
        percent = -1
      }
      target "y" {
        percent = 256
      }
    }
    affinity {
      weight = 300
    }
    task "t" {
      leader = 1
      resources {
        memory = "256MB"
        cores  = true
        device "d" {
          count = -1
        }
      }
      template {
        uid = "x"
      }
      action "a" {
        args = "x"
      }
    }
  }
}
