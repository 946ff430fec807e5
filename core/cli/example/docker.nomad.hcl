# An example job for the docker driver: a Redis server. Run it with
#
#     serai job run example.nomad.hcl

job "example" {
  type        = "service"
  datacenters = ["*"]

  group "cache" {
    count = 1

    # A port of the host, chosen at placement, that leads to 6379 inside.
    network {
      port "db" {
        to = 6379
      }
    }

    task "redis" {
      driver = "docker"

      config {
        image = "redis:7"
        ports = ["db"]
      }

      # What the task may use: CPU in MHz, memory in MB.
      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}
