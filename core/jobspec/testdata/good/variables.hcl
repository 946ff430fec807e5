variable "name" {
  type        = string
  description = "What it is called."
  default     = "web"
}
variable "count" {
  type = number
}
variable "on" {
  type = bool
}
variable "dcs" {
  type = list(string)
}
variable "ports" {
  type = map(number)
}
variable "obj" {
  type = object({
    a = string
    b = list(number)
  })
}
variable "tup" {
  type = tuple([string, number])
}
variable "free" {}
variable "set" {
  type    = set(string)
  default = ["b", "a", "b"]
}
variable "nothing" {
  type    = string
  default = null
}
variable "from_env" {
  type = string
}
variable "list_env" {
  type = list(string)
}
variables {
  size = 3
  tags = ["x", "y"]
}
job "j" {
  name        = var.name
  datacenters = var.dcs
  all_at_once = var.on
  region      = var.nothing
  meta {
    count = var.count
    port  = var.ports["http"]
    obj   = "${var.obj.a}${var.obj.b[1]}"
    tup   = jsonencode(var.tup)
    free  = var.free
    set   = jsonencode(var.set)
    env   = var.from_env
    lenv  = join("/", var.list_env)
    size  = var.size + 1
    tags  = join("", var.tags)
    isnul = var.nothing == null
  }
}
