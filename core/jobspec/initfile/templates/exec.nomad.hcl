# A job says what to run. Run this one with "serai job run", look at it with
# "serai job status example", and change it: "serai job plan" shows what a
# change would do before it is done.
job "example" {
  # A "service" is kept running. A "batch" job runs until it succeeds.
  type = "service"

  # Only nodes of these datacenters are used. "*" stands for any of them.
  datacenters = ["*"]

  # A constraint excludes nodes. ${attr…}, ${meta…} and ${node…} are looked up
  # when the job is placed, not when this file is read.
  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  # How a new version of the job replaces the old one.
  update {
    # How many allocations are replaced at a time.
    max_parallel = 1

    # How long an allocation has to stay healthy before the next one is
    # replaced, and when to give up waiting.
    min_healthy_time  = "5s"
    healthy_deadline  = "3m"
    progress_deadline = "10m"

    # Go back to the last version that worked if this one does not.
    auto_revert = false

    # How many allocations of a new version to start beside the old ones.
    canary = 0
  }

  # A group holds tasks that run together on one node. One running copy of a
  # group is an allocation.
  group "cache" {
    # How many allocations there are. Try 3.
    count = 1

    # A port that the scheduler picks. The task finds it in its environment,
    # here as NOMAD_PORT_web. For a port of your choice, set static.
    network {
      port "web" {}
    }

    # What the node does when a task fails: start it again at most twice in
    # half an hour, then leave the decision to the servers.
    restart {
      attempts = 2
      interval = "30m"
      delay    = "15s"
      mode     = "fail"
    }

    # Disk space that the group is given a node for, in MB.
    ephemeral_disk {
      size = 300
    }

    # A task is one thing that a driver runs.
    task "server" {
      # exec runs a command in namespaces of its own, with a file system that
      # shows the system's programs read-only.
      driver = "exec"

      # What is in config depends on the driver.
      config {
        command = "/bin/sh"
        args = ["-c", <<-SCRIPT
          trap 'echo "stopping"; exit 0' INT TERM
          echo "$GREETING from $NOMAD_ALLOC_NAME, port $NOMAD_PORT_web"
          beat=0
          while true; do
            beat=$((beat + 1))
            echo "beat $beat"
            sleep 5 &
            wait $!
          done
        SCRIPT
        ]
      }

      # Environment of the task. Serai adds variables that begin with NOMAD_.
      env {
        GREETING = "hello"
      }

      # How long the task has to end after it is told to.
      kill_timeout = "5s"

      # Output is kept in files that are rotated; sizes are in MB.
      logs {
        max_files     = 10
        max_file_size = 10
      }

      # What the task is given: MHz of CPU and MB of memory. The memory is a
      # limit, the CPU a share when others want it too.
      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
