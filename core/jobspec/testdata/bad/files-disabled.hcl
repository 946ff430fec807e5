job "j" {
  meta {
    a = file("x")
    b = filebase64("x")
    c = fileexists("x")
    d = fileset(".", "*")
    e = abspath("x")
    f = pathexpand("~/x")
  }
}
