variable "n" {
  type    = number
  default = 5
  validation {
    condition     = var.n > 3
    error_message = "Too small."
  }
  validation {
    condition     = contains([5, 6], var.n)
    error_message = "Five or six."
  }
}
job "j" {
  priority = var.n
}
