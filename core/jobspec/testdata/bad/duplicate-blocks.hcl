job "j" {
  update {}
  update {}
  meta {}
  meta {}
  group "g" {
    restart {}
    restart {}
    task "t" {
      config {
        a = 1
      }
      config {
        b = 1
      }
      vault {}
      vault {}
    }
    vault {}
    vault {}
  }
}
