job "j" {
  group "g" {
    service {
      name                = "web"
      provider            = "consul"
      port                = "http"
      address_mode        = "alloc"
      address             = "10.0.0.1"
      tags                = ["x"]
      canary_tags         = ["c"]
      enable_tag_override = true
      task                = "t"
      on_update           = "ignore_warnings"
      kind                = "api-gateway"
      cluster             = "default"
      meta {
        a = 1
      }
      canary_meta {
        b = 2
      }
      tagged_addresses {
        wan = "1.2.3.4"
      }
      weights {
        passing = 3
        warning = 2
      }
      identity {
        aud = ["consul.io"]
        ttl = "1h"
      }
      check_restart {
        limit           = 3
        grace           = "90s"
        ignore_warnings = true
      }
      check {
        name                     = "alive"
        type                     = "http"
        interval                 = "10s"
        timeout                  = "2s"
        path                     = "/"
        protocol                 = "https"
        method                   = "POST"
        body                     = "{}"
        port                     = "admin"
        address_mode             = "host"
        advertise                = "x"
        expose                   = true
        initial_status           = "passing"
        notes                    = "n"
        tls_server_name          = "s"
        tls_skip_verify          = true
        success_before_passing   = 2
        failures_before_critical = 3
        failures_before_warning  = 1
        on_update                = "ignore"
        header {
          Authorization = ["Basic abc"]
          X-Many        = ["1", 2]
        }
        check_restart {
          limit = 1
        }
      }
      check {
        type     = "script"
        interval = "10s"
        timeout  = "2s"
        command  = "/bin/check"
        args     = ["-v"]
        task     = "t"
      }
      check {
        type         = "grpc"
        interval     = "10s"
        timeout      = "2s"
        grpc_service = "svc"
        grpc_use_tls = true
      }
    }
  }
}
