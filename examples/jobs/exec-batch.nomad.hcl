# A batch job: it runs once, in namespaces of its own, and looks around. It sees a read-only copy of the system's
# programs, its own directories and its own processes, and nothing else of the host.
#
#   serai job run examples/jobs/exec-batch.nomad.hcl
#   serai alloc logs -job exec-batch

job "exec-batch" {
  type = "batch"

  group "look" {
    task "around" {
      driver = "exec"

      config {
        command = "/bin/sh"
        args = ["-c", <<-SCRIPT
          echo "I am $NOMAD_TASK_NAME of $NOMAD_ALLOC_NAME, process $$, user $(id -u)."
          echo "My root has:" $(ls /)
          echo "My directories: $NOMAD_ALLOC_DIR $NOMAD_TASK_DIR $NOMAD_SECRETS_DIR"
          echo "I may use $NOMAD_CPU_LIMIT MHz and $NOMAD_MEMORY_LIMIT MB."
          echo "note left at $(date -u)" > "$NOMAD_ALLOC_DIR/data/note" && cat "$NOMAD_ALLOC_DIR/data/note"
          touch /usr/forbidden 2>/dev/null || echo "The system is read-only."
        SCRIPT
        ]
      }

      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
