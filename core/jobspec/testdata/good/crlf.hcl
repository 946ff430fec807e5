job "j" {
  meta {
    a = "b"
  }
}
