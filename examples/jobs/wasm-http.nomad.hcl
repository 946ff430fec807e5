# A web service in a WebAssembly module. The module opens no port itself: it is handed the socket of the port labelled
# "http", and nothing else of the host.
#
#   serai job run examples/jobs/wasm-http.nomad.hcl
#   curl http://ADDRESS:PORT/         (serai alloc status shows the address)

variable "module" {
  type        = string
  description = "The module: a name in one of the plugin's module_paths, or an absolute path below one of them."
  default     = "http.wasm"
}

job "wasm-http" {
  type = "service"

  group "web" {
    count = 1

    network {
      port "http" {}
    }

    task "server" {
      driver = "wasm"

      config {
        module = var.module
        listen = ["http"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
