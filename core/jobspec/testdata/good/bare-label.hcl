job web {
  group front {
    task server {
      driver = "exec"
    }
  }
}
