job "j" {
  priority = 1
  priority = 2
  group "g" {
    task "t" {
      config {
        a = 1
        a = 2
      }
    }
  }
}
