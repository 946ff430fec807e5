job "example" {
  group "web" {
    network {
      port "http" {}
    }

    task "server" {
      driver = "wasm"

      config {
        module = "http.wasm"
        listen = ["http"]
      }

      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
