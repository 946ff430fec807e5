job "j" {
  meta {
    fails = can(rsadecrypt("AAAA", "not a key"))
  }
}
