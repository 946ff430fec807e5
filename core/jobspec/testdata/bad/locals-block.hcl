locals {
  x {
    y = 1
  }
}
job "j" {}
