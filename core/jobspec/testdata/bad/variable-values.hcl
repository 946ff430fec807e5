variable "n" {
  type = number
}
variable "b" {
  type = bool
}
variable "l" {
  type = list(number)
}
variable "o" {
  type = object({ a = string })
}
variable "t" {
  default = ["a"]
}
variable "syntax" {
  type = list(string)
}
variable "ref" {
  type = list(string)
}
job "j" {}
