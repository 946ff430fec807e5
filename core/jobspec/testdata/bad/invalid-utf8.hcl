job "j" {
  name = "aÿþb"
}
