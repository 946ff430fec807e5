job "j" {
  datacenters = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccccccccccccccccccccccc", var.missing, "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"]
}
