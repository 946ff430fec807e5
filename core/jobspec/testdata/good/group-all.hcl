job "j" {
  group "g" {
    count                        = 2
    shutdown_delay               = "3s"
    max_run_duration             = "1h"
    stop_after_client_disconnect = "5m"
    max_client_disconnect        = "6m"
    prevent_reschedule_on_lost   = true

    constraint {
      distinct_hosts = true
    }
    affinity {
      attribute = "${meta.rack}"
      regexp    = "r[0-9]"
    }
    spread {
      attribute = "${meta.rack}"
    }
    network {
      mode = "bridge"
    }
    service {
      name = "s"
    }
    volume "data" {
      type      = "host"
      source    = "data"
      read_only = true
      sticky    = true
    }
    volume "db" {
      type            = "csi"
      source          = "db"
      per_alloc       = true
      access_mode     = "single-node-writer"
      attachment_mode = "file-system"
      mount_options {
        fs_type     = "ext4"
        mount_flags = ["noatime"]
      }
    }
    update {
      canary = 1
    }
    migrate {
      max_parallel = 3
    }
    reschedule {
      unlimited = true
    }
    restart {
      attempts         = 3
      interval         = "10m"
      delay            = "25s"
      mode             = "delay"
      render_templates = true
    }
    disconnect {
      lost_after           = "1h"
      stop_on_client_after = "2h"
      replace              = false
      reconcile            = "best_score"
    }
    ephemeral_disk {
      size    = 500
      sticky  = true
      migrate = true
    }
    meta {
      k = "v"
    }
    scaling {
      min     = 1
      max     = 10
      enabled = false
      type    = "horizontal"
      policy {
        cooldown = "1m"
        check "cpu" {
          query = "avg"
          strategy "target" {
            target = 70
          }
        }
      }
    }
    consul {
      cluster   = "default"
      namespace = "ns"
      partition = "part"
    }
    task "t" {
      driver = "exec"
    }
  }
}
