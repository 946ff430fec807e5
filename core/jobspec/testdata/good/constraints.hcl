job "j" {
  constraint {
    attribute = "${attr.os.version}"
    version   = ">= 1.2, < 2"
  }
  constraint {
    attribute = "${attr.os.version}"
    semver    = ">= 1.2.0-a"
  }
  constraint {
    attribute = "${attr.kernel.name}"
    regexp    = "^lin"
  }
  constraint {
    attribute    = "${meta.tags}"
    set_contains = "a,b"
  }
  constraint {
    distinct_hosts = false
  }
  constraint {
    distinct_property = "${meta.rack}"
    value             = 2
  }
  constraint {
    operator  = "is_set"
    attribute = "${meta.x}"
  }
  constraint {
    attribute = attr.cpu.numcores
    operator  = ">="
    value     = 4
  }
  constraint {
    attribute = "${meta.on}"
    value     = true
  }
  constraint {}
}
