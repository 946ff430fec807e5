# Groups made from a map: one block in the file, as many groups in the job as the variable has entries.
#
#   serai job run examples/jobs/many-groups.nomad.hcl
#   serai job run -var 'sleepers={short=1,long=20}' examples/jobs/many-groups.nomad.hcl

variable "sleepers" {
  type        = map(number)
  description = "Name of a group, and how many seconds its task sleeps."

  default = {
    nap   = 2
    night = 8
  }
}

job "many-groups" {
  type = "batch"

  dynamic "group" {
    for_each = var.sleepers
    labels   = [group.key]

    content {
      task "sleep" {
        driver = "exec"

        config {
          command = "/bin/sh"
          args    = ["-c", "echo sleeping; sleep ${group.value}; echo awake after ${group.value} seconds"]
        }

        resources {
          cpu    = 20
          memory = 16
        }
      }
    }
  }
}
