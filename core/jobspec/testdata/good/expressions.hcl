variable "xs" {
  type    = list(number)
  default = [1, 2, 3]
}
job "j" {
  meta {
    arithmetic  = 1 + 2 * 3 - 4 / 2 % 3
    negative    = -(2)
    compare     = 1 < 2 && 2 >= 2 || !true
    equal       = 1 == "1"
    unified     = true ? 1 : "a"
    index       = var.xs[1]
    negative_ix = [1, 2, 3][length(var.xs) - 1]
    splat       = join(",", [{ a = "x" }, { a = "y" }][*].a)
    attr_splat  = join(",", [{ a = "x" }, { a = "y" }].*.a)
    for_list    = join(",", [for x in var.xs : x * 2 if x > 1])
    for_object  = jsonencode({ for i, x in var.xs : "k${i}" => x })
    grouped     = jsonencode({ for x in var.xs : x % 2 == 0 ? "even" : "odd" => x... })
    expanded    = max(var.xs...)
    tmpl_if     = "%{ if 1 > 0 }yes%{ else }no%{ endif }"
    tmpl_for    = "%{ for x in var.xs }<${x}>%{ endfor }"
    strip       = "a   ${~ "b" ~}   c"
    multiline = join("-", [
      "a",
      "b",
    ])
    nested = "a${"b${"c"}"}"
    float  = 0.1 + 0.2
    third  = 1 / 3 > 0.33
  }
}
