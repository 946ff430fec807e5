# A command without isolation, as the agent's own user. The raw_exec driver is off until an operator enables it:
#
#   plugin "raw_exec" {
#     config {
#       enabled = true
#     }
#   }
#
# A development agent enables it by itself.

job "raw-exec-batch" {
  type = "batch"

  group "host" {
    # One failure is enough.
    restart {
      attempts = 0
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "uptime" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "uname -a; cat /proc/loadavg; pwd"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
