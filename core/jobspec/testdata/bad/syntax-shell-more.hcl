job "j" {
  meta {
    a = "${#FOO}"
    b = "${FOO[@]}"
    c = "${@}"
    d = "${FOO%.*}"
  }
}
