# A service that is kept running: three copies, replaced one at a time when the job changes, started again when one
# fails, and moved to another node when that does not help.
#
#   serai job run examples/jobs/exec-service.nomad.hcl
#   serai job run -var greeting=salut -var copies=2 examples/jobs/exec-service.nomad.hcl

variable "copies" {
  type        = number
  description = "How many allocations run."
  default     = 3

  validation {
    condition     = var.copies >= 1 && var.copies <= 10
    error_message = "Between 1 and 10 copies, please."
  }
}

variable "greeting" {
  type    = string
  default = "hello"
}

locals {
  # Evaluated when the file is read. ${NOMAD_ALLOC_INDEX} is not: the node fills it in.
  line = "${upper(var.greeting)} from copy ${NOMAD_ALLOC_INDEX}"
}

job "exec-service" {
  type = "service"

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  update {
    max_parallel     = 1
    min_healthy_time = "5s"
    healthy_deadline = "1m"
    auto_revert      = true
  }

  group "copies" {
    count = var.copies

    restart {
      attempts = 3
      interval = "5m"
      delay    = "5s"
      mode     = "fail"
    }

    reschedule {
      delay          = "10s"
      delay_function = "exponential"
      max_delay      = "5m"
      unlimited      = true
    }

    task "talk" {
      driver = "exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "trap 'exit 0' INT TERM; while true; do echo \"$LINE\"; sleep 10 & wait $!; done"]
      }

      env {
        LINE = local.line
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "10s"

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
