job "j" {
  priority = 99999999999999999999
  meta {
    a = 1 / 0
    b = pow(10, 5000)
  }
  group "g" {
    task "t" {
      config {
        x = -1 / 0
      }
    }
  }
}
