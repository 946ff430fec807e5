job "j" {
  group "first" {
    task "a" {
      driver = "exec"
    }
  }
  task "second" {
    driver = "raw_exec"
  }
  group "third" {}
}
