job "j" {
  group "g" {
    network {
      mode = "bridge"
    }
    service {
      name = "api"
      port = "9001"
      connect {
        sidecar_service {
          port                      = "p"
          tags                      = ["t"]
          disable_default_tcp_check = true
          meta {
            a = "b"
          }
          proxy {
            local_service_address = "127.0.0.2"
            local_service_port    = 8080
            config {
              protocol = "http"
            }
            expose {
              path {
                path            = "/health"
                protocol        = "http"
                local_path_port = 8080
                listener_port   = "hp"
              }
              path {
                path = "/b"
              }
            }
            upstreams {
              destination_name       = "db"
              destination_namespace  = "ns"
              destination_peer       = "peer"
              destination_partition  = "part"
              destination_type       = "service"
              local_bind_port        = 5432
              local_bind_address     = "127.0.0.1"
              local_bind_socket_path = "/s"
              local_bind_socket_mode = "0600"
              datacenter             = "dc2"
              mesh_gateway {
                mode = "local"
              }
              config {
                limits {
                  max = 3
                }
              }
            }
            upstreams {
              destination_name = "cache"
              local_bind_port  = 6379
            }
            transparent_proxy {
              uid                    = "101"
              outbound_port          = 15001
              exclude_inbound_ports  = ["http", 8081]
              exclude_outbound_ports = [443, "80"]
              exclude_outbound_cidrs = ["10.0.0.0/8"]
              exclude_uids           = [1000, "1001"]
              no_dns                 = true
            }
          }
        }
        sidecar_task {
          name           = "proxy"
          driver         = "docker"
          user           = "envoy"
          kill_timeout   = "6s"
          shutdown_delay = "1s"
          kill_signal    = "SIGINT"
          config {
            image = "envoy"
          }
          env {
            A = "b"
          }
          meta {
            c = "d"
          }
          resources {
            cpu = 50
          }
          logs {
            max_files = 1
          }
          volume_mount {
            volume      = "v"
            destination = "/v"
          }
          identity {
            name = "id"
          }
        }
      }
    }
    service {
      name = "native"
      task = "t"
      connect {
        native = true
      }
    }
  }
}
