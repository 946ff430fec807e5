# Two services in a service mesh: a counter, and a dashboard that reaches it
# through its own side of the mesh. This job needs Consul, CNI plugins and a
# docker driver on the nodes.
job "countdash" {
  datacenters = ["*"]

  group "api" {
    # Every allocation has a network of its own, bridged to the node's.
    network {
      mode = "bridge"
    }

    # Only the proxy of the mesh talks to this port.
    service {
      name = "count-api"
      port = "9001"

      connect {
        sidecar_service {}
      }
    }

    task "web" {
      driver = "docker"

      config {
        image          = "hashicorpdev/counter-api:v3"
        auth_soft_fail = true
      }
    }
  }

  group "dashboard" {
    network {
      mode = "bridge"

      port "http" {
        static = 9002
        to     = 9002
      }
    }

    service {
      name = "count-dashboard"
      port = "http"

      # The counter appears to this group as a port of its own.
      connect {
        sidecar_service {
          proxy {
            upstreams {
              destination_name = "count-api"
              local_bind_port  = 8080
            }
          }
        }
      }
    }

    task "dashboard" {
      driver = "docker"

      env {
        COUNTING_SERVICE_URL = "http://${NOMAD_UPSTREAM_ADDR_count_api}"
      }

      config {
        image          = "hashicorpdev/counter-dashboard:v3"
        auth_soft_fail = true
      }
    }
  }
}
