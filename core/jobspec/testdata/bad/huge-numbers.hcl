job "j" {
  priority = 99999999999999999999
  meta {
    a = 1e999999
  }
}
