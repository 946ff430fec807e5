job "j" {
  priority = "${NOMAD_X}"
  group "g" {
    count = attr.cpu.numcores
    task "t" {
      leader       = "${meta.leader}"
      kill_timeout = "${NOMAD_T}"
    }
  }
}
