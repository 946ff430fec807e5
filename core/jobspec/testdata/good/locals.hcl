locals {
  b = "${local.a}-b"
  a = "a"
}
variable "v" {
  default = "v"
}
locals {
  c    = upper("${local.b}${var.v}")
  rt   = "${attr.x}"
  all  = { x = local.c, y = [local.a] }
  twice = 1
}
locals {
  twice = 2
}
job "j" {
  meta {
    a     = local.a
    b     = local["b"]
    c     = local.c
    rt    = local.rt
    x     = local.all.x
    y     = local.all.y[0]
    twice = local.twice
  }
}
