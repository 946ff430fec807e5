job "j" {
  update {
    stagger           = "1d"
    min_healthy_time  = ""
    healthy_deadline  = " 1s"
    progress_deadline = 1.5
  }
  migrate {
    min_healthy_time = true
    healthy_deadline = ["1s"]
  }
  group "g" {
    shutdown_delay = NOMAD_X
    restart {
      interval = null
      delay    = "1 s"
    }
  }
}
