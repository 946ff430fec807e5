variable "small" {
  type    = number
  default = 1
  validation {
    condition     = var.small > 3
    error_message = "It has to be more than three."
  }
}
variable "other" {
  default = 1
  validation {
    condition     = var.small > 3
    error_message = "x"
  }
}
variable "unrelated" {
  default = 1
  validation {
    condition     = 1 > 3
    error_message = "x"
  }
}
variable "not_bool" {
  default = 1
  validation {
    condition     = var.not_bool + 1
    error_message = "x"
  }
}
variable "incomplete" {
  default = 1
  validation {
    condition = var.incomplete > 0
  }
}
job "j" {}
