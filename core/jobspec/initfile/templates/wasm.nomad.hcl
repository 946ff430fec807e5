# A web service as a WebAssembly module. The module sees only what this file
# gives it: its arguments, its environment, its directories, one socket.
#
# The module is examples/wasm/http of Serai's sources, built by "make build".
# For one of your own in Go: GOOS=wasip1 GOARCH=wasm go build.
job "example" {
  type        = "service"
  datacenters = ["*"]

  update {
    max_parallel     = 1
    min_healthy_time = "10s"
  }

  group "web" {
    count = 1

    # The scheduler picks the port; "serai alloc status" shows it.
    network {
      port "http" {}
    }

    task "server" {
      driver = "wasm"

      config {
        # A file in one of the driver's module_paths, or in the task's
        # directory.
        module = "http.wasm"

        # Sockets the module may accept connections on, by port label.
        listen = ["http"]
      }

      env {
        GREETING = "hello"
      }

      # Memory bounds both the module's own memory and its process.
      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
