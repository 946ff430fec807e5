job "j" {
  group "g" {
    task "t" {
      vault {
        policies               = ["a"]
        role                   = "r"
        namespace              = "ns"
        cluster                = "c"
        env                    = false
        disable_file           = true
        change_mode            = "signal"
        change_signal          = "SIGUSR1"
        allow_token_expiration = true
      }
    }
  }
}
