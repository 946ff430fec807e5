job "j" {
  group "g" {
    task "t" {
      driver = "exec"
      template {
        source               = "local/in.tpl"
        destination          = "secrets/out"
        change_mode          = "script"
        change_signal        = "SIGUSR1"
        env                  = true
        once                 = true
        splay                = "1s"
        perms                = "0600"
        uid                  = 1000
        gid                  = -1
        left_delimiter       = "(("
        right_delimiter      = "))"
        error_on_missing_key = true
        vault_grace          = "1s"
        change_script {
          command             = "/bin/reload"
          args                = ["a"]
          timeout             = "10s"
          fail_on_error       = true
          run_on_first_render = true
        }
        wait {
          min = "2s"
          max = "1m"
        }
      }
      template {
        data        = <<-EOT
          port = {{ env "NOMAD_PORT_http" }}
            node = ${node.unique.name}
          price = $5 and 10%
        EOT
        destination = "local/b"
        change_script {
          command = "x"
        }
      }
    }
  }
}
