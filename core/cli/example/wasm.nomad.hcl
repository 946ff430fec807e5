# An example job for the wasm driver: a web service as a sandboxed WebAssembly
# module. Run it with
#
#     serai job run example.nomad.hcl
#
# and find its address in 'serai alloc status'.

job "example" {
  type        = "service"
  datacenters = ["*"]

  update {
    # A new version must be healthy for this long before the next allocation
    # follows.
    min_healthy_time = "5s"
  }

  group "web" {
    count = 1

    # A port of the host, chosen at placement.
    network {
      port "http" {}
    }

    task "server" {
      driver = "wasm"

      config {
        # The module: in the task's directory, or in one of the folders that
        # the plugin's module_paths allow. This one comes with Serai's own tree.
        module = "http.wasm"

        # The sockets of these ports are opened for the module, which can open
        # none itself.
        listen = ["http"]
      }

      # What the task may use: CPU in MHz, memory in MB.
      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
