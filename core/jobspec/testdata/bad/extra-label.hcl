job "a" "b" {
  update "x" {}
  group "g" "h" "i" {
    network "n" {}
  }
}
