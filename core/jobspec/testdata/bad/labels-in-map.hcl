job "j" {
  meta "x" {
    a = 1
  }
}
