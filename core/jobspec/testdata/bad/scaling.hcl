job "j" {
  group "g" {
    scaling {
      min  = 1
      type = "vertical_cpu"
    }
    task "t" {
      scaling "disk" {
        max = 1
      }
      scaling "cpu" {}
    }
  }
}
