job "j" {
  type        = null
  priority    = null
  datacenters = null
  meta        = null
  group "g" {
    count = null
    restart {
      mode = null
    }
    task "t" {
      env = null
      resources {
        memory = null
      }
      template {
        data = null
      }
    }
  }
}
