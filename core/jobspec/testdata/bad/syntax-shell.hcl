job "j" {
  meta {
    a = "${FOO:-x}"
    b = "${}"
  }
}
