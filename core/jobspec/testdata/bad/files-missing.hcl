job "j" {
  meta {
    a = can(file("none")) ? "found" : "x"
    b = fileset(".", "[")
  }
}
