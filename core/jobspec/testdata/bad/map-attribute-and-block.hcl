job "j" {
  meta = { a = "b" }
  meta {
    c = "d"
  }
}
