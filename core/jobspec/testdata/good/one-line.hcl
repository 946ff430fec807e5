job "j" {
  group "g" { count = 2 }
  group "h" {
    task "t" { driver = "exec" }
    network {}
  }
}
