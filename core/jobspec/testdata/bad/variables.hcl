variable "no_value" {}
variable "any_type" {
  type    = any
  default = 1
}
variable "bare_list" {
  type    = list
  default = []
}
variable "quoted_type" {
  type    = "string"
  default = ""
}
variable "optional_attr" {
  type    = object({ a = optional(string) })
  default = {}
}
variable "sensitive" {
  default   = 1
  sensitive = true
}
variable "bad_default" {
  type    = number
  default = "x"
}
variable "call" {
  default = upper("x")
}
variable "reference" {
  default = "${attr.x}"
}
variable "twice" {
  default = 1
}
variable "twice" {
  default = 2
}
variable "1st" {
  default = 1
}
variable {
  default = 1
}
variables {
  twice = 3
  fn    = lower("X")
}
job "j" {}
