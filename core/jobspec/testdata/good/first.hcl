# The shape most jobs have.
job "web" {
  datacenters = ["dc1", "dc2"]
  type        = "service"

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  update {
    max_parallel     = 2
    min_healthy_time = "11s"
  }

  group "front" {
    count = 3

    network {
      port "http" {
        to = 8080
      }
      port "admin" {
        static = 9000
      }
    }

    restart {
      attempts = 1
      delay    = "1m30s"
    }

    service {
      name     = "web-${NOMAD_DC}"
      provider = "nomad"
      port     = "http"
      tags     = ["a", "b"]

      check {
        type     = "http"
        path     = "/healthz"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "server" {
      driver = "exec"

      config {
        command = "/bin/server"
        args    = ["-listen", "${NOMAD_ADDR_http}"]
      }

      env {
        LEVEL = "info"
        PORT  = "${NOMAD_PORT_http}"
      }

      resources {
        cpu    = 250
        memory = 128
      }
    }
  }
}
