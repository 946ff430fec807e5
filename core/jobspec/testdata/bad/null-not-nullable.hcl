job "j" {
  group "g" {
    volume "v" {
      source = null
    }
    service {
      name = null
    }
    task "t" {
      user           = null
      kill_signal    = null
      leader         = null
      kill_timeout   = null
      shutdown_delay = null
    }
  }
}
