job "j" {
  secret "j" {
    provider = "nomad"
    path     = "j"
  }
  group "a" {
    secret "g" {
      provider = "nomad"
      path     = "g"
    }
    task "none" {}
    task "own" {
      secret "t" {
        provider = "vault"
        path     = "t"
      }
    }
  }
  task "alone" {}
}
