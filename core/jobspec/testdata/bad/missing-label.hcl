job {
  group {
    task {
      driver = "exec"
      scaling {
        max = 1
      }
    }
    volume {}
    network {
      port {}
    }
  }
}
