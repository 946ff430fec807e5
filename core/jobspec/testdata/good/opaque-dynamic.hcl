# Inside an opaque body "dynamic" is an ordinary word.
job "j" {
  group "g" {
    task "t" {
      config {
        dynamic "mount" {
          for_each = [1]
          content {
            x = 1
          }
        }
      }
    }
  }
}
