job "j" {
  a = 1; b = 2
}
