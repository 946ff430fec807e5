# Only a literal object as the whole value is wrapped like a block.
variable "m" {
  type    = map(string)
  default = { k = "v" }
}
locals {
  m = { k = "v" }
}
job "j" {
  group "g" {
    task "t" {
      config {
        literal     = { a = 1, b = { c = 2 } }
        variable    = var.m
        local       = local.m
        merged      = merge(var.m, { x = "y" })
        decoded     = jsondecode("{\"a\":1}")
        forexpr     = { for k, v in var.m : k => v }
        conditional = true ? { a = 1 } : { a = 2 }
        parens      = ({ a = 1 })
        template    = "${{ a = 1 }}"
        inlist      = [{ a = 1 }]
        null_member = { a = null }
        nested {
          literal = { a = 1 }
        }
      }
    }
  }
}
