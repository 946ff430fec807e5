job "example" {
  group "cache" {
    network {
      port "web" {}
    }

    task "server" {
      driver = "exec"

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

      env {
        GREETING = "hello"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
