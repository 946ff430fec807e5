variable "region" {
  default = "x"
}
job "j" {}
