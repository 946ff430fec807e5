job "j" {
  group "g" {
    task "t" {
      identity {
        name = "default"
        env  = true
      }
      identity {
        file = true
      }
      identity {
        name = "a"
      }
      identity {
        name = "a"
      }
    }
  }
}
