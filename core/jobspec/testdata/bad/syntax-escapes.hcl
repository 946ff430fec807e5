job "j" {
  meta {
    a = "\d"
    b = "\x41"
  }
}
