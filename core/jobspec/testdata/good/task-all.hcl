job "j" {
  group "g" {
    task "t" {
      driver         = "exec"
      user           = "www"
      kill_timeout   = "20s"
      kill_signal    = "SIGTERM"
      shutdown_delay = "2s"
      leader         = true
      kind           = "connect-native:x"

      config {
        command = "a"
      }
      env {
        A = "b"
      }
      meta {
        m = "n"
      }
      constraint {
        attribute = "${attr.cpu.arch}"
        operator  = "="
        value     = "amd64"
      }
      affinity {
        attribute = "${attr.cpu.arch}"
        operator  = "="
        value     = "amd64"
        weight    = 10
      }
      resources {
        cpu        = 200
        cores      = 2
        memory     = 128
        memory_max = 256
        secrets    = 2
        disk       = 10
        iops       = 5
        device "nvidia/gpu" {
          count = 2
          constraint {
            attribute = "${device.attr.memory}"
            operator  = ">="
            value     = "2 GiB"
          }
          affinity {
            attribute = "${device.model}"
            value     = "x"
          }
        }
        device "fpga" {}
        numa {
          affinity = "prefer"
          devices  = ["fpga"]
        }
        network {
          mbits = 10
          port "old" {}
        }
      }
      restart {
        attempts = 9
      }
      service {
        name = "s"
        port = "http"
      }
      artifact {
        source      = "https://example.com/${attr.cpu.arch}.tgz"
        destination = "local/x"
        mode        = "dir"
        insecure    = true
        chown       = true
        options {
          checksum = "md5:df6a4178aec9fbdc1d6d7e3634d1bc33"
          depth    = 1
        }
        headers {
          User-Agent = "x"
        }
      }
      template {
        data        = "{{ env \"A\" }}"
        destination = "local/a.conf"
      }
      vault {
        role = "r"
      }
      consul {
        cluster = "c"
      }
      volume_mount {
        volume           = "data"
        destination      = "/data"
        read_only        = true
        propagation_mode = "private"
        selinux_label    = "z"
      }
      volume_mount {}
      identity {
        env  = true
        file = true
      }
      identity {
        name          = "aws"
        aud           = ["a", "b"]
        filepath      = "secrets/x"
        ttl           = "1h"
        change_mode   = "signal"
        change_signal = "SIGHUP"
        service_name  = "s"
        extra_claims  = ["c"]
      }
      logs {
        max_files     = 3
        max_file_size = 4
        disabled      = true
        enabled       = false
      }
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      dispatch_payload {
        file = "in.json"
      }
      csi_plugin {
        id                     = "ebs"
        type                   = "monolith"
        mount_dir              = "/csi"
        stage_publish_base_dir = "/local/csi"
        health_timeout         = "1m"
      }
      scaling "cpu" {
        min     = 100
        max     = 200
        enabled = true
        policy {
          a = 1
        }
      }
      scaling "mem" {
        max = 2
      }
      action "migrate" {
        command = "/bin/migrate"
        args    = ["-x", "1"]
      }
      action "noop" {
        command = "true"
      }
      schedule {
        cron {
          start    = "0 9 * * *"
          end      = "0 17 * * *"
          timezone = "UTC"
        }
      }
      secret "pw" {
        provider = "nomad"
        path     = "p/q"
        config {
          namespace = "default"
        }
        env {
          X = 1
        }
      }
    }
  }
}
