job "j" {
  meta {
    bare          = attr.kernel.name
    quoted        = "${attr.kernel.name}"
    inner_spaces  = "${ NOMAD_X }"
    mixed         = "x${meta.a}-${NOMAD_B}"
    indexed       = "${env["A"]}"
    steps         = foo[0].bar
    legacy        = a.0.b
    dashed        = meta.foo-bar
    node          = "${node.unique.id}"
    device        = "${device.attr.memory}"
    upper         = upper(NOMAD_DC)
    lower         = "${lower(NOMAD_META_X)}"
    substr        = substr(NOMAD_XYZ, 0, 3)
    compared      = NOMAD_DC == "x" ? 1 : 2
    against_null  = attr.x == null ? 1 : 2
    tried         = try(attr.foo, "d")
    stripped      = "x ${~ NOMAD_X ~} y"
    typo_locals   = "${locals.x}"
    typo_each     = each.value
    typo_count    = count.index
    typo_path     = path.module
    typo_self     = self.x
    escaped       = "$${X} %%{if} $$${NOMAD_X} $${upper(\"x\")}"
    shell         = "$(date) $FOO 100% $"
    joined        = join(",", [NOMAD_A, "${NOMAD_B}"])
    parenthesised = "${(NOMAD_X)}"
  }
}
