variable "name" {
  default = "x"
}
locals {
  port = 1
}
job "j" {
  name   = var.nmae
  region = local.prot
  meta {
    a = var.nothing_like_it
    b = "${foo[*].bar}"
    c = "${meta[var.name]}"
    d = NOMAD_ALLOC_INDEX + 1
    e = var
    f = [1][5]
    g = { a = 1 }.b
    h = 1 + "x"
    i = true ? 1 : [2]
  }
}
