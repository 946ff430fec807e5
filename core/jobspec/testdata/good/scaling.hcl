job "j" {
  group "g" {
    scaling {
      max = 3
    }
    task "t" {
      scaling "cpu" {
        max = 1000
        policy {
          check "x" "y" {
            a = 1
          }
        }
      }
    }
  }
}
