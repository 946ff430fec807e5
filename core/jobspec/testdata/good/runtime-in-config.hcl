job "j" {
  group "g" {
    task "t" {
      config {
        args  = ["${NOMAD_PORT_http}", NOMAD_TASK_DIR, "$${SHELL}"]
        one   = "${1}"
        sum   = "${1 + 2}"
        list  = "${[1, 2]}"
        first = [for p in [NOMAD_A, "b"] : "${p}!"]
        obj   = { (NOMAD_KEY) = attr.x, plain = 1 }
      }
    }
  }
}
