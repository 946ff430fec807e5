variable "services" {
  default = {
    web = { count = 2, port = 80 }
    api = { count = 1, port = 8080 }
  }
}
job "j" {
  dynamic "group" {
    for_each = var.services
    iterator = svc
    labels   = [svc.key]
    content {
      count = svc.value.count
      network {
        dynamic "port" {
          for_each = ["http", "admin"]
          labels   = ["${port.value}-${svc.key}"]
          content {
            to = svc.value.port + port.key
          }
        }
      }
      task "server" {
        driver = "exec"
        config {
          args = ["-name", svc.key, "${NOMAD_DC}"]
          nested {
            x = svc.value.port
          }
        }
        dynamic "env" {
          for_each = [svc.key]
          content {
            NAME = env.value
            DC   = node.datacenter
          }
        }
      }
    }
  }
}
