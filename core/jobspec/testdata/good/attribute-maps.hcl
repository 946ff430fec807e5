job "j" {
  meta = {
    "a.b"   = 1
    c       = true
    (upper("d")) = "e"
  }
  group "g" {
    meta = { x = "y" }
    task "t" {
      env  = merge({ A = 1 }, { B = "2" })
      meta = { "weird key" = "${NOMAD_DC}" }
    }
  }
}
