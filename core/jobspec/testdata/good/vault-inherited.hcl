job "j" {
  vault {
    role = "job"
  }
  group "a" {
    vault {
      role = "group"
    }
    task "own" {
      vault {
        namespace = "own"
      }
    }
    task "from-group" {}
  }
  group "b" {
    task "from-job" {}
  }
  task "alone" {}
}
