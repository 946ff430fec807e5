# What is stored but not acted on is said to be so.
job "j" {
  type        = "system"
  all_at_once = false
  affinity {
    attribute = "a"
    value     = "b"
  }
  group "g" {
    ephemeral_disk {
      sticky = false
    }
    network {
      mode = "bridge"
      dns {
        servers = ["1.1.1.1"]
      }
      port "http" {
        host_network = "public"
      }
    }
    network {
      mode = "host"
    }
    service {
      name = "s"
      connect {
        native = true
      }
    }
    task "t" {
      driver = "exec"
      vault {
        role = "r"
      }
      resources {
        cores = 1
        device "gpu" {}
      }
    }
  }
}
