job "j" {
  group "g" {
    network {
      mode     = "cni/mynet"
      hostname = "h-${NOMAD_ALLOC_INDEX}"
      mbits    = 10
      device   = "eth0"
      cidr     = "10.0.0.0/8"
      ip       = "10.0.0.1"
      port "dyn" {
        to           = -1
        host_network = "public"
      }
      port "fixed" {
        static           = 443
        ignore_collision = true
      }
      port "zero" {
        static = 0
      }
      port "negative" {
        static = -5
      }
      reserved_ports "ssh" {
        static = 22
      }
      dns {
        servers  = ["1.1.1.1"]
        searches = ["example.com"]
        options  = ["ndots:2"]
      }
      cni {
        args = {
          "nad.name" = "x"
          n          = 1
        }
      }
    }
  }
}
