job "gw" {
  group "g" {
    service {
      name = "ingress"
      connect {
        gateway {
          proxy {
            connect_timeout                     = "3s"
            envoy_gateway_bind_tagged_addresses = true
            envoy_gateway_no_default_bind       = true
            envoy_dns_discovery_type            = "STRICT_DNS"
            envoy_gateway_bind_addresses "a" {
              address = "0.0.0.0"
              port    = 8443
            }
            envoy_gateway_bind_addresses "b" {
              address = "::"
            }
            config {
              x = 1
            }
          }
          ingress {
            tls {
              enabled         = true
              tls_min_version = "TLSv1_2"
              tls_max_version = "TLSv1_3"
              cipher_suites   = ["A"]
              sds {
                cluster_name  = "c"
                cert_resource = "r"
              }
            }
            listener {
              port     = 8080
              protocol = "http"
              service {
                name                    = "web"
                hosts                   = ["example.com"]
                max_connections         = 10
                max_pending_requests    = 20
                max_concurrent_requests = 30
                tls {
                  enabled = false
                }
                request_headers {
                  add {
                    a = "b"
                  }
                  set {
                    c = "d"
                  }
                  remove = ["e"]
                }
                response_headers {
                  remove = ["f"]
                }
              }
            }
          }
        }
      }
    }
    service {
      name = "terminating"
      connect {
        gateway {
          terminating {
            service {
              name      = "legacy"
              ca_file   = "ca"
              cert_file = "crt"
              key_file  = "key"
              sni       = "s"
            }
          }
        }
      }
    }
    service {
      name = "mesh"
      connect {
        gateway {
          mesh {}
        }
      }
    }
  }
}
