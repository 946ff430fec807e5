variable "a" {
  default = "x"
}
job "j" {
  name = var.a
}
