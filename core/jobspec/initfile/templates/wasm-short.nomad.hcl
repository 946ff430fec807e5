job "example" {
  group "web" {
    network {
      port "http" {}
    }

    task "server" {
      driver = "wasm"

      config {
        module = "wasm/http.wasm"
        listen = ["http"]
        args   = ["http"]
      }

      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
