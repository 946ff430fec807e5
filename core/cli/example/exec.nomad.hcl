# An example job: a task that writes a log line every five seconds. Run it with
#
#     serai job run example.nomad.hcl
#
# and look at it with 'serai job status example' and 'serai alloc status'.

job "example" {
  # A service runs until it is stopped. Other types are "batch", which ends by
  # itself, "system" and "sysbatch", which run on every node.
  type = "service"

  # Which nodes may run the job: datacenters by name or glob, and a pool.
  datacenters = ["*"]

  # How a new version replaces the old one.
  update {
    # So many allocations at a time ...
    max_parallel = 1

    # ... each of which must be healthy for this long before the next follows.
    min_healthy_time = "5s"

    # An allocation that is not healthy by then fails the deployment.
    healthy_deadline  = "3m"
    progress_deadline = "10m"

    # With true, a failed deployment brings the last stable version back.
    auto_revert = false
  }

  # A group is placed as a whole on one node. Its tasks share its network, its
  # disk and its fate.
  group "app" {
    # How many instances (allocations) to run.
    count = 1

    # Restart a failed task in place this often; if that is not enough, the
    # allocation fails and is placed anew, perhaps on another node.
    restart {
      attempts = 2
      interval = "30m"
      delay    = "15s"
      mode     = "fail"
    }

    # Disk for logs and data, in MB.
    ephemeral_disk {
      size = 300
    }

    task "hello" {
      # The exec driver isolates a command of the host: own file system view,
      # processes, and limits on CPU and memory.
      driver = "exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "while true; do echo \"$GREETING from $NOMAD_ALLOC_ID\"; sleep 5; done"]
      }

      # Environment of the task. Serai adds NOMAD_* variables of its own.
      env {
        GREETING = "hello"
      }

      # What the task may use: CPU in MHz, memory in MB.
      resources {
        cpu    = 100
        memory = 64
      }

      # Output is kept in this many files of this size, in MB, per stream.
      logs {
        max_files     = 3
        max_file_size = 5
      }
    }
  }
}
