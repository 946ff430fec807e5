variable "a" {
  default = "x"
}
variable "n" {
  default = 1
}
job "j" {}
